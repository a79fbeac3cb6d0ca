"""CometAPI: the same shot list, the other models, two shapes of a task, a price for each call."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
from typing import TYPE_CHECKING, Any

import comet
import pytest
from comet import BROKE, NOT_YET, Comet, enveloped, orbiting
from pages import furnish, plan, refusal, said
from programs import BIN
from reel import reel
from strict import Life, Reply
from strict_rules import Judge
from test_shoot_command import frames

from secondunit import catalog
from secondunit.errors import UsageError
from secondunit.gateways import answers
from secondunit.gateways.wire import Credentials, WireGateway
from secondunit.plan import File, Link, fill
from secondunit.ports import Doubtful, NotSent, Ordered, Progress, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping
    from pathlib import Path

KEY = "sk-" + "c0me7" * 9
TURN: Mapping[str, Any] = {"model": "gen4_turbo", "promptImage": "https://example.com/door.png"}


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    return reel(tmp_path_factory.mktemp("reel"))


@pytest.fixture
def far(footage: Callable[..., bytes]) -> Iterator[Comet]:
    with orbiting(footage) as far:
        far.key = KEY
        yield far


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return furnish(tmp_path_factory.mktemp("comet") / "set")


# --- one shot list, two gateways ------------------------------------------------------------------

EVERY_KIND = """\
shots:
  likeness: {prompt: A keeper waits by the lamp., reference: refs/keeper.png, seed: 7}
  exact: {prompt: The door opens., first_frame: refs/door.png, duration: 5}
  drawn: {prompt: He turns., first_frame: {prompt: A blue door.}, references: [refs/door.png]}
  next: {prompt: He walks on., continues: exact, duration: 10}
  edit: {prompt: Make it night., source: plates/meadow.mp4, reference: refs/cliff.jpg}
  made over: {prompt: Make it snow., source: next, ratio: '9:16', moderation: low}
  linked: {prompt: Dusk., source: 'https://example.com/plate.mp4'}
  own: {clip: plates/meadow.mp4}
