"""Everything that can be wrong with a shot, and what is doubtful: told with its place and a way out."""

from __future__ import annotations

from datetime import date

import pytest
from footage import counting, photograph
from pages import furnish, plan, refusal, said
from PIL import Image

from secondunit import catalog
from secondunit.errors import UsageError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return furnish(tmp_path_factory.mktemp("refusals") / "set")


# --- everything that is wrong -----------------------------------------------------------------

WRONG = [
    # contradictions name both ways out
    ("source: plates/meadow.mp4, first_frame: refs/door.png", "first_frame",
     "`source` and `first_frame` contradict each other. Keep `source` to edit that video, or"
     " `first_frame` to open on that picture."),
    ("clip: plates/meadow.mp4, source: plates/meadow.mp4", "source",
     "Keep `clip` to use that file as it is, or `source` to edit that video."),
    ("first_frame: refs/door.png, continues: sh010", "first_frame", "contradict each other"),
    # models
    ("model: gen4.6", "model", "backlot has no model called gen4.6. Did you mean `gen4.5`?"),
    ("model: gen3a_turbo", "model", "gen3a_turbo was retired on 2026-07-30; use gen4_turbo."),
    ("model: gen4_aleph, source: plates/meadow.mp4", "model", "retired on 2026-07-30; use aleph2."),
    ("model: veo3", "model", "veo3 was retired on 2026-08-13; use veo3.1."),
    ("model: upscale_v1, source: plates/meadow.mp4", "model", "2026-01-17. These do: aleph2"),
    ("model: aleph2", "model", "aleph2 only edits. Give this shot a `source`"),
    ("model: gen4_turbo, source: plates/meadow.mp4", "model", "edits no video. These do: aleph2"),
    ("model: gen4_image", "model", "gen4_image makes stills, not video"),
    ("model: act_two", "model", "needs a `performance`, which is not built yet"),
    ("model: kling3.0_pro", "model", "cannot be ordered yet: no price for it is published."),
    # ratios and lengths
    ("ratio: '1920:1080'", "ratio", "gen4.5 cannot make 1920:1080. It makes 1280:720"),
    ("model: veo3.1, ratio: '1:1'", "ratio", "veo3.1 cannot make 1:1. It makes 1280:720, 720:1280"),
    ("duration: 10.5", "duration", "gen4.5 makes 2 to 10 seconds, not 10.5. Make it two"),
    ("duration: 12", "duration", "Make it two shots, the second of which `continues` the first."),
    ("duration: 9, model: veo3.1", "duration", "veo3.1 makes 4, 6 or 8 seconds, not 9. Make it two"),
    ("duration: 6, source: plates/meadow.mp4", "duration", "an edit lasts as long as its source"),
    # names
    ("continues: sh01", "continues", "there is no shot called `sh01`. Did you mean `sh010`?"),
    ("source: sh01", "source", "there is no shot called `sh01`. Did you mean `sh010`?"),
    ("first_frame: {from: nobody.last}", "first_frame", "called `nobody`. There are sh010"),
    ("location: peer", "location", "there is no location called `peer`. Did you mean `pier`?"),
    ("look: noir", "look", "there is no look called `noir`. There are fog."),
    # files
    ("source: plates/gone.mp4", "source", "there is no file `plates/gone.mp4`."),
    ("first_frame: refs/dor.png", "first_frame", "Did you mean `refs/door.png`?"),
    ("first_frame: refs", "first_frame", "refs is a folder. Name a file inside it."),
    ("reference: plates/meadow.mp4", "reference", "it is an MP4 video, and not PNG, JPEG or WebP"),
    ("source: plates/short.mp4", "source", "the source lasts 1.0 s; aleph2 takes 2 to 30 s."),
    ("source: plates/long.mp4", "source", "the source lasts 40.0 s; aleph2 takes 2 to 30 s."),
    ("source: plates/fast.mp4", "source", "runs at 60 frames a second; aleph2 takes 30 at most."),
    ("source: plates/strip.mp4", "source", "it is 480×160, 3.00 times as wide as high"),
    ("first_frame: refs/wide.png", "first_frame", "it is 900×300, 3.00 times as wide as high"),
    ("reference: 'http://example.com/a.png'", "reference", "a link has to begin with https://"),
    ("reference: 'https://127.0.0.1/a.png'", "reference", "An address needs a domain name"),
    ("reference: ../x.png", "reference", "and only files below it may be sent."),
    # references
    ("references: [{file: refs/door.png, tag: hat}, {file: refs/boy.png, tag: hat}]", "references[1]",
     "the tag `hat` is given twice."),
    ("reference_as: first_frame", "reference_as", "there is no reference to open on."),
]  # fmt: skip


