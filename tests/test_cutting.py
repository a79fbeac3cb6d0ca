"""The language of the cut: what a shot list says of editing becomes exactly that, and never an order."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from typing import get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import LISTS, furnish, plan, refusal, said

from secondunit import callsheet
from secondunit.cut import Trim
from secondunit.cut.edit import CUT, TRANSITIONS, Card, Deliverable, Line, Look, Transition
from secondunit.errors import SpecError
from secondunit.plan.cutting import narrowed
from secondunit.plan.outline import outline
from secondunit.plan.planner import select
from secondunit.shotlist.cutting import DeliverableSpec, SpokenSpec, TransitionSpec, bits
from secondunit.store import Store

CUT_FILM = LISTS["a film that is cut"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return furnish(tmp_path_factory.mktemp("cutting") / "set")


def film(cut: str, shots: str = "shots: {a: A., b: B., c: C.}", more: str = "") -> str:
    return f"cut: {cut}\n{more}{shots}\n"


# --- values -----------------------------------------------------------------------------------


def test_the_language_knows_every_transition_there_is():
    assert get_args(TransitionSpec.model_fields["type"].annotation) == TRANSITIONS


def test_everything_a_list_says_of_the_cut_is_in_the_plan(folder):
    made = plan(CUT_FILM, folder)
    end, a, b, night = (entry.edit for entry in made.cut)
    assert [entry.shot for entry in made.cut] == ["end", "a", "b", "night"]
    dip = Transition("dip", Fraction(1, 2), "#ffffff")
    assert (end.into, a.into, b.into, night.into) == (
        CUT, dip, Transition("wipe", Fraction(1, 4), towards="up"), dip,
    )  # fmt: skip
    assert end.before == (
        Card(("The keeper", "of the light"), Fraction(2), into=Transition("fade", Fraction(1, 2))),
    )
    assert night.after == (Card(("written by", "", "nobody"), Fraction(3), "#ffcc88", "#000080"),)
    assert night.out == Transition("fade", Fraction(1), "#ffffff")
    assert [e.gain for e in (end, a, b, night)] == [-6.0, 0.0, -6.0, None]
    assert [e.handles for e in (end, a, b, night)] == [0, *[Fraction(1, 4)] * 3]
    assert (a.speed, b.speed) == (2, 1)
    assert b.dialogue == (Line("Who is there?", "TOM"), Line("Nobody.", "BOY"))
    words = [(w.kind, w.lines, w.start, w.seconds) for w in (*b.letterings, *night.letterings)]
    assert ("lower_third", ("Old Tom", "Keeper"), Fraction(1, 2), Fraction(2)) in words
    assert ("title", ("Later",), 0, 1) in words
    assert [kind for kind, *_ in words].count("slate") == 2
    assert made.cut[3].trim == Trim(Fraction(1, 2), Fraction(3))
    font = str(folder / "post/plain.ttf")
    assert made.look == Look("blur", font, made.look.sha256, 0.1, "both")
    assert len(made.look.sha256) == 64


def test_sounds_are_laid_as_written(folder):
    mix = plan(CUT_FILM, folder).mix
    music, wind, voice = mix.sounds
    assert (mix.loudness, mix.peak) == (-14.0, -1.0)
    assert [s.kind for s in mix.sounds] == ["music", "ambience", "voice_over"]
    assert music.path == str(folder / "post/theme.wav")
    assert [s.ducked for s in mix.sounds] == [9.0, 0.0, 0.0]
    assert (wind.loop, wind.fade_in) == (True, Fraction(1, 2))
    assert (voice.shot, voice.start, voice.since, voice.seconds, voice.gain) == (
        "b", Fraction(-1, 2), Fraction(1, 2), 1, -3.0,
    )  # fmt: skip


def test_deliverables_get_even_sizes_from_their_ratio(folder):
    text = """\
deliverables:
  same: h264
  tall: {ratio: 9:16}
  square: {ratio: 1:1, height: 540}
  uhd: {height: 2160}
  wide: {ratio: 21:9, height: 1000}
  exact: {ratio: '640:360'}