"""
SIZE = ["ratio", "seed"]
MOVES = ["duration", "promptImage", "promptText", *SIZE]
# Shot, then model and fields (beside `model`) at Runway and at CometAPI, in the order they are made.
BOTH = [
    ("likeness", ("gen4_image", ["promptText", *SIZE, "referenceImages"]),
                 ("gen4_image", ["promptText", *SIZE, "referenceImages"])),
    ("likeness", ("gen4.5", MOVES), ("gen4_turbo", MOVES)),
    ("exact", ("gen4.5", MOVES), ("gen4_turbo", MOVES)),
    ("drawn", ("gen4_image", ["promptText", *SIZE, "referenceImages"]),
              ("gen4_image", ["promptText", *SIZE, "referenceImages"])),
    ("drawn", ("gen4.5", MOVES), ("gen4_turbo", MOVES)),
    ("next", ("gen4.5", MOVES), ("gen4_turbo", MOVES)),
    ("edit", ("aleph2", ["keyframes", "promptText", "seed", "videoUri"]),
             ("gen4_aleph", ["promptText", "references", "seed", "videoUri"])),
    ("made over", ("aleph2", ["contentModeration", "promptText", "seed", "targetAspectRatio",
                              "videoUri"]),
                  ("gen4_aleph", ["contentModeration", "promptText", *SIZE, "videoUri"])),
    ("linked", ("aleph2", ["promptText", "seed", "videoUri"]),
               ("gen4_aleph", ["promptText", "seed", "videoUri"])),
]  # fmt: skip


def sent(given: Any, footage: Callable[..., bytes]) -> str:
    """Return the URI that stands for an input when it is sent."""
    if isinstance(given, Link):
        return given.url
    if isinstance(given, File):
        data, mime = given.asset.data(), given.asset.mime
    elif given.part == "clip":
        data, mime = footage("clip", (1280, 720), 5), "video/mp4"
    else:
        data, mime = footage("still", (1280, 720), 0), "image/png"
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


@pytest.mark.parametrize("gateway", ["runway", "cometapi"])
def test_one_shot_list_becomes_what_each_vendor_documents(
    gateway: str, folder: Path, footage: Callable[..., bytes]
) -> None:
    made = plan(EVERY_KIND, folder, gateway=gateway)
    side = 1 if gateway == "runway" else 2
    got = [(s.shot, (s.model, sorted(s.request.body.keys() - {"model"}))) for s in made.orders
           if s.request]  # fmt: skip
    assert got == [(row[0], (row[side][0], sorted(row[side][1]))) for row in BOTH]
    for step in made.orders:
        assert step.request is not None
        body = fill(step.request.body, lambda given: sent(given, footage))
        if gateway == "runway":
            Judge(step.request.endpoint, body, {}).judge()
        else:
            comet.judge(step.request.endpoint, body)


def test_the_reference_of_an_edit_is_a_keyframe_here_and_a_typed_picture_there(
    folder: Path,
) -> None:
    here, there = (
        next(s.request.body for s in plan(EVERY_KIND, folder, gateway=g).orders
             if s.shot == "edit" and s.request)
        for g in ("runway", "cometapi")
    )  # fmt: skip
    (keyframe,), (reference,) = here["keyframes"], there["references"]
    assert keyframe == {"uri": reference["uri"], "at": 0.0}
    assert reference["type"] == "image"


def test_an_edit_of_its_own_ratio_is_painted_around_here_and_made_in_that_size_there(
    folder: Path,
) -> None:
    here, there = (
        next(s for s in plan(EVERY_KIND, folder, gateway=g).orders if s.shot == "made over")
        for g in ("runway", "cometapi")
    )
    assert here.request is not None
    assert there.request is not None
    assert here.request.body["targetAspectRatio"] == "9:16"
    assert there.request.body["ratio"] == "720:1280"
    assert (here.size, there.size) == (None, (720, 1280))


@pytest.mark.parametrize(
    ("shot", "place", "sentence"),
    [
        ("prompt: x", "{p", "no model of cometapi makes a still from words alone. Give a `reference`"),
        ("prompt: x, first_frame: refs/door.png, seed: 1000000000", "1000000000",
         "1000000000 is above 999999999, the most gen4_turbo takes at cometapi."),
        (f"first_frame: refs/door.png, prompt: {'x' * 513}", "xxx",
         "the prompt has 513 characters as gen4_turbo counts them"),
        ("prompt: x, source: plates/meadow.mp4, references: [refs/door.png, refs/boy.png]", "refs/boy",
         "gen4_aleph takes 1 reference at most for an edit, and these are 2. Take some out."),
        ("source: plates/meadow.mp4, reference: refs/door.png", "{s", "gen4_aleph needs words."),
        ("prompt: x, first_frame: refs/door.png, ratio: '1280:768'", "'1280",
         "gen4_turbo cannot make 1280:768."),
        ("prompt: x, source: plates/meadow.mp4, model: aleph2", "aleph2",
         "cometapi has no model called aleph2."),
    ],
)  # fmt: skip
def test_what_it_does_not_take_is_said_with_its_place(
    shot: str, place: str, sentence: str, folder: Path
) -> None:
    text = f"shots: [{{{shot}}}]"
    told = said(text, folder, gateway="cometapi")
    assert sentence in told
    assert told.startswith(f"1:{text.index(place) + 1}:"), told


def test_only_the_first_five_seconds_of_a_source_are_used_and_that_is_said(folder: Path) -> None:
    edit = "shots: [{prompt: Night., source: plates/meadow.mp4, trim: [0, 5.2]}]"
    assert "shots[0].trim" in said(edit, folder, gateway="cometapi")
    made = plan(edit.replace(", trim: [0, 5.2]", ""), folder, gateway="cometapi")
    assert made.orders[0].seconds == 5.0
    assert [r.message for r in made.remarks if r.code == "source-cut"] == [
        "gen4_aleph uses the first 5 s of a source, and this one lasts 5.3 s. To keep the rest,"
        " cut it into pieces."
    ]
    assert plan(edit, folder, gateway="runway").orders[0].seconds == pytest.approx(5.28, abs=0.01)


@pytest.mark.parametrize(
    ("shot", "column"),
    [
        ("{prompt: x, source: large.mp4}", 21),
        ("{prompt: x, first_frame: large.png}", 26),
        ("{prompt: x, reference: large.png}", 24),
        ("{prompt: x, source: plate}", 21),
    ],
)
def test_a_file_too_large_for_an_order_is_refused_before_anything_is_bought(
    shot: str, column: int, tmp_path: Path
) -> None:
    """CometAPI takes no uploads, so a file has to fit into the order itself."""
    where = furnish(tmp_path / "set")
    padding = bytes(4_000_000)
    film = (where / "plates/meadow.mp4").read_bytes()
    free = (len(padding) + 8).to_bytes(4) + b"free"
    (where / "large.mp4").write_bytes(film + free + padding)
    picture = (where / "refs/door.png").read_bytes()
    (where / "large.png").write_bytes(picture + padding)
    text = f"shots:\n  plate: {{clip: large.mp4}}\n  it: {shot}\n"
    (problem,) = refusal(text, where, gateway="cometapi").problems
    assert (problem.line, problem.column) == (3, column + 6)
    assert "MB; cometapi takes no uploads, and an order carries 3.9 MB at most." in problem.message
    assert plan(text, where, gateway="runway").orders


def test_a_clip_that_is_still_to_be_made_may_not_fit_and_that_is_said_before_it_is_bought(
    folder: Path,
) -> None:
    made = plan(EVERY_KIND, folder, gateway="cometapi")
    assert [(r.where, r.message) for r in made.remarks if r.code == "may-not-fit"] == [
        ('shots."made over".source', "cometapi takes no uploads, and an order carries 3.9 MB at most."
         " Whether the clip of next fits is known once it is made and paid for."),
    ]  # fmt: skip
    assert not [r for r in plan(EVERY_KIND, folder).remarks if r.code == "may-not-fit"]


# --- prices ----------------------------------------------------------------------------------------


def test_an_unknown_price_is_remarked_on_once_with_the_way_to_state_one(folder: Path) -> None:
    made = plan(EVERY_KIND, folder, gateway="cometapi")
    told = {r.where: r.message for r in made.remarks if r.code == "unknown-price"}
    assert told.keys() == {"shots.likeness", "shots.edit"}
    assert told["shots.edit"] == (
        "no price is published for gen4_aleph at cometapi, and without one it is not ordered. State"
        ' what a call costs you in settings.toml, under `[prices]`: `"cometapi.gen4_aleph" = "$…"`.'
    )
    assert not [r for r in plan(EVERY_KIND, folder).remarks if r.code == "unknown-price"]


def test_a_stated_price_is_for_the_call_and_wins_over_the_catalogue(folder: Path) -> None:
    prices = {"cometapi.gen4_turbo": 25, "cometapi.gen4_aleph": 40, "runway.gen4.5": 1}
    made = plan(EVERY_KIND, folder, gateway="cometapi", prices=prices)
    assert not [r for r in made.remarks if r.code == "unknown-price"]
    assert {(s.model, s.credits) for s in made.orders} == {
        ("gen4_image", 32), ("gen4_turbo", 25), ("gen4_aleph", 40),
    }  # fmt: skip
    cheap = plan(EVERY_KIND, folder, gateway="cometapi", prices={"cometapi.gen4_image": 20})
    assert {s.credits for s in cheap.orders if s.model == "gen4_image"} == {20}
    assert {s.credits for s in cheap.orders if s.model != "gen4_image"} == {None}
    runway = plan(EVERY_KIND, folder, gateway="runway", prices=prices)
    assert {s.credits for s in runway.orders if s.model == "gen4.5"} == {1}
    assert made.steps[0].key == plan(EVERY_KIND, folder, gateway="cometapi").steps[0].key


# --- the wire ---------------------------------------------------------------------------------------


def ask(question: Callable[[WireGateway], Coroutine[Any, Any, Any]], far: Comet) -> Any:
    async def asked() -> Any:
        gateway = WireGateway(catalog.load().gateways["cometapi"], Credentials(far.url, KEY))
        try:
            return await question(gateway)
        finally:
            await gateway.close()

    return asyncio.run(asked())


def create(far: Comet, endpoint: str = "image_to_video", body: Any = TURN) -> Any:
    gateway = WireGateway(catalog.load().gateways["cometapi"], Credentials(far.url, KEY))
    return gateway.create(endpoint, body, shot="s")


@pytest.mark.parametrize("envelope", [False, True])
def test_a_ticket_is_followed_to_its_end_in_both_shapes(far: Comet, envelope: bool) -> None:
    far.envelope, far.late = envelope, 2
    ordered = create(far)
    assert isinstance(ordered, Ordered)
    assert ordered.estimate is None
    heard = [ask(lambda gateway: gateway.poll(ordered.ticket), far) for _ in range(5)]
    assert heard[:2] == [None, None]
    assert [h.state for h in heard[2:]] == ["PENDING", "RUNNING", "SUCCEEDED"]
    assert heard[3].progress == 0.42
    assert [u.split("?")[0] for u in heard[4].outputs] == [f"{far.files}/out/{ordered.ticket}/0"]
    assert heard[4].credits is None


@pytest.mark.parametrize("envelope", [False, True])
def test_a_failure_is_told_in_the_words_of_the_task(far: Comet, envelope: bool) -> None:
    far.envelope = envelope
    far.living("", Life(states=("FAILED",), failure="Not this.", code="SAFETY.INPUT.TEXT"))
    ticket = create(far, body=TURN | {"promptText": "He falls."}).ticket
    said = ask(lambda gateway: gateway.poll(ticket), far)
    assert said == Progress("FAILED", 1.0 if envelope else None, (), None, "Not this.",
                            "SAFETY.INPUT.TEXT")  # fmt: skip


UNKNOWN = [
    (400, NOT_YET),
    (404, {"error": "does not exist"}),
    (404, NOT_YET),
    (500, NOT_YET),
    (429, NOT_YET),
    (200, NOT_YET),
    (200, {"code": "error", "message": "task_not_exist (request id: 7)"}),
    (400, comet.refusal("task_not_exist", "")),
    (403, comet.refusal("no such task", "task_not_exist")),
    (400, {"error": "task_not_exist"}),
]


@pytest.mark.covers("D8")
@pytest.mark.parametrize(("status", "page"), UNKNOWN)
def test_a_ticket_that_does_not_exist_yet_is_unknown_whatever_the_status(
    far: Comet, status: int, page: Any
) -> None:
    far.script("tasks", comet.said(status, page))
    assert ask(lambda gateway: gateway.poll("t"), far) is None


def test_what_it_does_not_offer_is_never_asked_for(far: Comet) -> None:
    gateway = WireGateway(catalog.load().gateways["cometapi"], Credentials(far.url, KEY))
    assert gateway.evidence() is None
    assert ask(lambda gateway: gateway.account(), far) is None
    with pytest.raises(UsageError, match="cometapi takes no ticket back, so t goes on"):
        ask(lambda gateway: gateway.cancel("t"), far)
    with pytest.raises(UsageError) as large:
        ask(lambda g: g.upload(bytes(6_000_000), "plate.mp4", "video/mp4"), far)
    assert str(large.value) == (
        "plate.mp4 has 6.0 MB, and cometapi takes no uploads: an order carries 3.9 MB at most."
        " Make it smaller or shorter, or name an https link to it. Nothing was ordered for this"
        " shot."
    )
    assert far.requests == []


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (comet.said(403, BROKE),
         Rejected("insufficient_user_quota; user quota is not enough (request id: 20261121)", 403,
                  money=True)),
        (comet.said(400, comet.refusal("model name is required", "")),
         Rejected("model name is required", 400)),
        (comet.said(429, comet.refusal("saturated", "")),
         NotSent("too many at once: saturated", busy=True)),
        (comet.said(500, comet.refusal("bad body")),
         Doubtful("the gateway answered 500: invalid_request; bad body")),
        (Reply(301, b"", {"Location": "https://www.cometapi.com/"}),
         Doubtful("the gateway answered 301: it gives no reason that can be read")),
    ],
)  # fmt: skip
def test_a_refusal_is_told_in_its_words_and_doubt_stays_doubt(
    far: Comet, reply: Reply, outcome: Any
) -> None:
    """Its guide calls a 500 with `invalid_request` a bad body; it promises nothing about charges."""
    far.script("image_to_video", reply)
    assert create(far) == outcome
    assert far.requests == ["POST image_to_video"]


def test_the_stand_in_refuses_what_its_pages_do_not_allow(footage: Callable[..., bytes]) -> None:
    """Otherwise the tests above could not fail."""
    wrong: tuple[tuple[str, Any], ...] = (
        ("image_to_video", TURN | {"duration": 7}),
        ("image_to_video", TURN | {"seed": 10**9}),
        ("image_to_video", TURN | {"promptImage": "runway://x"}),
        ("image_to_video", TURN | {"model": "gen4.5"}),
        ("video_to_video", {"model": "gen4_aleph", "videoUri": TURN["promptImage"]}),
        ("text_to_image", {"model": "gen4_image", "promptText": "x", "ratio": "1280:720"}),
        ("text_to_video", TURN),
    )
    for endpoint, body in wrong:
        far = Comet(footage)
        far.key = KEY
        assert isinstance(create(far, endpoint, body), Rejected)
        assert len(far.problems) == 1
        far.close()


def feed(**more: Any) -> Progress:
    """Read a task in the form of the feed: the inside of an envelope, with nothing around it."""
    return answers.progress({"task_id": "t", "status": "SUCCESS", "fail_reason": ""} | more)


def test_the_output_may_be_named_by_the_envelope_alone() -> None:
    link, other = "https://cdn.example.com/out.mp4", "https://cdn.example.com/poster.mp4"
    assert feed(result_url=link, video_url=other).outputs == (link,)
    assert feed(video_url=link).outputs == feed(fail_reason=link).outputs == (link,)
    assert feed(fail_reason="done").outputs == ()
    assert feed(status="FAILURE", fail_reason=link).outputs == ()
    native = {"id": "t", "status": "SUCCEEDED", "output": [other]}
    assert feed(result_url=link, data=native).outputs == (other,)
    page = enveloped(native)["data"]
    del page["task_id"]
    assert answers.progress(page).outputs == (other,)


def test_odd_words_are_neither_progress_nor_an_unknown_ticket() -> None:
    assert answers.progress({"status": "RUNNING", "progress": True}).progress is None
    assert answers.progress({"status": "RUNNING", "progress": "250%"}).progress is None
    told = {"id": "t", "status": "FAILED", "failure": "No.", "message": "task_not_exist"}
    assert not answers.unknown(json.dumps(told).encode())
    assert not answers.unknown(json.dumps(enveloped(told) | {"message": "task_not_exist"}).encode())
    assert answers.said(b'{"error":"","message":"No such model."}') == "No such model"


def test_a_redirect_with_a_ticket_in_it_is_no_order() -> None:
    assert isinstance(answers.outcome(300, b'{"id":"t"}', {}), Doubtful)


# --- the command ------------------------------------------------------------------------------------

FILM = """title: Far away
defaults: {duration: 5, ratio: '16:9', seed: 7}
shots:
  one: {prompt: A door opens., reference: refs/door.png}
  two: {prompt: A lamp turns., source: plates/meadow.mp4}
  three: {prompt: He turns around., continues: one}