@pytest.fixture(scope="module")
def lot(folder):
    """Put footage beside the rest that no model takes."""
    counting(folder / "plates/short.mp4", frames=24)
    counting(folder / "plates/long.mp4", frames=24 * 40, size="160x90")
    counting(folder / "plates/fast.mp4", frames=180, fps="60")
    counting(folder / "plates/strip.mp4", frames=96, size="480x160")
    Image.new("RGB", (900, 300)).save(folder / "refs/wide.png")
    return folder


@pytest.mark.parametrize(("shot", "field", "message"), WRONG)
def test_what_is_wrong_is_told_with_its_place_and_a_way_out(shot, field, message, lot):
    text = """\
looks: {fog: cold fog}
locations: {pier: a pier}
shots:
  - A plain.
  - prompt: Rain.
"""
    text += "".join(f"    {line}\n" for line in split(shot))
    problems = refusal(text, lot).problems
    assert [p.where for p in problems] == [f"shots[1].{field}"]
    assert message in problems[0].message
    assert problems[0].line > 5


def split(shot: str) -> list[str]:
    """Put the fields of a flow mapping on lines of their own."""
    lines, depth = [""], 0
    for character in shot:
        depth += (character in "[{") - (character in "]}")
        if character == "," and not depth:
            lines.append("")
        else:
            lines[-1] += character
    return [line.strip() for line in lines]


MISSPELT = [
    ("'@keper walks in.'", "nothing is called @keper. Did you mean @keeper?"),
    ("{prompt: '@hatt.', reference: {file: refs/door.png, tag: hat}}", "Did you mean @hat?"),
]


@pytest.mark.parametrize(("shot", "message"), MISSPELT)
def test_a_misspelt_mention_is_refused(shot, message, folder):
    assert message in said(f"cast: {{keeper: an old man}}\nshots:\n  - {shot}", folder)


def test_a_mention_of_nobody_may_be_meant_so_and_is_remarked_upon(folder):
    made = plan("shots: ['A neon sign: @nightclub.']", folder)
    assert [r.code for r in made.remarks] == ["unknown-tag"]
    assert made.steps[0].request.body["promptText"] == "A neon sign: nightclub."


def test_several_problems_of_one_order_are_told_at_once(folder):
    page = said(f"shots: [{{prompt: {'x' * 1001}, duration: 99, location: moon}}]", folder)
    assert [line.split(": ")[1] for line in page.splitlines()] == [
        "shots[0].prompt", "shots[0].duration", "shots[0].location",
    ]  # fmt: skip


LENGTHS = [
    ("gen4.5", "🎬" * 500, True),
    ("gen4.5", "🎬" * 500 + "x", False),
    ("gen4.5", "x" * 1001, False),
    ("seedance2", "x" * 3500, True),
    ("seedance2", "é" * 3501, False),
]


@pytest.mark.parametrize(("model", "prompt", "fits"), LENGTHS)
def test_prompts_are_counted_in_utf16_as_the_model_does(model, prompt, fits, folder):
    text = f"shots: [{{prompt: '{prompt}', model: {model}}}]"
    if fits:
        assert plan(text, folder).steps
    else:
        units = len(prompt.encode("utf-16-le")) // 2
        assert f"the prompt has {units} characters as {model} counts them" in said(text, folder)


def test_what_descriptions_add_is_counted_too(folder):
    text = f"cast: {{man: {'x' * 600}}}\nshots: ['@man meets @man.']"
    assert "with all that is added to it; at most 1000 are taken." in said(text, folder)


COMET = [
    ("prompt: x", "no model of cometapi makes a still from words alone. Give a `reference`"),
    ("prompt: x, model: gen4.5, first_frame: refs/door.png", "cometapi has no model called gen4.5."),
    ("prompt: x, reference: refs/door.png, seed: 4294967295", "is above 999999999, the most gen4_turbo"),
    ("prompt: x, reference: refs/door.png, duration: 11", "makes 5 or 10 seconds, not 11."),
    ("prompt: x, source: plates/meadow.mp4, references: [refs/door.png, refs/boy.png]",
     "gen4_aleph takes 1 reference at most for an edit, and these are 2."),
]  # fmt: skip


@pytest.mark.parametrize(("shot", "message"), COMET)
def test_what_another_gateway_cannot_do(shot, message, folder):
    assert message in said(f"shots: [{{{shot}}}]", folder, gateway="cometapi")


def test_too_many_references_come_together(folder):
    text = """\
cast:
  one: {description: a, references: [refs/door.png, refs/boy.png]}
  two: {description: b, references: [refs/cliff.jpg, refs/keeper.png]}
shots: ['@one and @two']
"""
    assert "4 reference pictures come together here" in said(text, folder)
    assert len(plan(text.replace(", refs/keeper.png", ""), folder).steps[0].request.inputs()) == 3


def test_a_quality_that_is_not_there(folder):
    assert "there is no quality called `finl`. Did you mean `final`?" in said(
        "quality: finl\nshots: [x]", folder
    )
    with pytest.raises(UsageError, match="--quality: there is no quality called `best`"):
        plan("shots: [x]", folder, quality="best")


