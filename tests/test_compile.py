"""A shot list compiled to a flow of its own: read by people, run by Python and Prefect, free to grow."""

from __future__ import annotations

import ast
import json
import shutil
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from footage import packets
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import LISTS, furnish, plan
from programs import BIN
from test_flow import ask, flow_run, task_runs
from test_prefect_harmless import lame

from secondunit import compiling
from secondunit.crew import Project, compiled
from secondunit.errors import UsageError
from secondunit.standby import Call, selected

if TYPE_CHECKING:
    from collections.abc import Callable

    from secondunit.plan import Plan

ROOT = Path(__file__).parent.parent
LESSONS = ROOT / "examples"
STEPS = {"still", "shot", "conform", "join"}
CHAIN = """\
title: Chain
shots:
  One: {prompt: A pier at night., seed: 1, duration: 2}
  Two: {continues: One, prompt: Fog rolls in., seed: 2, duration: 2, trim: {out: 1}}
  Three: {prompt: A gull on a post., seed: 3, duration: 2}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return furnish(tmp_path_factory.mktemp("compile") / "set")


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """A film of three shots beside the flow that it compiles to."""
    (tmp_path / "chain.yaml").write_text(CHAIN)
    (tmp_path / "sub" / "flows").mkdir(parents=True)
    compiling.write(compiled(str(tmp_path / "chain.yaml")), tmp_path / "film_flow.py")
    return tmp_path


def well_formatted(text: str) -> bool:
    """Say whether formatters leave the file as it is, whatever line length they have from 88 on."""
    ruff = BIN / "ruff"
    if not ruff.exists():
        pytest.skip("ruff is not installed")
    return all(
        subprocess.run(
            [ruff, "format", "--isolated", "--line-length", length, "--check", "-"],
            input=text, text=True, capture_output=True, check=False,
        ).returncode == 0
        for length in ("88", "100")
    )  # fmt: skip


def begun(text: str) -> list[tuple[str, list[str]]]:
    """Read from a flow which steps it begins: the work, and the names it is begun with."""
    calls = [
        node for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "day.begin"
    ]  # fmt: skip
    calls.sort(key=lambda call: call.lineno)
    return [
        (ast.unparse(call.args[0]), [ast.literal_eval(one) for one in call.args[1:]])
        for call in calls
    ]


def expected(of: Plan) -> list[tuple[str, list[str]]]:
    rolled = [("still" if s.kind == "still" else "shot", [s.shot]) for s in of.steps]
    return [*rolled, *(("conform", [e.shot]) for e in of.cut), ("join", [])]


def kinds(text: str) -> list[str]:
    """Return what a file consists of: the kind of each statement and call, in order."""
    return [
        type(node).__name__
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.stmt | ast.Call)
    ]


# --- the text -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(LESSONS.glob("*/shots.yaml")), ids=lambda p: p.parent.name)
def test_each_lesson_compiles_to_a_flow_that_spells_out_its_shots(path: Path) -> None:
    of = compiled(str(path), roots=[str(LESSONS)])
    text = compiling.source(of)
    assert begun(text) == expected(of)
    assert well_formatted(text)


@pytest.mark.parametrize("name", sorted(LISTS))
def test_a_step_begins_after_what_it_is_made_from(name: str, folder: Path) -> None:
    """Every list that planning is tested with; the arrows are those of the plan."""
    from pages import CHOICES

    of = plan(LISTS[name], folder, **CHOICES.get(name, {}))
    text = compiling.source(of)
    assert begun(text) == expected(of)
    waits: dict[str, set[str]] = {}
    variables: dict[str, str] = {}
    statements = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Assign)]
    steps = iter(of.steps)
    for statement in sorted(statements, key=lambda s: s.lineno):
        target = ast.unparse(statement.targets[0])
        if not isinstance(statement.value, ast.Call):
            continue
        step = next(steps)
        assert target not in variables, "two steps share a variable"
        variables[target] = step.key
        after = [ast.unparse(v) for k in statement.value.keywords for v in k.value.elts]
        waits[step.key] = {variables[one] for one in after}
    assert waits == {step.key: set(step.needs) for step in of.steps}


NASTY = (
    'it\'s "both"', '"""', "'''", "\\", "\\'", 'a"b', "it's", "{quality}", "${x}", "$title", "%s",
    "\u202etxt.exe", "夜の灯台", "Ünïcödé", "ﬁlm", "film", "shot", "day", "class", "match", "None", "_",
    "__debug__", "1A", "1a", "1 A", "1-A", "#", "# noqa", "\U0001f3ac", "a" * 200, "夜" * 100, "shot_1",
    "');import os;os.system('true')#", '"); raise SystemExit  #', "x=1", "a, b", "\u2028", "٣", "²",
    "after=[]", "self", "print", "e\u0301", "\u00e9", "K", "\u212a", "clips", "clips_still",
)  # fmt: skip
NAMES = st.one_of(st.sampled_from(NASTY), st.text(min_size=1, max_size=120))


