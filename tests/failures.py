"""What can break between a shot list and a film, and what must happen then: one row, one promise.

Rows are named by where the trouble comes from: A crash, B signal, C network, D gateway, E disk and
system, F several at once, G shot list and inputs, H Prefect, S attack. A test that proves a row
says so with `@pytest.mark.covers`; `test_failures.py` sees that none is left out.
"""

from __future__ import annotations

CRASH = {
    "A1": "killed before the intent is on disk → nothing was ordered; the next run orders once",
    "A2": "killed between intent and connection → the account shows no charge; ordered silently",
    "A3": "killed when connected, with nothing sent → the same",
    "A4": "killed with the order sent and no answer → in doubt, told, never repeated by itself",
    "A5": "killed with the ticket read and not written → in doubt, told, never repeated by itself",
    "A6": "killed after the ticket is on disk → the next run asks for the ticket and orders nothing",
    "A7": "killed while a ticket waits or rolls → the same ticket is gone on with, without haste",
    "A8": "killed when a take is finished but not fetched → asked again, fetched, not ordered",
    "A9": "killed in the middle of a download → no part has a final name; fetched again",
    "A10": "killed between download and its final name → fetched again",
    "A11": "killed between the final name and the ledger → the file is checked and adopted",
    "A12": "killed while the film is joined → the film before it stands untouched",
    "A13": "killed between film and manifest → the manifest is made again",
    "A14": "killed while recovering from a kill → no more lost than by two kills apart",
    "A15": "power fails → intent is on the disk before the order leaves, files before their names",
    "A16": "the encoder is killed → no film is called finished",
    "A17": "a run is killed → no Prefect server and no worker outlives it or holds its pipe",
    "A18": "a run is killed while a program of its own runs → the project's lock is free",
}

SIGNAL = {
    "B1": "SIGINT or SIGTERM at any moment → an order under way is written down first",
    "B2": "Ctrl-C while tickets roll → they go on, nothing is deleted, it is said, exit 130",
    "B3": "SIGTERM inside a Prefect flow → Prefect's own handler does not reach the order",
    "B4": "Ctrl-C twice and three times → the order is waited for; then it is told as a doubt",
    "B5": "the terminal or the pipe is closed → the ticket is written before anything is printed",
    "B6": "cancelling on request → only what is queued; what finished meanwhile is kept",
    "B7": "a time limit around the order → there is none but the connection's own",
}

NETWORK = {
    "C1": "no connection can be made → nothing was sent; tried again, charged once",
    "C2": "the connection ends after the order → in doubt, not sent again",
    "C3": "the connection ends within the answer → in doubt, not sent again",
    "C4": "the answer is cut short and looks complete → in doubt, not sent again",
    "C5": "the answer to an order never comes → in doubt, not sent again",
    "C6": "the gateway closed an idle connection → orders go over fresh ones",
    "C7": "the order is cut off while it is sent → in doubt unless nothing left",
    "C8": "“come back later” with a silly time → a time within reason",
    "C9": "“too many” without a time → a wait with a floor, spread over the shots",
    "C10": "“overloaded” in answer to an order → again only if the account shows no charge",
    "C11": "another failure in answer to an order → in doubt",
    "C12": "questions and downloads fail → asked again, and no money moves",
    "C13": "the answer is not JSON → an order is in doubt, a question is asked again",
    "C14": "bytes drip for ever → a download has a deadline for the whole of it",
    "C15": "the gateway redirects an order → not followed",
    "C16": "a download is redirected → few hops, each judged, with nothing of ours in the headers",
    "C17": "a download is cut short → noticed and fetched again",
    "C18": "a download unpacks to far more than it is → refused by its encoding, held to a limit",
    "C19": "a download never ends → stopped at a limit that fits the shot",
    "C20": "proxies and certificates in the environment → ignored",
    "C21": "the gateway is out for half an hour → questions slow down, nothing is given up",
}

GATEWAY = {
    "D1": "a ticket waits for hours → it is waited for, never ordered again",
    "D2": "moderated → never sent again; three of them stop the orders",
    "D3": "bad output → once more, only where nothing was charged for it",
    "D4": "failed on the gateway's side → at most two more orders, each booked",
    "D5": "an input is not accepted → not sent again; the sentence names it",
    "D6": "a code or a state nobody knows → no new order; the ticket is asked on",
    "D7": "cancelled by somebody else → it ends there, and a person is asked",
    "D8": "a new ticket is unknown for a moment → waited for",
    "D9": "a ticket is forgotten → lost, told, never ordered again by itself",
    "D10": "an address of an output expires → a fresh one is asked for; nothing is ordered",
    "D11": "finished without an output → asked some more, then told; nothing is ordered",
    "D12": "several outputs → all are kept, the first is the take",
    "D13": "another size, length or rate than ordered → kept and said, not ordered again",
    "D14": "not a playable clip → never cut in; fetched again twice, then told",
    "D15": "the gateway asks more than was expected → booked; much more stops the orders",
    "D16": "the credits end in the middle → no new orders, open ones come home, exit 4",
    "D17": "the key is refused in the middle → asked once, not by every shot",
    "D18": "the day's number is reached → that model stops, with the time to come back",
    "D19": "a model is retired → said by the check, with its successor",
    "D20": "an upload is a day old → uploaded again before the order",
    "D21": "one ticket for two orders → told; never two takes of one ticket",
    "D22": "progress runs backwards, clocks differ → nothing is decided by them",
    "D23": "two takes are the same file → said",
}

