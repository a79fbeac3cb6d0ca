"""Shot lists and what a cat on the keyboard makes of them: deterministic mutations for fuzzing."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SHOT_LISTS = (
    """\
shots:
  - A lighthouse keeper stands at the cliff edge above a stormy sea. Slow push-in.
  - Close-up. Wind moves through his coat, he narrows his eyes.
""",
    """\
shots:
  Shot 1:
    prompt: A lighthouse keeper stands at the cliff edge above a stormy sea. Slow push-in.
    reference: refs/keeper.png
    seed: 7
    ratio: 16:9
  Shot 2:
    prompt: Night, storm, the lamp sweeping. Keep the motion of the original.
    source: plates/lighthouse_day.mp4
""",
    """\
# yaml-language-server: $schema=../specs/shotlist.schema.json
version: 1
title: "The Keeper: a storm"
slate: KPR
gateway: backlot
fps: 24
ratio: 16:9
vars: {hero: the keeper, sea: 'a stormy sea'}
defaults:
  duration: 5
  style: 35 mm film, grain
budget: {cap: 500}
shots:
  - shot: sh010
    prompt: ${vars.hero} at the cliff edge above ${vars.sea}
    tags: [opening, "wide"]
  - shot: sh020
    continues: sh010
    prompt: >
      He turns towards the light.
      Static camera.
  - shot: sh030
    first_frame: {from: sh020.last}
    seed: 4294967295
    prompt: |
      Close-up. He narrows his eyes.

      Handheld.
""",
    """\
cast:
  keeper: {description: "an old man, grey beard", references: [refs/a.png, refs/b.png]}
  boy:
    description: a boy of ten
    references:
    - refs/boy.png
locations:
  cliff: {description: a chalk cliff at dusk}
looks:
  storm: &storm
    lighting: low key
    mood: tense
scenes:
  - scene: 1
    slugline: EXT. CLIFF - DUSK
    location: cliff
    look: storm
    shots:
      - "@keeper walks to the edge"
      - subject: "@keeper"
        action: lifts the lantern
        size: close-up
        camera: push in
        takes: 3
  - scene: 2
    mood: calm
    shots:
      sh110: {prompt: "The boy waits", duration: 10, omit: false}
cut:
  transition: cut
x-notes: *storm
""",
    """\
---
profiles:
  draft: {still: gen4_image_turbo, video: gen4_turbo}
  final:
    video: gen4.5
    edit: aleph2
quality: draft
shots:
    wide shot: {prompt: 'It''s raining', ratio: "1280:720", trim: [0.5, 4.25]}
    'close: up':
        source: plates/street.mp4
        prompt: "Make it snow \\u2014 heavily"
        moderation: null
        notes: ~
    日本の灯台: {prompt: 夜、嵐 🎬, seed: 12, duration: 5.0e0}
    last:
        clip: plates/end.mp4
        omit: true
...
""",
    "shots: {a: {prompt: x, reference: [r.png, {file: s.png, tag: hat}]}, b: [1, 2.5, -3, null]}\n",
    "shots:\r\n  - prompt: Windows wrote this\r\n    seed: 7\r\n  - prompt: and this # take 2\r\n",
    """\
shots:
  ? Shot 1
  : prompt: explicit key
    seed: +7
  "Shot 2":
    prompt: the harbour,
      over two lines,
      and three
    duration: 1e1