def test_a_wrong_model_in_a_profile_is_told_where_it_is_written(folder):
    text = "quality: mine\nprofiles:\n  mine:\n    video: gen4_aleph\nshots: [x]"
    page = said(text, folder)
    assert page.startswith("4:12: profiles.mine.video: gen4_aleph was retired on 2026-07-30")


# --- remarks ----------------------------------------------------------------------------------

DOUBTS = [
    ("prompt: 'Push in, then pan left.'", "camera-moves"),
    ("prompt: 'A sign says \"Bar\".'", "quoted-text"),
    ("prompt: Make it night and add rain., source: plates/meadow.mp4", "many-changes"),
    ("clip: plates/meadow.mp4, prompt: x, seed: 1", "unused"),
    ("prompt: x, first_frame: refs/large.png, reference: refs/large.png", "unused"),
    ("prompt: x, model: veo3.1, moderation: low", "unused"),
    ("prompt: x, first_frame: refs/door.png", "small-reference"),
    ("prompt: x, first_frame: refs/flat.png", "blurred-reference"),
]


@pytest.mark.parametrize(("shot", "code"), DOUBTS)
def test_what_is_doubtful_is_remarked_upon(shot, code, folder):
    with Image.open(photograph("astronaut.png")) as picture:
        picture.resize((1024, 1024)).save(folder / "refs/large.png")
    Image.new("RGB", (1280, 720)).save(folder / "refs/flat.png")
    made = plan(f"shots:\n  - {{{shot}}}", folder)
    assert [r.code for r in made.remarks] == [code]
    assert made.remarks[0].line == 2


def test_text_lost_behind_a_hash_is_remarked_upon(folder):
    text = "shots:\n  - Harbour, take #2 at dawn\n  - prompt: Harbour #3\n  - 'Harbour #4'\n"
    remarks = plan(text, folder).remarks
    assert [(r.line, r.code) for r in remarks] == [(2, "lost-comment"), (3, "lost-comment")]
    assert "`#2 at dawn`" in remarks[0].message


def test_a_comment_set_off_as_one_is_no_lost_text(folder):
    text = "shots:\n  - Harbour at dawn.   # the opening\n  - {prompt: x}  # second\n"
    assert plan(text, folder).remarks == ()


@pytest.mark.covers("G9")
def test_old_prices_are_remarked_upon(folder):
    assert [r.code for r in plan("shots: [x]", folder, today=date(2030, 1, 1)).remarks] == [
        "old-prices"
    ]
    assert not plan("shots: [x]", folder, today=catalog.load().date).remarks


def test_remarks_are_told_beside_problems(folder):
    error = refusal("shots: ['Push in, pan left.', {prompt: x, duration: 99}]", folder)
    assert [r.code for r in error.remarks] == ["camera-moves"]
    assert len(error.problems) == 1


# --- amounts ----------------------------------------------------------------------------------

NO_AMOUNT = {
    "duration": (
        ".inf", "-.inf", ".nan", "1.0e999", "inf", "'.inf'", "-1", "0", "true", "[5]",
    ),
    "budget": (
        ".inf", "-.inf", ".nan", "1.0e999", "-5", "$-5", "$1e9", "$inf", "nan", "true", "[5]",
        "$5 credits", "{cap: .inf}", "{cap: -1}", "{cap: $nan}", "{cap: 5, cap: 5000}",
        "{per_shot: 1e999}", "{caps: 5}",
    ),
    "fps": (".inf", "0", "-24", ".nan", "1e999", "24fps"),
    "seed": (".nan", "1.5", "-1", "4294967296", "1e3", "'7 '", "true"),
    "trim": ("{in: .inf}", "{in: -1}", "{out: 1e999}", "{in: 5, out: 2}"),
}  # fmt: skip


@pytest.mark.covers("S6")
@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field in NO_AMOUNT for value in NO_AMOUNT[field]]
)
def test_no_amount_is_infinite_negative_or_something_else(field, value, folder):
    of_the_film = field in {"budget", "fps"}
    shot = "shots:\n  - prompt: x\n" + ("" if of_the_film else f"    {field}: {value}\n")
    text = f"{field}: {value}\n{shot}" if of_the_film else shot
    problems = refusal(text, folder).problems
    assert len(problems) == 1
    assert problems[0].where.startswith(field if of_the_film else f"shots[0].{field}")


@pytest.mark.covers("S6")
@pytest.mark.parametrize(
    "field", ["exec", "hooks", "plugins", "env", "base_url", "api_key", "python"]
)
def test_a_shot_list_has_no_field_for_code_keys_or_addresses(field, folder):
    for text in (f"{field}: x\nshots: [x]", f"shots:\n  - prompt: x\n    {field}: x\n"):
        problems = refusal(text, folder).problems
        assert len(problems) == 1
        assert "unknown field" in problems[0].message