@pytest.fixture(scope="module")
def eight(folder: Path) -> Plan:
    """Eight shots: every other one continues the one before it, some open on a still."""
    return plan(shot_list([f"Shot {n}" for n in range(8)]), folder)


def shot_list(names: list[str]) -> str:
    shots = []
    for number, name in enumerate(names):
        shot: dict[str, Any] = {"shot": name, "prompt": f"The sea, {name}.", "seed": number}
        if number % 2:
            shot["continues"] = names[number - 1]
        elif number % 3 == 0:
            shot["first_frame"] = {"prompt": "A picture."}
        shots.append(shot)
    return json.dumps({"title": "Names", "shots": shots})


def called(of: Plan, title: str, names: list[str]) -> Plan:
    """Call a film and its shots anything at all; a shot list would take few of these names."""
    new = dict(zip([entry.shot for entry in of.cut], names, strict=False))
    steps = tuple(
        replace(s, shot=new.get(s.shot, s.shot), reason=f"edits {new.get(s.shot, s.shot)}")
        for s in of.steps
    )
    cut = tuple(replace(e, shot=new.get(e.shot, e.shot)) for e in of.cut)
    return replace(of, title=title, steps=steps, cut=cut, quality=title, file=f"{title[:40]}.yaml")


@settings(max_examples=80)
@given(title=NAMES, names=st.lists(NAMES, min_size=1, max_size=8, unique=True))
def test_whatever_the_names_are_the_flow_is_python_and_nothing_else(
    eight: Plan, title: str, names: list[str]
) -> None:
    """No name, title or reason ends a string, a comment or a docstring; each arrives as it is."""
    of = called(eight, title, names)
    text = compiling.source(of)
    assert begun(text) == expected(of)
    assert kinds(text) == kinds(compiling.source(eight))
    assert compile(text, "film_flow.py", "exec")
    assert well_formatted(text)


@pytest.mark.parametrize("at", range(0, len(NASTY), 7))
def test_every_nasty_name_is_tried(eight: Plan, at: int) -> None:
    of = called(eight, NASTY[at], [NASTY[at - n] for n in range(8)])
    text = compiling.source(of)
    assert begun(text) == expected(of)
    assert kinds(text) == kinds(compiling.source(eight))
    assert well_formatted(text)


def test_two_hundred_shots_are_two_hundred_lines_to_read(folder: Path) -> None:
    of = plan(shot_list([f"Shot {n}" for n in range(200)]), folder)
    text = compiling.source(of)
    assert begun(text) == expected(of)
    assert well_formatted(text)
    assert max(map(len, text.splitlines())) <= 88
    assert 'shot_199 = day.begin(shot, "Shot 199", after=[shot_198])' in text


def test_a_selection_is_compiled_as_one(chain: Path) -> None:
    whole = compiled(str(chain / "chain.yaml"))
    of = selected(Call(whole, Project(chain), only="Two")).plan
    text = compiling.source(of, compiling.Given(only="Two"))
    assert begun(text) == expected(of)
    assert ("shot", ["Three"]) not in begun(text)
    assert 'only="Two",' in text
    assert well_formatted(text)