""",
    "".join(f"{'  ' * level}level{level}:\n" for level in range(20)) + "  " * 20 + "seed: 1\n",
    "shots:\n" + "".join(f"  - {{prompt: Shot {n} of many, seed: {n}}}\n" for n in range(40)),
)

TOKENS = re.compile(r"[A-Za-z_][\w-]*|\d+|[ \t]+|\n|.", re.DOTALL)
ODDITIES = (
    *"\t\0\x07\x1b\x85\xa0\ufeff\u2028\u202e{}[]<>|:#&*!%@`'\"\\,?-=~.\r",
    *(
        "🎬",
        "é",
        "日本",
        "👩‍🎨",
        "\n\n",
        ": ",
        " #",
        "- ",
        "? ",
        "---\n",
        "...\n",
        "<<: ",
        "%YAML 1.1\n",
    ),
    *("!!python/object:os.system ", "!!int ", "!!bool ", "!!timestamp ", "!x ", "&a ", "*a", "*b "),
    *("9" * 30, "9" * 5000, "1e999", "-.inf", ".nan", "0x_", "1_0", "2026-02-30", "16:9", "=", "~"),
    *("{" * 50, "[" * 500, "- " * 200, "? " * 50, "\\UFFFFFFFF", '"\\ud800"', "'" * 7, "x" * 3000),
)


def mutations(sources: Sequence[str], count: int, seed: int = 2) -> Iterator[bytes]:
    """Yield `count` damaged copies of `sources`, one to four injuries each, always the same."""
    dice = random.Random(seed)
    for _ in range(count):
        text = dice.choice(sources)
        for _ in range(dice.randint(1, 4)):
            text = dice.choice(INJURIES)(text, dice)
        data = text.encode("utf-8", "surrogatepass")
        yield _flip_bytes(data, dice) if dice.random() < 0.15 else data


def _flip_bytes(data: bytes, dice: random.Random) -> bytes:
    hurt = bytearray(data)
    for _ in range(dice.randint(1, 5)):
        if hurt:
            hurt[dice.randrange(len(hurt))] = dice.randrange(256)
    return bytes(hurt)


def _insert_oddity(text: str, dice: random.Random) -> str:
    at = dice.randint(0, len(text))
    return text[:at] + dice.choice(ODDITIES) + text[at:]


def _delete(text: str, dice: random.Random) -> str:
    at = dice.randint(0, len(text))
    return text[:at] + text[at + dice.randint(1, 12) :]


def _truncate(text: str, dice: random.Random) -> str:
    return text[: dice.randint(0, len(text))]


def _duplicate_lines(text: str, dice: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    at = dice.randint(0, len(lines))
    piece = lines[at : at + dice.randint(1, 4)]
    to = dice.randint(0, len(lines))
    return "".join(lines[:to] + piece * dice.choice((1, 1, 2, 30)) + lines[to:])


def _swap_lines(text: str, dice: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    dice.shuffle(lines)
    return "".join(lines)


def _indent(text: str, dice: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    if lines:
        at = dice.randrange(len(lines))
        stripped = lines[at].lstrip(" ")
        lines[at] = dice.choice(("", " ", "   ", "\t", "  \t", " " * 9, " " * 300)) + stripped
    return "".join(lines)


def _swap_tokens(text: str, dice: random.Random) -> str:
    tokens = TOKENS.findall(text)
    if len(tokens) > 1:
        one, other = dice.randrange(len(tokens)), dice.randrange(len(tokens))
        tokens[one], tokens[other] = tokens[other], tokens[one]
    return "".join(tokens)


def _retype(text: str, dice: random.Random) -> str:
    """Put something else where a number or a word is."""
    tokens = TOKENS.findall(text)
    words = [at for at, token in enumerate(tokens) if token[0].isalnum()]
    if words:
        tokens[dice.choice(words)] = dice.choice(ODDITIES)
    return "".join(tokens)


def _nest(text: str, dice: random.Random) -> str:
    depth = dice.choice((1, 3, 20, 40))
    pad = " " * depth
    body = "".join(pad + line for line in text.splitlines(keepends=True))
    return "".join(f"{' ' * level}deep:\n" for level in range(depth)) + body


def _alias(text: str, dice: random.Random) -> str:
    """Name one value with an anchor and put its alias somewhere below."""
    values = [found.end() for found in re.finditer(r"(?:: |- )(?=\S)", text)]
    if not values:
        return text
    at = dice.choice(values)
    other = dice.choice(values)
    end = text.find("\n", other)
    anchored = text[:other] + "*hurt" + (text[end:] if end >= 0 else "\n")
    return anchored[:at] + "&hurt " + anchored[at:]


def _bomb(text: str, dice: random.Random) -> str:
    """Append aliases of aliases, a few levels or far too many."""
    levels = dice.choice((2, 4, 9, 60))
    merge = "<<: " if dice.random() < 0.3 else ""
    lines = ["x-b0: &b0 [x, x]"]
    for level in range(1, levels):
        inside = ", ".join([f"{merge}*b{level - 1}"] * 9)
        lines.append(
            f"x-b{level}: &b{level} {'{' if merge else '['}{inside}{'}' if merge else ']'}"
        )
    return text + "\n".join(lines) + "\n"


INJURIES = (
    _insert_oddity,
    _insert_oddity,
    _delete,
    _truncate,
    _duplicate_lines,
    _swap_lines,
    _indent,
    _indent,
    _swap_tokens,
    _retype,
    _retype,
    _nest,
    _alias,
    _bomb,
)