"""
PRICES = '[prices]\n"cometapi.gen4_turbo" = "$0.25"\n"cometapi.gen4_aleph" = "$0.40"\n'


class Set:
    """A shot list in a folder of its own, a user's settings, and the command as a person types it."""

    def __init__(self, folder: Path, far: Comet, environment: dict[str, str], api: str) -> None:
        self.folder = furnish(folder / "set")
        self.file = self.folder / "far.yaml"
        self.file.write_text(FILM)
        self.settings = folder / "config/secondunit/settings.toml"
        self.settings.parent.mkdir(parents=True)
        self.far = far
        self.environment = {
            **environment,
            "PREFECT_API_URL": api,
            "COMETAPI_API_KEY": KEY,
            "XDG_CONFIG_HOME": str(folder / "config"),
        }

    def shoot(self, *options: str) -> tuple[int, str]:
        done = subprocess.run(
            [BIN / "secondunit", "shoot", self.file, "--gateway", "cometapi",
             "--base-url", self.far.url, "--yes", "--budget", "$5", *options],
            env=self.environment, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        assert KEY not in done.stdout + done.stderr
        return done.returncode, done.stdout + done.stderr

    @property
    def manifest(self) -> Any:
        return json.loads((self.folder / "films" / "far.manifest.json").read_text())


@pytest.fixture
def at(tmp_path: Path, far: Comet, environment: dict[str, str], prefect_api: str) -> Set:
    return Set(tmp_path, far, environment, prefect_api)


def test_what_has_no_price_is_not_ordered_and_a_stated_price_is_kept_to(
    at: Set, far: Comet
) -> None:
    code, told = at.shoot("--only", "two")
    assert code == 4, told
    assert "cometapi.gen4_aleph" in told
    assert far.orders == []
    at.settings.write_text(PRICES)
    far.per_call |= {"gen4_turbo": 25}
    far.late = 1
    far.living("A lamp", Life(states=("FAILED",), failure="Not this.", code="SAFETY.OUTPUT"))
    code, told = at.shoot()
    assert code == 1, told
    assert "Not this" in told
    assert len(far.orders) == 4
    at.file.write_text(FILM.replace("A lamp turns", "A lamp burns"))
    far.envelope = True
    code, told = at.shoot()
    assert code == 0, told
    assert [body["model"] for _, body in far.orders[4:]] == ["gen4_aleph"]
    assert frames(at.folder / "films" / "far.mp4") > 300
    assert {s["shot"]: s["model"] for s in at.manifest["shots"]} == {
        "one": "gen4_turbo", "two": "gen4_aleph", "three": "gen4_turbo",
    }  # fmt: skip
    assert not [r for r in far.requests if "organization" in r or r.startswith("DELETE")]


def test_an_empty_account_stops_the_run_and_leaves_nothing_in_doubt(at: Set, far: Comet) -> None:
    at.settings.write_text(PRICES)
    far.script("text_to_image", comet.said(403, BROKE))
    code, told = at.shoot("--only", "one")
    assert code == 4, told
    assert "user quota is not enough" in told
    assert len(far.orders) == 1


def test_an_envelope_alone_is_enough_to_be_told_how_it_ended() -> None:
    native = {"id": "t", "status": "RUNNING", "createdAt": "2026-03-13T09:52:46+08:00"}
    page = enveloped(native)
    assert answers.progress(page).state == "RUNNING"
    page["data"] |= {"status": "FAILURE", "fail_reason": "timed out"}
    given_up = answers.progress(page)
    assert (given_up.state, given_up.failure) == ("FAILED", "timed out")
    assert given_up.failure_code == answers.UNTOLD
    page["data"] |= {"status": "SUCCESS", "fail_reason": "https://cdn.example.com/out.mp4"}
    assert answers.progress(page).outputs == ("https://cdn.example.com/out.mp4",)
    assert answers.progress(page["data"]) == answers.progress(page)
    page["data"]["data"] = {**native, "status": "FAILED", "failure": "No.", "failureCode": "X"}
    assert (answers.progress(page).state, answers.progress(page).failure_code) == ("FAILED", "X")
    page["data"] |= {"status": "UNKNOWN", "data": None}
    assert answers.progress(page).state == "UNKNOWN"