SYSTEM = {
    "E1": "the disk is full before an intent → nothing is ordered",
    "E2": "the disk is full before a ticket is written → the ticket is saved beside the ledger",
    "E3": "the disk is full during a download → nothing half stays, the ticket stays open",
    "E4": "the disk is full while the film is joined → no film is called finished",
    "E5": "the disk fails a write → treated as not written",
    "E6": "a folder is read-only → said before anything is ordered",
    "E7": "a file of the store is damaged → set aside, fetched again, never ordered silently",
    "E8": "the ledger is damaged → refused, with what can be done; never begun afresh",
    "E9": "the ledger is gone and the store is not → refused; `rebuild` restores it",
    "E10": "the ledger is of a newer version → refused, with both versions",
    "E11": "the project lies on a network disk → the ledger works there as it can, or refuses",
    "E12": "the clock jumps → waits and order of events do not depend on it",
    "E13": "few files may be open → sixty clips still become a film",
    "E14": "names that differ by case or accent → never one file for two",
    "E15": "a generous umask → the ledger and the store are private all the same",
}

CROWD = {
    "F1": "two runs in one project → the second says who is at work, exit 75",
    "F2": "two projects order the same → each take is claimed once where they share a ledger",
    "F3": "many order at once → the cap holds",
    "F4": "the same content twice in a shot list → ordered once",
    "F5": "the holder of the lock died → the lock died with it",
    "F6": "one step runs twice at the same time → ordered once",
}

INPUTS = {
    "G1": "the shot list changes during a run → the run keeps to what it read",
    "G2": "a picture changes between check and order → what was hashed is what is sent",
    "G3": "a reference is gone, a pipe, a device, endless → said, without hanging",
    "G4": "a path leads out of the project → refused",
    "G5": "shots are renamed or moved → nothing is ordered",
    "G6": "YAML with traps in it → read as written, or a sentence with its line",
    "G7": "a picture is a bomb, cut short or no picture → a sentence, in little memory",
    "G8": "no shot, ten thousand, a megabyte of prompt, control characters → limits, in sentences",
    "G9": "the price table is old → remarked; the gateway's own figure wins",
}

PREFECT = {
    "H1": "its server cannot be reached at the start → said before anything is ordered",
    "H2": "its server dies in the middle → film and exit code follow the ledger, soon",
    "H3": "retries, refreshed caches, profiles and project settings → not one order more",
    "H4": "results on its disk → there are none, and none is ever loaded",
    "H5": "parameters, logs and states are stored → no secret is in them",
    "H6": "hundreds of tasks at once → its database keeps up",
    "H7": "cancelled on its pages → as Ctrl-C: tickets go on, nothing is deleted, it is said",
}

ATTACK = {
    "S1": "YAML types that mislead → text stays text",
    "S2": "a key twice → an error with both lines",
    "S3": "aliases that multiply → refused before they are expanded",
    "S4": "nesting without end → refused before it is parsed",
    "S5": "any bytes as a shot list → a sentence, never a traceback",
    "S6": "infinity and not-a-number → refused in durations and money",
    "S7": "a reference that is somebody's secret → only real pictures and videos below allowed folders",
    "S8": "a picture that knows where it was taken → remarked before it leaves",
    "S9": "an output's address that leads inside → judged once, and that very address is used",
    "S9b": "addresses inside that look public → judged by what they carry",
    "S10": "the key and signed addresses → in no log, file, error or list of processes",
    "S11": "a download from elsewhere → carries no header of ours",
    "S12": "picture bombs → limits before the pixels are unpacked",
    "S13": "a playlist that calls itself a clip → nothing it names is opened",
    "S14": "a damaged clip → found by decoding all of it, and by its hash",
    "S15": "names that are options or commands → never reach a shell or an option",
    "S16": "prompts and failures with markup or escapes → shown as text",
    "S17": "a web page calls the loopback server → it checks whom it answers",
    "S18": "a pickle where results lie → never loaded",
    "S19": "a project folder that sets Prefect or Python → ignored",
    "S20": "variables of the official client → do not move the key",
    "S21": "dependencies → each bounded; no secret in what is shipped",
    "S22": "a shot list that costs a fortune → refused without a cap, before any request",
    "S23": "archives → none is ever read",
}

ROWS = CRASH | SIGNAL | NETWORK | GATEWAY | SYSTEM | CROWD | INPUTS | PREFECT | ATTACK