def test_what_the_command_was_given_is_carried_from_wherever_the_flow_lies(chain: Path) -> None:
    """Folders are written from the shot list's own, and nothing where nothing was given."""
    (chain / "sub" / "plates" / "old").mkdir(parents=True)
    done = subprocess.run(
        [BIN / "secondunit", "compile", "../chain.yaml", "-o", "flows/chain.py", "--out", "built",
         "--root", "plates/old", "--root", chain],
        cwd=(chain / "sub"), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    text = (chain / "sub" / "flows" / "chain.py").read_text()
    assert "compile ../../chain.yaml --out built --root plates/old --root" in " ".join(text.split())
    assert '        out="sub/built",\n' in text
    assert f'"sub/plates/old",\n            "{chain}",\n        ],\n' in text
    assert well_formatted(text)
    plain = compiling.source(compiled(str(chain / "chain.yaml")))
    assert "out=" not in plain
    assert "roots=" not in plain


def test_the_shot_list_is_found_from_where_the_flow_lies(chain: Path) -> None:
    of = compiled(str(chain / "chain.yaml"))
    assert 'shot_list: str = "chain.yaml"' in compiling.source(of)
    compiling.write(of, chain / "flows" / "chain.py")
    assert 'shot_list: str = "../chain.yaml"' in (chain / "flows" / "chain.py").read_text()


def test_a_file_that_somebody_wrote_is_not_overwritten(chain: Path) -> None:
    of = compiled(str(chain / "chain.yaml"))
    compiling.write(of, chain / "film_flow.py")  # its own it may
    mine = chain / "mine.py"
    mine.write_text("print('mine')\n")
    with pytest.raises(UsageError, match="it was not touched"):
        compiling.write(of, mine)
    assert mine.read_text() == "print('mine')\n"


def test_no_key_is_in_the_file(chain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNWAYML_API_SECRET", "key_" + "5" * 128)
    text = compiling.source(compiled(str(chain / "chain.yaml"), "runway"))
    assert "5555" not in text
    assert 'gateway: str = "runway"' in text


# --- the flow that runs -------------------------------------------------------------------------


def run(
    environment: dict[str, str], flow: Path, *arguments: object, **more: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, flow, *map(str, arguments)],
        env={**environment, **more}, capture_output=True, text=True, timeout=170, check=False,
    )  # fmt: skip


def orders(folder: Path) -> int:
    ledger = folder / ".secondunit" / "ledger.sqlite"
    if not ledger.exists():
        return 0
    with sqlite3.connect(ledger) as db:
        count = db.execute("SELECT count(*) FROM orders").fetchone()[0]
    db.close()
    return int(count)


def manifest(folder: Path) -> dict[str, Any]:
    """Read a manifest without what is another each time: tickets, places, what was in the store.

    The film names its manifest and its hour, so its packets stand in for its file.
    """
    page = json.loads((folder / "films" / "chain.manifest.json").read_text())
    for shot in page["shots"]:
        for name in ("ticket", "cached", "clip"):
            del shot[name]
    del page["key"]
    page["film"]["sha256"] = packets(folder / "films" / "chain.mp4")
    return {**page, "shot_list": ""}


@pytest.mark.timeout(400)  # three runs
def test_the_flow_makes_the_film_that_shoot_makes_and_makes_it_once(
    environment: dict[str, str], chain: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With no server but a temporary one; the same file, the same manifest; again for nothing."""
    first = run(environment, chain / "film_flow.py")
    assert first.returncode == 0, first.stdout + first.stderr
    placed = orders(chain)
    other = tmp_path_factory.mktemp("shoot")
    shutil.copy(chain / "chain.yaml", other)
    done = subprocess.run(
        [BIN / "secondunit", "shoot", other / "chain.yaml"],
        env=environment, capture_output=True, text=True, timeout=170, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert manifest(chain) == manifest(other)
    assert placed == orders(other) == 3
    again = run(environment, chain / "film_flow.py")
    assert again.returncode == 0, again.stdout + again.stderr
    assert orders(chain) == placed
    assert manifest(chain) == manifest(other)


def test_a_flow_shoots_into_the_folder_and_from_the_folders_that_were_given(
    environment: dict[str, str], prefect_api: str, tmp_path: Path
) -> None:
    """A picture beside the project is refused to a flow that was compiled without its folder."""
    furnish(tmp_path / "refs")
    picture = next(p for p in (tmp_path / "refs").rglob("*.png"))
    project = tmp_path / "project"
    project.mkdir()
    page = {"One": {"prompt": "A pier.", "first_frame": str(picture), "duration": 2, "seed": 1}}
    (project / "chain.yaml").write_text(json.dumps({"title": "Roots", "shots": page}))
    words = ["compile", "chain.yaml", "-o", "film_flow.py", "--out", "../built"]
    given = [*words, "--root", "../refs"]
    done = subprocess.run([BIN / "secondunit", *given], cwd=project, env=environment, check=False)
    assert done.returncode == 0
    done = run(environment, project / "film_flow.py", PREFECT_API_URL=prefect_api)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "built" / "films" / "chain.mp4").exists()
    assert not (project / ".secondunit").exists()
    flow = project / "film_flow.py"
    flow.write_text(flow.read_text().replace('"../refs",', ""))
    refused = run(environment, flow, PREFECT_API_URL=prefect_api)
    assert refused.returncode == 2
    assert "Nothing was ordered." in refused.stderr


@pytest.mark.covers("H2")
def test_a_flow_that_prefect_breaks_off_goes_on_without_it(
    environment: dict[str, str], chain: Path
) -> None:
    with lame() as api:
        done = run(environment, chain / "film_flow.py", PREFECT_API_URL=api)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (done.stdout + done.stderr).count("the shots go on without it") == 1
    assert orders(chain) == 3
    assert (chain / "films" / "chain.mp4").exists()


def test_a_shot_list_with_other_shots_is_told_and_nothing_is_ordered(
    environment: dict[str, str], prefect_api: str, chain: Path
) -> None:
    more = CHAIN + "  Four: {prompt: A bell.}\n"
    (chain / "chain.yaml").write_text(more)
    done = run(environment, chain / "film_flow.py", PREFECT_API_URL=prefect_api)
    assert done.returncode == 2
    assert "the film has Four, and the flow joins it without." in done.stderr
    assert "Compile it again" in done.stderr
    assert "Nothing was ordered." in done.stderr
    assert "Traceback" not in done.stderr
    assert orders(chain) == 0


def test_a_flow_asks_for_the_review_that_its_shot_list_asks_for(
    environment: dict[str, str], prefect_api: str, chain: Path
) -> None:
    """A draft that is to be judged first is not passed over by a flow that spells out the film."""
    (chain / "chain.yaml").write_text(f"review: {{draft: required}}\n{CHAIN}")
    done = run(environment, chain / "film_flow.py", PREFECT_API_URL=prefect_api)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "The draft, which is judged first, lacks One, Two, Three." in done.stderr
    assert "chain.yaml` makes it. Nothing was ordered." in done.stderr
    assert orders(chain) == 0


def test_a_team_puts_its_own_task_between_the_shots(
    environment: dict[str, str], prefect_api: str, chain: Path
) -> None:
    """What they refuse goes no further, what does not wait for it goes on, and Prefect shows it all."""
    flow = chain / "film_flow.py"
    text = flow.read_text()
    grown = text.replace(
        '@task(name="conform"',
        "@task\nasync def look_over(name: str) -> None:\n"
        "    if not (Path(__file__).parent / 'agreed').exists():\n"
        "        raise ValueError(f'too dark: {today().clip(name).name}')\n\n\n"
        '@task(name="conform"',
    ).replace(
        'two = day.begin(shot, "Two", after=[one])',
        'seen = day.begin(look_over, "One", after=[one])\n'
        '        two = day.begin(shot, "Two", after=[seen])',
    )
    assert grown.count("look_over") == 4  # two of them in the docstring
    flow.write_text(grown)
    refused = run(environment, flow, PREFECT_API_URL=prefect_api)
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert "One · look_over: " in refused.stderr
    assert "too dark: clip.mp4" in refused.stderr
    assert orders(chain) == 2  # One and Three
    (chain / "agreed").touch()
    agreed = run(environment, flow, PREFECT_API_URL=prefect_api)
    assert agreed.returncode == 0, agreed.stdout + agreed.stderr
    assert orders(chain) == 3
    made = flow_run(prefect_api, "Chain")
    assert made["state_type"] == "COMPLETED"
    tasks = task_runs(prefect_api, made["id"])
    assert set(tasks) == {
        "One · gen4.5 · take 1", "Two · gen4.5 · take 1", "Three · gen4.5 · take 1", "One · look_over",
        "One · conform", "Two · conform", "Three · conform", "Film",
    }  # fmt: skip
    assert tasks["One · gen4.5 · take 1"]["state_name"] == "Cached"
    assert upstream(tasks, "Two · gen4.5 · take 1") == {"One · look_over"}
    assert upstream(tasks, "Film") == {"One · conform", "Two · conform", "Three · conform"}


def upstream(tasks: dict[str, dict[str, Any]], name: str) -> set[str]:
    given = {i["id"] for inputs in tasks[name]["task_inputs"].values() for i in inputs if "id" in i}
    return {other for other, r in tasks.items() if r["id"] in given}


def test_shots_that_need_nothing_roll_at_the_same_time(
    environment: dict[str, str], prefect_api: str, tmp_path: Path
) -> None:
    """Six shots are on order together; the last begins before the first is here."""
    shots = [f"Shot {n}" for n in range(1, 7)]
    page = {
        "title": "Fan",
        "defaults": {"duration": 2},
        "shots": {n: f"The sea, {n}." for n in shots},
    }
    (tmp_path / "fan.yaml").write_text(json.dumps(page))
    compiling.write(compiled(str(tmp_path / "fan.yaml")), tmp_path / "fan_flow.py")
    done = run(environment, tmp_path / "fan_flow.py", PREFECT_API_URL=prefect_api)
    assert done.returncode == 0, done.stdout + done.stderr
    tasks = task_runs(prefect_api, flow_run(prefect_api, "Fan")["id"])
    taken = [tasks[f"{name} · gen4.5 · take 1"] for name in shots]
    assert max(t["start_time"] for t in taken) < min(t["end_time"] for t in taken)


def test_prefect_deploys_the_file_and_a_worker_runs_it(
    environment: dict[str, str], prefect_api: str, chain: Path
) -> None:
    """`prefect deploy film_flow.py:film`, as its first lines say."""
    env = {**environment, "PREFECT_API_URL": prefect_api}

    def prefect(*arguments: str) -> str:
        done = subprocess.run(
            [BIN / "prefect", "--no-prompt", *arguments], env=env, cwd=chain,
            capture_output=True, text=True, timeout=170, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "prefect deploy film_flow.py:film" in (chain / "film_flow.py").read_text()
    prefect("work-pool", "create", "stage", "--type", "process")
    prefect("deploy", "film_flow.py:film", "--name", "by-hand", "--pool", "stage")
    prefect("deployment", "run", "Chain/by-hand")
    prefect("worker", "start", "--pool", "stage", "--run-once")
    made = flow_run(prefect_api, "Chain · final")
    assert made["state_type"] == "COMPLETED", made["state"]
    assert (chain / "films" / "chain.mp4").exists()
    assert orders(chain) == 3


@pytest.mark.timeout(400)  # two workers
def test_a_deployed_flow_is_suspended_for_a_review_and_goes_on_when_it_is_given(
    environment: dict[str, str], prefect_api: str, tmp_path: Path
) -> None:
    """It waits while another run is at work; stills are made, somebody says yes, the rest is made."""
    (tmp_path / "judged.yaml").write_text(
        "title: Judged\nreview: {stills: required}\ndefaults: {duration: 2, seed: 1}\nshots:\n"
        "  One: {prompt: A door opens., first_frame: {prompt: A door.}}\n  Two: A lamp turns.\n"
    )
    compiling.write(compiled(str(tmp_path / "judged.yaml")), tmp_path / "film_flow.py")
    env = {**environment, "PREFECT_API_URL": prefect_api}

    def prefect(*arguments: str) -> None:
        done = subprocess.run(
            [BIN / "prefect", "--no-prompt", *arguments], env=env, cwd=tmp_path,
            capture_output=True, text=True, timeout=170, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    prefect("work-pool", "create", "judged", "--type", "process")
    prefect("deploy", "film_flow.py:film", "--name", "judged", "--pool", "judged")
    prefect("deployment", "run", "Judged/judged")
    with Project(tmp_path).held():
        prefect("worker", "start", "--pool", "judged", "--run-once")
    put_off = flow_run(prefect_api, "Judged")
    assert put_off["state_name"] == "Waiting for its project", put_off["state"]
    due = datetime.fromisoformat(put_off["state"]["state_details"]["scheduled_time"])
    time.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()))
    prefect("worker", "start", "--pool", "judged", "--run-once")
    waiting = flow_run(prefect_api, "Judged")
    assert waiting["state_name"] == "Suspended", waiting["state"]
    assert orders(tmp_path) == 1
    answer = {"run_input": {"decision": "approve", "who": "Ida"}}
    assert ask(prefect_api, f"flow_runs/{waiting['id']}/resume", answer)["status"] == "ACCEPT"
    prefect("worker", "start", "--pool", "judged", "--run-once")
    made = flow_run(prefect_api, "Judged")
    assert made["id"] == waiting["id"]
    assert made["state_type"] == "COMPLETED", made["state"]
    assert orders(tmp_path) == 3
    page = json.loads((tmp_path / "films" / "judged.manifest.json").read_text())
    assert [review["who"] for review in page["reviews"]] == ["Ida"]


# --- flows that no longer fit -------------------------------------------------------------------


Wire = tuple[str, str, list[str]]
ONE: Wire = ("shot", "One", [])


@pytest.fixture
def begin(chain: Path) -> Callable[..., None]:
    """Wire a flow for the chain: each call is (task, shot, what it comes after); nothing is run."""
    from secondunit.flow.wiring import Wiring

    def wire(*calls: Wire) -> None:
        wiring = Wiring(compiled(str(chain / "chain.yaml")))
        done: dict[str, frozenset[str]] = {}
        for work, shot, after in calls:
            before = frozenset[str]().union(*(done[one] for one in after))
            seen = wiring.seen(work, (shot,) if shot else (), before)
            done[f"{work} {shot}"] = before | seen.makes

    return wire


def test_a_flow_that_fits_is_taken(begin: Callable[..., None]) -> None:
    seen: Wire = ("look_over", "One", ["shot One"])
    two: Wire = ("shot", "Two", ["look_over One"])
    three: Wire = ("shot", "Three", [])
    fitted: list[Wire] = [("conform", n, [f"shot {n}"]) for n in ("One", "Two", "Three")]
    join: Wire = ("join", "", ["conform One", "conform Two", "conform Three"])
    begin(ONE, seen, two, three, *fitted, join)


@pytest.mark.parametrize(
    ("calls", "said"),
    [
        (
            [ONE, ("shot", "Two", [])],
            "One is needed for the shot of Two, and the flow does not wait",
        ),
        ([("shot", "Four", [])], "it asks for no shot of Four, and the flow makes one"),
        ([("still", "One", [])], "it asks for no still of One"),
        ([ONE, ("conform", "One", [])], "One is needed for the conform of One"),
        ([("conform", "Four", [])], "Four is not in the film"),
        (
            [ONE, ("conform", "One", ["shot One"]), ("join", "", ["conform One"])],
            "the film has Two, Three, and the flow joins it without",
        ),
    ],
)
def test_a_step_that_does_not_fit_is_refused_before_it_begins(
    begin: Callable[..., None], calls: list[Wire], said: str
) -> None:
    with pytest.raises(UsageError, match=said) as told:
        begin(*calls)
    assert "chain.yaml" in str(told.value)
    assert "Compile it again with `secondunit compile`" in str(told.value)
    assert str(told.value).endswith("Nothing was ordered.")


def test_a_flow_of_several_takes_fits_when_one_of_them_was_circled(tmp_path: Path) -> None:
    """What it begins for the others is the circled one, which is taken once."""
    from secondunit.flow.wiring import Wiring

    text = "shots: {One: {prompt: A door opens., takes: 3%s}, Two: {prompt: x, continues: One}}"
    (tmp_path / "film.yaml").write_text(text % ", circled: 2")
    wiring = Wiring(compiled(str(tmp_path / "film.yaml")))
    began = [wiring.seen("shot", (f"One take {n}",), frozenset()) for n in (1, 2, 3)]
    assert {seen.label for seen in began} == {"One · gen4.5 · take 2"}
    assert wiring.seen("shot", ("Two",), began[-1].makes).step
    assert wiring.seen("conform", ("One",), began[-1].makes).makes
    with pytest.raises(UsageError, match="it asks for no shot of Four take 1"):
        wiring.seen("shot", ("Four take 1",), frozenset())


def test_a_task_outside_of_a_flow_says_where_it_belongs() -> None:
    from secondunit.flow.day import today

    with pytest.raises(UsageError, match=r"begin it with `day\.begin`"):
        today()