shots: [x]
"""
    sizes = {d.name: (d.width, d.height) for d in plan(text, folder).deliverables}
    assert sizes == {
        "same": (None, None), "tall": (720, 1280), "square": (540, 540), "uhd": (3840, 2160),
        "wide": (2334, 1000), "exact": (640, 360),
    }  # fmt: skip


def test_a_ratio_that_is_the_films_has_the_films_shape(folder):
    text = "ratio: 21:9\ndeliverables: {same: {ratio: 21:9, height: 1344}}\nshots: [x]"
    made = plan(text, folder).deliverables[0]
    assert (made.width, made.height) == (2 * 1584, 2 * 672)


@pytest.mark.parametrize(
    ("written", "rate"),
    [(500_000, 500_000), ("8M", 8_000_000), ("2.5 M", 2_500_000), ("500k", 500_000), ("8m", None)],
)
def test_bit_rates(written, rate):
    assert bits(written) == rate


@pytest.mark.parametrize(
    ("written", "speaker", "text"),
    [
        ("Who is there?", None, "Who is there?"),
        ("MARA: Who is there?", "MARA", "Who is there?"),
        ("O'NEIL (OFF): No.", "O'NEIL (OFF)", "No."),
        ({"MARA": "Who?"}, "MARA", "Who?"),
        ({"text": "ÉMILE: Non."}, "ÉMILE", "Non."),
        ({"text": "NOTE: this", "speaker": "Tom"}, "Tom", "NOTE: this"),
        ("Listen: the sea", None, "Listen: the sea"),
        ("12:30: the train", None, "12:30: the train"),
    ],
)
def test_a_name_in_capitals_before_a_colon_speaks(written, speaker, text):
    line = SpokenSpec.model_validate(written)
    assert (line.speaker, line.text) == (speaker, text)


# --- where transitions stand ------------------------------------------------------------------

DISSOLVE = Transition("dissolve", Fraction(1))


def leads(text: str, folder) -> list[str]:
    return [entry.edit.into.kind for entry in plan(text, folder).cut]


def test_a_default_stands_between_shots_and_nowhere_else(folder):
    assert leads(film("{transition: dissolve}"), folder) == ["cut", "dissolve", "dissolve"]
    cards = "{transition: dissolve, cards: [{text: x, before: b}, {text: y, after: b}]}"
    assert leads(film(cards), folder) == ["cut", "cut", "cut"]


def test_a_shots_own_transition_stands_wherever_the_shot_stands(folder):
    shots = "shots: {a: {prompt: A., transition: fade}, b: {prompt: B., transition: cut}, c: C.}"
    assert leads(film("{transition: dissolve}", shots), folder) == ["fade", "cut", "dissolve"]
    shots = "shots: {a: A., b: {prompt: B., transition: wipe}}"
    cards = "{cards: [{text: x, before: b}]}"
    assert leads(film(cards, shots), folder) == ["cut", "wipe"]


def test_an_inherited_transition_is_a_default(folder):
    text = "defaults: {transition: slide}\nshots: {a: A., b: B.}"
    assert leads(text, folder) == ["cut", "slide"]


def test_a_transition_replaces_an_inherited_one_as_a_whole(folder):
    text = (
        "defaults: {transition: {type: wipe, towards: up}}\n"
        "shots: {a: A., b: {prompt: B., transition: {type: dissolve}}}"
    )
    assert plan(text, folder).cut[1].edit.into == DISSOLVE


def test_the_order_is_that_of_the_cut_and_omitted_shots_are_not_in_it(folder):
    shots = "shots: {a: A., b: {prompt: B., omit: true}, c: C., d: D.}"
    made = plan(film("{order: [d, a..c]}", shots), folder)
    assert [entry.shot for entry in made.cut] == ["d", "a", "c"]
    assert [step.shot for step in made.steps] == ["a", "c", "d"]


def test_what_belongs_to_an_omitted_shot_is_omitted_with_it(folder):
    shots = "shots: {a: A., b: {prompt: B., omit: true}}"
    more = "audio: {voice_over: {file: post/theme.wav, shot: b}}\n"
    made = plan(film("{cards: [{text: x, before: b}]}", shots, more), folder)
    assert made.mix.sounds == ()
    assert all(not e.edit.before + e.edit.after for e in made.cut)


# --- what is wrong ----------------------------------------------------------------------------

TOP = [
    ("cut: {transition: disolve}", "cut.transition", "Did you mean `dissolve`?"),
    ("cut: {transition: crossfade}", "cut.transition", "Did you mean `dissolve`?"),
    ("cut: {transition: {type: dissolve, duration: 0}}", "cut.transition",
     "a dissolve of 0 s shows nothing. Give it a `duration`, or use `cut`."),
    ("cut: {transition: {type: cut, duration: 1}}", "cut.transition", "a cut takes no time."),
    ("cut: {transition: {type: wipe, colour: red}}", "cut.transition", "a wipe has no colour"),
    ("cut: {transition: {type: fade, towards: up}}", "cut.transition", "a fade moves nowhere"),
    ("cut: {transition: {type: fade, color: red}}", "cut.transition.color", "Write `colour`."),
    ("cut: {transition: {type: fade, colour: #fff\n  }}", "cut.transition.colour",
     "nothing is left of it: `#` begins a comment. Put it in quotes"),
    ("cut: {transition: {type: fade, colour: mauve}}", "cut.transition.colour",
     "'mauve' is no colour here. Write '#rrggbb' in quotes, or one of black, white"),
    ("cut: {ending: wipe}", "cut.ending", "a film ends by `fade` or `cut`; a wipe leads on."),
    ("cut: {order: [a, b, d]}", "cut.order[2]", "there is no shot called `d`. There are a, b, c."),
    ("cut: {order: [a..d, b]}", "cut.order[0]", "there is no shot called `d`."),
    ("cut: {order: [c..a]}", "cut.order[0]", "`c..a` runs backwards. Write `a..c`"),
    ("cut: {order: [a, b, c, a]}", "cut.order[3]", "`a` stands in the order twice."),
    ("cut: {order: [a..b, b, c]}", "cut.order[1]", "`b` stands in the order twice."),
    ("cut: {order: [b]}", "cut.order", "the order leaves out `a`, `c`. Name them, or write `omit"),
    ("cut: {cards: [{text: x}]}", "cut.cards[0]", "a card stands `before` a shot or `after` one"),
    ("cut: {cards: [{text: x, lines: [y], before: a}]}", "cut.cards[0]", "one of the two."),
    ("cut: {cards: [{text: x, before: aa}]}", "cut.cards[0].before", "called `aa`. There are a, b, c."),
    ("cut: {cards: [{title: x, before: a}]}", "cut.cards[0].title", "Write `text`."),
    ("cut: {cards: [{text: x, over: a}]}", "cut.cards[0].over", "write `title` in that shot."),
    ("cut: {cards: [{text: x, before: a, transition: wipe}]}", "cut.cards[0].transition",
     "a wipe leads from one picture to another, and the film begins here."),
    ("cut: {font: post/theme.wav}", "cut.font", "theme.wav is no font. Name a TrueType or OpenType"),
    ("cut: {font: ../x.ttf}", "cut.font", "and only files below it may be used."),
    ("cut: {title: x}", "cut.title", "Write `cards`, or `title` in a shot."),
    ("cut: {handles: 4}", "shots.a", "Change them; it costs nothing."),
    ("audio: {music: post/them.wav}", "audio.music.file", "Did you mean `post/theme.wav`?"),
    ("audio: {music: [post/theme.wav, refs/door.png]}", "audio.music[1].file", "it is a PNG picture"),
    ("audio: {music: {file: post/theme.wav, from: 9}}", "audio.music.from",
     "post/theme.wav is 2 s long, and this begins after its end."),
    ("audio: {music: {file: post/theme.wav, shot: e}}", "audio.music.shot", "no shot called `e`."),
    ("audio: {music: {file: post/theme.wav, at: -1}}", "audio.music", "the film begins at 0 s."),
    ("audio: {music: {file: x, volume: 1}}", "audio.music.volume", "Write `gain`, in decibels."),
    ("audio: {soundtrack: x}", "audio.soundtrack", "Write `music`."),
    ("audio: {clips: loud}", "audio.clips", "'loud' is no level. Write `keep`, `mute`, or decibels"),
    ("audio: {loudness: 14}", "audio.loudness", "14 is no loudness. Write LUFS from -40 to -5"),
    ("audio: post/theme.wav", "audio", "say what it is: `audio: {music: sound/theme.wav}`."),
    ("deliverables: {web: mp4}", "deliverables.web", "Did you mean `h264`?"),
    ("deliverables: {a/b: h264}", "deliverables.a/b", "cannot name a file."),
    ("deliverables: {Draft: h264}", "deliverables.Draft", "a film has a file called `Draft` already"),
    ("deliverables: {web: h264, WEB: hevc}", "deliverables.WEB", "`web` and `WEB` would be one file"),
    ("deliverables: {B: h264}", "deliverables.B", "the film of the shot `b` alone has this name."),
    ("deliverables: {web: {crf: 20, bit_rate: 8M}}", "deliverables.web", "Keep one."),
    ("deliverables: {web: {crf: 52}}", "deliverables.web", "h264 knows a `crf` from 0 to 51."),
    ("deliverables: {web: {format: gif, crf: 20}}", "deliverables.web", "gif knows no `crf`."),
    ("deliverables: {web: {at: 20}}", "deliverables.web", "`at` is the moment of a poster"),
    ("deliverables: {web: {height: 721}}", "deliverables.web", "a height has to be even; 721 is not."),
    ("deliverables: {web: {height: 2160, ratio: 21:9}}", "deliverables.web.height",
     "5040×2160 pixels cannot be made."),
    ("deliverables: {web: {width: 720}}", "deliverables.web.width", "Write `height` and `ratio`"),
    ("deliverables: {loop: {format: gif, fps: 50.1}}", "deliverables.loop.fps", "Write `fps: 50` or"),
    ("deliverables: [h264]", "deliverables", "give each a name: `deliverables: {web: h264}`."),
]  # fmt: skip


@pytest.mark.parametrize(("line", "place", "message"), TOP)
def test_what_is_wrong_at_the_top_is_told_with_its_place(line, place, message, folder):
    problems = refusal(f"{line}\nshots: {{a: A., b: B., c: C.}}", folder).problems
    assert place in [p.where.replace('"', "") for p in problems]
    assert message in next(p.message for p in problems if p.where.replace('"', "") == place)


IN_A_SHOT = [
    ("speed: 5", "speed", "5 is above 4, the most there is."),
    ("sound: off", "sound", "'off' is no level."),
    ("sound: true", "sound", "true is no level."),
    ("title: {text: x, at: 5}", "title.at", "these words come at 5 s, and the shot is seen for 5 s."),
    ("title: 5", "title", "5 is not text here. Put it in quotes."),
    ("lower_third: {text: x}", "lower_third.text", "Write `name`."),
    ("lower_third: {name: x, start: 1}", "lower_third.start", "Write `at`, in seconds."),
    ("dialogue: [{txt: x}]", "dialogue[0].txt", "Did you mean `text`?"),
    ("dialogue: [x, {text: y, at: 99}]", "dialogue[1].at", "Let them come earlier."),
    ("handles: 2.5", "handles", "Change them; it costs nothing."),
    ("transition: {type: dissolve, duration: 9}", "transition",
     "this dissolve lasts 216 frames (9 s), and there are 120 for it: `a` shows 120 frames and keeps"
     " 0 as handles and `b` shows 120 frames and keeps 0 as handles."),
    ("transition: {type: dissolve, duration: 9}, trim: [1, 2]", "transition",
     "and `b` shows 24 frames and keeps 24 as handles."),
    ("transition: {type: fade, duration: 6}", "transition", "this fade lasts 144 frames"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "place", "message"), IN_A_SHOT)
def test_what_is_wrong_in_a_shot_is_told_with_its_place(field, place, message, folder):
    problems = refusal(f"shots:\n  a: A.\n  b: {{prompt: B., {field}}}", folder).problems
    assert message in next(p.message for p in problems if p.where == f"shots.b.{place}")
    assert {p.line for p in problems} == {3}


def test_only_a_gif_has_a_rate_that_no_player_keeps_to(folder):
    rates = "{smooth: {format: gif, fps: 50}, fast: {fps: 120}}"
    made = plan(f"deliverables: {rates}\nshots: [x]", folder)
    assert [wanted.fps for wanted in made.deliverables] == [50, 120]


def test_the_first_shots_own_transition_can_only_fade(folder):
    page = said("shots: {a: {prompt: A., transition: wipe}}", folder)
    assert page.startswith("1:37: shots.a.transition: a wipe leads from one picture to another")


def test_an_ending_longer_than_the_last_shot_is_told_at_the_ending(folder):
    page = said(film("{ending: {type: fade, duration: 9}}"), folder)
    assert page.startswith("1:15: cut.ending: this fade lasts 216 frames (9 s), and there are 120")


def test_all_that_is_wrong_with_the_cut_is_told_at_once(folder):
    text = film(
        "{order: [a], font: none.ttf, cards: [{text: x, before: z}]}",
        "shots: {a: A., b: {prompt: B., duration: 99}}",
        "audio: {music: none.wav}\ndeliverables: {web: {height: 2160, ratio: 21:9}}\n",
    )
    assert {p.where for p in refusal(text, folder).problems} == {
        "cut.order", "cut.font", "cut.cards[0].before", "audio.music.file", "shots.b.duration",
        "deliverables.web.height",
    }  # fmt: skip


def test_a_broken_item_of_a_list_puts_no_other_in_its_place(folder):
    text = film("{cards: [5, {text: x, before: z}]}")
    assert [p.where for p in refusal(text, folder).problems] == ["cut.cards[0]"]


# --- what is doubtful -------------------------------------------------------------------------


def codes(text: str, folder) -> list[str]:
    return [remark.code for remark in plan(text, folder).remarks]


def test_overlaps_without_handles_are_remarked_upon_and_handles_silence_it(folder):
    made = plan(film("{transition: dissolve}"), folder)
    assert [r.code for r in made.remarks] == ["overlap"]
    assert made.remarks[0].message.startswith(
        "the film is 2 s shorter than its shots, because in 2 transitions they overlap."
    )
    assert codes(film("{transition: dissolve, handles: 0.5}"), folder) == []
    trimmed = "shots: {a: {prompt: A., trim: [0.5, 4.5]}, b: {prompt: B., trim: {in: 0.5}}}"
    assert codes(film("{transition: dissolve}", trimmed), folder) == []


@pytest.mark.parametrize("fps", ["24", "25", "23.976", "30"])
def test_handles_of_half_a_transition_are_enough_at_every_rate(fps, folder):
    assert codes(film("{transition: dissolve, handles: 0.5}", more=f"fps: {fps}\n"), folder) == []


def test_lines_that_nobody_can_read_are_remarked_upon(folder):
    said_ = "x" * 50 + " " + "y" * 60
    text = f"shots: [{{prompt: A., dialogue: [{{text: {said_}, for: 1}}]}}]"
    assert set(codes(text, folder)) == {"fast-caption"}
    assert codes(f"cut: {{captions: none}}\n{text}", folder) == []
    assert codes("shots: [{prompt: A., dialogue: Who is there?}]", folder) == []


def test_words_that_outlast_their_shot_are_remarked_upon(folder):
    text = "shots: [{prompt: A., lower_third: {name: x, at: 4, for: 2}}]"
    assert codes(text, folder) == ["late-words"]
    assert codes(text.replace("for: 2", "for: 1"), folder) == []


def test_a_shot_that_opens_on_a_frame_cut_away_is_remarked_upon(folder):
    text = "shots: {a: {prompt: A., trim: [0, 4]}, b: {prompt: B., continues: a}}"
    assert codes(text, folder) == ["unseen-frame"]
    assert codes(text.replace("[0, 4]", "[1, 5]"), folder) == []


# --- never an order ---------------------------------------------------------------------------

SHOTS = {
    "a": {"prompt": "The sea.", "seed": 1},
    "b": {"prompt": "A man."},
    "c": {"continues": "b", "prompt": "He turns."},
    "d": {"source": "a", "prompt": "Make it night."},
}
TRANSITION = st.sampled_from(
    ["cut", "fade", "dissolve", {"type": "wipe", "towards": "up", "duration": 0.5},
     {"type": "dip", "colour": "navy", "duration": 0.25}]
)  # fmt: skip
SHOT = st.fixed_dictionaries(
    {},
    optional={
        "transition": TRANSITION,
        "speed": st.sampled_from([0.5, 1, 1.5, 4]),
        "handles": st.sampled_from([0, 0.1, 0.3]),
        "sound": st.sampled_from(["keep", "mute", -6, 3.5]),
        "title": st.sampled_from(["Later", {"text": "x", "at": 0.1, "for": 0.2}]),
        "lower_third": st.just({"name": "Tom", "role": "Keeper"}),
        "dialogue": st.sampled_from(["Who?", ["TOM: Who?", {"text": "Me.", "at": 0.5}]]),
        "trim": st.sampled_from([[1, 4], {"in": 0.5}, {"out": 4.5}]),
        "notes": st.just("n"),
    },
)
CUTS = st.fixed_dictionaries(
    {},
    optional={
        "transition": TRANSITION,
        "order": st.permutations(["a", "b", "c", "d"]),
        "handles": st.sampled_from([0, 0.2]),
        "cards": st.lists(
            st.fixed_dictionaries(
                {"text": st.sampled_from(["The end", "by\n\nnobody"]), "after": st.just("b")}
            ),
            max_size=2,
        ),
        "captions": st.sampled_from(["file", "burn", "both", "none"]),
        "slate": st.booleans(),
        "font": st.just("post/plain.ttf"),
        "fit": st.sampled_from(["pad", "crop", "blur"]),
        "ending": st.just("fade"),
    },
)
MORE = st.fixed_dictionaries(
    {},
    optional={
        "audio": st.just({"music": "post/theme.wav", "clips": -3, "loudness": -23}),
        "deliverables": st.just({"web": "hevc", "cover": {"format": "poster"}}),
        "title": st.sampled_from(["x", "y"]),
    },
)


@settings(max_examples=30)
@given(CUTS, MORE, st.fixed_dictionaries(dict.fromkeys("abcd", SHOT)))
def test_whatever_is_done_in_the_cut_the_orders_are_the_same(folder, cut, more, edits):
    """Keys, prices, requests, and files that leave: editing touches none of them."""
    base = plan(json.dumps({"shots": SHOTS}), folder, gateway="runway")
    shots = {name: {**shot, **edits[name]} for name, shot in SHOTS.items()}
    text = json.dumps({"cut": cut, **more, "shots": shots})
    try:
        edited = plan(text, folder, gateway="runway")
    except SpecError as error:  # what cannot be cut is told, and that is all
        told = {p.where.rpartition(".")[2].partition("[")[0] for p in error.problems}
        assert told <= {"transition", "handles", "at", "ending"}
        return
    assert edited.steps == base.steps
    assert edited.leaving == base.leaving
    json.dumps(edited.describe(), allow_nan=False)
    callsheet.film_line(edited)


def test_what_is_only_heard_or_written_never_leaves_this_machine(folder):
    made = plan(CUT_FILM, folder, gateway="runway")
    assert made.mix.sounds
    assert made.look.font
    assert made.leaving == ()


def test_every_edit_makes_another_film_of_the_same_takes(folder):
    base = plan(CUT_FILM, folder)
    for old, new in (
        ("speed: 2", "speed: 1.5"), ("gain: -3", "gain: -2"), ("Old Tom", "Young Tom"),
        ("fit: blur", "fit: crop"), ("towards: up", "towards: left"), ("[end, a..b", "[a..b, end"),
        ("loudness: -14", "loudness: -23"), ("captions: both", "captions: none"),
    ):  # fmt: skip
        assert old in CUT_FILM
        other = plan(CUT_FILM.replace(old, new), folder)
        assert other.key != base.key
        assert other.steps == base.steps
    other = plan(CUT_FILM.replace("web: hevc", "web: av1"), folder)
    assert other.key == base.key, "a deliverable is no part of the film"


# --- a part of the film -----------------------------------------------------------------------


def test_a_selection_keeps_its_edits_and_begins_plainly(folder):
    made = plan(CUT_FILM, folder)
    some = narrowed(made, select(made, "b,night"))
    assert [entry.shot for entry in some.cut] == ["b", "night"]
    assert some.cut[0].edit == replace(made.cut[2].edit, into=CUT)
    assert some.cut[1] == made.cut[3]
    assert [sound.kind for sound in some.mix.sounds] == ["music", "ambience", "voice_over"]
    assert [sound.kind for sound in narrowed(made, select(made, "a")).mix.sounds] == [
        "music", "ambience",
    ]  # fmt: skip


def test_a_selection_that_ends_early_has_no_ending(folder):
    made = plan(CUT_FILM, folder)
    assert narrowed(made, select(made, "a,b")).cut[-1].edit.out == CUT


def test_a_card_that_comes_first_comes_plainly(folder):
    cards = "{cards: [{text: x, before: b, transition: wipe}]}"
    made = plan(film(cards), folder)
    assert made.cut[1].edit.before[0].into.kind == "wipe"
    assert narrowed(made, select(made, "b,c")).cut[0].edit.before[0].into == CUT


# --- shorter than it was shot -----------------------------------------------------------------


def kept(store: Store, key: str, tmp_path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"x")
    store.keep(key, [tmp_path / "clip.mp4"], {})


@pytest.mark.parametrize("seed", ["", ", seed: 7"])
def test_the_call_sheet_tells_of_a_take_that_is_here_and_longer(seed, folder, tmp_path):
    def shot(more: str) -> str:
        return f"shots: [{{prompt: A.{seed}, {more}}}]"

    store = Store(tmp_path / "store")
    short = plan(shot("duration: 4"), folder)
    assert callsheet.sheet(short, store, None).longer == {}
    kept(store, plan(shot("duration: 6"), folder).cut[0].key, tmp_path)
    of = callsheet.sheet(short, store, None)
    assert of.longer == {short.steps[0].key: 6}
    assert [*callsheet._hints(of)] == [
        "sh010 is here already, 6 s long. To use it for nothing, leave that `duration` and write"
        " `trim: {out: 4}`."
    ]
    fine = callsheet.sheet(plan(shot("duration: 3.5"), folder), store, None)
    assert next(iter(callsheet._hints(fine))).endswith("`trim: {out: 3.5}`.")
    assert callsheet.sheet(plan(shot("duration: 8"), folder), store, None).longer == {}
    assert (
        callsheet.sheet(plan(shot("duration: 4, ratio: '9:16'"), folder), store, None).longer == {}
    )


# --- told -------------------------------------------------------------------------------------


def test_the_call_sheet_tells_what_the_film_is_made_of(folder):
    line = callsheet.film_line(plan(CUT_FILM, folder))
    assert line == (
        "film 16.4 s: 4 shots 11.8 s, 2 cards 5 s, 2 fades, 2 dips, 1 wipe −0.4 s"
        " · sound: music, ambience, voice-over, −14 LUFS · captions"
        " · deliverables: web, phone, cover"
    )


def test_a_film_that_is_not_edited_has_no_line(folder):
    assert callsheet.film_line(plan("shots: [A., B.]", folder)) == ""
    music = plan("audio: {music: post/theme.wav}\nshots: [A., B.]", folder)
    assert callsheet.film_line(music) == "film 10 s · sound: music"


def test_a_length_that_is_not_known_is_not_told(folder):
    text = (
        "cut: {transition: fade}\n"
        "shots: [A., {prompt: Night., source: 'https://example.com/plate.mp4'}]"
    )
    assert callsheet.film_line(plan(text, folder)) == "film: 2 shots, 1 fade"


def test_the_outline_is_the_film_in_frames(folder):
    found = outline(plan(film("{transition: {type: dissolve, duration: 0.5}}"), folder))
    assert (found.frames, found.shot_frames, found.cost) == (336, 360, 24)
    assert found.kinds == {"dissolve": 2}


def test_the_plan_as_json_tells_all_of_the_edit(folder):
    page = plan(CUT_FILM, folder).describe()
    assert page["cut"][2]["edit"]["into"] == {
        "kind": "wipe", "seconds": 0.25, "colour": "#000000", "towards": "up",
    }  # fmt: skip
    assert page["mix"]["sounds"][2]["start"] == -0.5
    assert [made["kind"] for made in page["deliverables"]] == ["hevc", "h264", "poster"]
    assert page["look"]["fit"] == "blur"


def test_formats_of_the_language_are_those_of_the_film():
    kinds = get_args(get_type_hints(Deliverable)["kind"])
    assert get_args(DeliverableSpec.model_fields["format"].annotation) == kinds


def test_a_title_that_yaml_cuts_short_is_remarked_upon(folder):
    made = plan("shots:\n  - prompt: A.\n    title: Take #2\n    dialogue: Number #3", folder)
    assert [(r.code, r.where) for r in made.remarks] == [
        ("lost-comment", "shots[0].title"), ("lost-comment", "shots[0].dialogue"),
    ]  # fmt: skip
