"""Shot lists as film-makers, agencies and technical directors write them, and the files they name."""

from __future__ import annotations

import shutil
import wave
from typing import TYPE_CHECKING, Any

from footage import BUNNY, photograph
from PIL import ImageFont

from secondunit import shotlist
from secondunit.document import loads
from secondunit.errors import SpecError
from secondunit.plan import planner

if TYPE_CHECKING:
    from pathlib import Path

    from secondunit.plan import Plan

PICTURES = {
    "refs/keeper.png": "astronaut.png",  # 512×512
    "refs/boy.png": "chelsea.png",  # 451×300
    "refs/cliff.jpg": "rocket.jpg",  # 640×427
    "refs/door.png": "coffee.png",  # 600×400
}


def furnish(folder: Path) -> Path:
    """Put real photographs into `refs/`, a five-second plate with sound into `plates/`, and a sound
    of two seconds and a font into `post/`."""
    for name in ("refs", "plates", "post"):
        (folder / name).mkdir(parents=True)
    for name, photo in PICTURES.items():
        shutil.copy(photograph(photo), folder / name)
    shutil.copy(BUNNY, folder / "plates/meadow.mp4")
    with wave.open(str(folder / "post/theme.wav"), "wb") as theme:
        theme.setparams((1, 2, 8000, 0, "NONE", ""))
        theme.writeframes(b"".join((n % 100 * 80).to_bytes(2, "little") for n in range(16000)))
    (folder / "post/plain.ttf").write_bytes(ImageFont.load_default(16).font_bytes)
    return folder


def read(text: str, folder: Path) -> shotlist.ShotList:
    """Read a shot list as if it lay in `folder`."""
    return shotlist.from_document(loads(text, "shots.yaml", folder))


def plan(text: str, folder: Path, **choices: Any) -> Plan:
    """Plan a shot list that is right."""
    return planner.compile_plan(read(text, folder), planner.Choices(**choices))


def refusal(text: str, folder: Path, **choices: Any) -> SpecError:
    """Return what is said of a shot list that is wrong, be it while reading or while planning."""
    try:
        made = plan(text, folder, **choices)
    except SpecError as error:
        return error
    raise AssertionError(f"nothing was wrong: {[step.label for step in made.steps]}")


def said(text: str, folder: Path, **choices: Any) -> str:
    """Return all that is said of a wrong shot list, without the lines of the file."""
    return "\n".join(
        f"{p.line}:{p.column}: {p.where}: {p.message}"
        for p in refusal(text, folder, **choices).problems
    )


# The choices of the command line that a list below wants, where it wants any.
CHOICES: dict[str, dict[str, Any]] = {
    "cometapi": {"gateway": "cometapi"},
    "draft on the command line": {"quality": "draft"},
    "real money": {"gateway": "runway"},
}

LISTS: dict[str, str] = {
    "two lines": """\
shots:
  - A lighthouse keeper stands at the cliff edge above a stormy sea. Slow push-in.
  - Close-up. Wind moves through his coat, he narrows his eyes.
""",
    "reference and source": """\
shots:
  Shot 1:
    prompt: A lighthouse keeper stands at the cliff edge above a stormy sea. Slow push-in.
    reference: refs/keeper.png
    seed: 7
    ratio: 16:9
  Shot 2:
    prompt: Night, storm, the lamp sweeping. Keep the motion of the original.
    source: plates/meadow.mp4
""",
    "named in a list": """\
title: Harbour
shots:
  - shot: sh010
    prompt: The harbour at dawn, gulls wheeling.
    duration: 4
  - A fisherman coils a rope.
  - shot: 7B
    continues: sh010
    prompt: The boat slips its mooring. Slow pan left.
""",
    "draft on the command line": """\
title: Harbour
shots:
  - The harbour at dawn, gulls wheeling.
  - prompt: The keeper looks up.
    reference: refs/keeper.png
""",
    "a commercial": """\
title: Espresso, 30 seconds
slate: ESP-030
fps: 25
ratio: 9:16
budget: {cap: $40, per_shot: 300}
vars: {product: a small espresso cup, hour: at first light}
defaults:
  duration: 4
  style: macro photography, shallow depth of field
  seed: 100
looks:
  warm: warm tungsten light, brown and cream palette
shots:
  pour:
    prompt: Coffee pours into ${vars.product} ${vars.hour}.
    look: warm
    camera: slow push in
  steam:
    subject: Steam
    action: curls above ${vars.product}
    size: extreme close-up
    lighting: backlit
    seed: null
  hero:
    prompt: ${vars.product} on a marble counter.
    references: [refs/door.png]
    style: null
    tags: [hero, pack shot]
  end:
    clip: plates/meadow.mp4
    trim: [0, 2]
    notes: The pack shot of last year; replace when the new one is there.
""",
    "scenes and cast": """\
title: Night ferry
cast:
  mara: {description: a woman of sixty in a grey raincoat, reference: refs/keeper.png}
  boy: a boy of nine with a red scarf
locations:
  pier: {description: an empty ferry pier, references: [refs/cliff.jpg]}
looks:
  fog: cold fog, muted greens
scenes:
  - scene: 1
    slugline: EXT. PIER - NIGHT
    location: pier
    look: fog
    mood: waiting
    shots:
      - {shot: 1A, subject: '@mara', action: stands under a lamp, size: wide shot, seed: 21}
      - {shot: 1B, subject: '@boy', action: looks up, size: close-up, seed: 22, mood: null}
  - scene: 2
    defaults: {lighting: first light, duration: 3}
    shots:
      2A: {prompt: '@mara asleep on a bench, @boy awake beside her.', seed: 23}
""",
    "brief": """\
shots:
  - size: medium shot
    angle: low angle
    lens: 85 mm
    subject: An old keeper
    action: lifts a lantern
    environment: on a chalk cliff
    camera: slow push in
    lighting: storm light
    mood: dread
    style: 35 mm film
""",
    "first frames": """\
shots:
  opening:
    first_frame: refs/cliff.jpg
    prompt: The rocket waits. Static.
  described:
    first_frame: {prompt: 'A blue door in the dunes at noon. Wide shot.'}
    prompt: Heat shimmers. Slow push in.
    references: [refs/door.png]
  matched:
    first_frame: {from: opening.last}
    prompt: Smoke rises.
  reverse:
    first_frame: {from: described.first}
    prompt: Sand blows. Slow pull out.
""",
    "reference as first frame": """\
defaults: {reference_as: first_frame}
shots:
  - prompt: She turns her head.
    reference: refs/keeper.png
  - prompt: It wakes.
    reference: {file: refs/boy.png, tag: cat}
""",
    "out of order": """\
shots:
  - {shot: C, continues: B, prompt: Third.}
  - {shot: B, source: A, prompt: 'Second, at night.'}
  - {shot: A, prompt: First.}
""",
    "edits of edits": """\
shots:
  plate: {clip: plates/meadow.mp4}
  night: {source: plate, prompt: Make it night., references: [refs/cliff.jpg, refs/door.png]}
  rain: {source: night, prompt: Add rain., ratio: 9:16}
  alternative: {source: plates/meadow.mp4, prompt: 'Snow covers the meadow.', moderation: low}
""",
    "an omitted shot that others need": """\
shots:
  setup: {prompt: A door in the dunes., omit: true}
  opens: {continues: setup, prompt: The door opens.}
  parked: {prompt: Later., reference: refs/not_painted_yet.png, omit: true}
""",
    "everything inherited": """\
defaults: {prompt: The sea., duration: 2, ratio: '1280:720', model: gen4.5, x-who: me}
x-production: {number: 12, unit: second}
shots:
  a: {}
  b: {seed: 0}
  x-note: {who: knows}
  c: {x-vfx: true, tags: [1, two]}
""",
    "ratios by word": """\
ratio: 21:9
profiles: {final: {video: gen4_turbo}}
shots:
  - {prompt: A plain., ratio: 16:9}
  - {prompt: A plain., ratio: 9:16}
  - {prompt: A plain., ratio: 1:1}
  - {prompt: A plain., ratio: 4:3}
  - {prompt: A plain., ratio: 3:4}
  - A plain.
""",
    "ratios by pixel": """\
shots:
  - {prompt: A plain., ratio: '1584:672'}
  - {prompt: A plain., ratio: '720:1280'}
  - {prompt: A plain., ratio: '832:1104', model: gen4_turbo}
  - {prompt: A plain., ratio: '1920:1080', model: veo3.1}
  - {prompt: A plain., ratio: '640:640', model: seedance2}
""",
    "partners": """\
shots:
  veo: {prompt: A fox trots through snow., model: veo3.1, duration: 8, seed: 1}
  fast: {prompt: A fox trots through snow., model: veo3.1_fast, ratio: '9:16', duration: 4}
  dance: {prompt: A fox trots., model: seedance2, duration: 15, first_frame: refs/boy.png}
  mini: {prompt: A fox trots., model: seedance2_mini}
  next: {prompt: A fox trots., model: seedance2_5, duration: 30, ratio: '1:1'}
  sea: {prompt: A fox trots., model: hailuo3, ratio: '21:9', duration: 6}
  flash: {prompt: A fox trots., model: gemini_omni_flash, duration: 3}
  grok: {prompt: A fox trots., model: grok_imagine_1_5, ratio: '4:3', duration: 1}
  grok still: {prompt: A fox trots., model: grok_imagine_1_5, first_frame: refs/boy.png}
""",
    "edits by partners": """\
shots:
  - {prompt: Make it dusk., source: plates/meadow.mp4, model: seedance2, duration: 6}
  - {prompt: Make it dusk., source: plates/meadow.mp4, model: seedance2_5, references: [refs/door.png]}
  - {prompt: Make it dusk., source: plates/meadow.mp4, model: hailuo3}
  - {prompt: Make it dusk., source: plates/meadow.mp4, model: gemini_omni_flash}
""",
    "a model for some": """\
defaults: {model: veo3.1, duration: 6}
shots:
  - Waves.
  - {source: plates/meadow.mp4, prompt: Make it dusk.}
  - {clip: plates/meadow.mp4}
  - {prompt: A cliff., model: gen4.5, duration: 10}
""",
    "own profiles": """\
quality: dailies
profiles:
  dailies: {still: gen4_image_turbo, video: gen4_turbo, edit: seedance2_fast}
  final: {video: veo3.1}
shots:
  - {prompt: '@hat on a table.', reference: {file: refs/door.png, tag: Hat}}
  - {source: plates/meadow.mp4, prompt: Make it dusk.}
""",
    "quality for the backlot": """\
gateway: backlot
quality: draft
shots: ["A plain under a wide sky."]
""",
    "real money": """\
gateway: backlot
budget: {cap: 5 USD}
shots:
  - {prompt: A plain., moderation: low, seed: 4294967295}
  - {prompt: A plain., moderation: auto, source: plates/meadow.mp4}
""",
    "cometapi": """\
shots:
  - {prompt: A keeper., reference: refs/keeper.png, duration: 10, seed: 999999999}
  - {prompt: Night., source: plates/meadow.mp4, references: [refs/cliff.jpg], seed: 3}
  - {prompt: A keeper turns., first_frame: refs/keeper.png, model: gen3a_turbo, ratio: '768:1280'}
""",
    "names of all kinds": """\
title: 1917
scenes:
  - scene: 12
    shots:
      "Shot 1 (alt)": A trench.
      日本の灯台: 夜、嵐 🎬
      "sh.010": {prompt: Mud., seed: 1}
      "O'Brien & son": {first_frame: {from: sh.010.last}, prompt: Rain.}
      Été: {continues: "7", prompt: Summer.}
  - shots:
      - {shot: 7, prompt: Spring.}
""",
    "links": """\
shots:
  - {prompt: A door., reference: 'https://example.com/door.png'}
  - {prompt: A door opens., first_frame: 'HTTPS://example.com/door.png?sig=a&b=c'}
  - {prompt: Make it dusk., source: 'https://example.com/plate.mp4'}
""",
    "equal shots": """\
shots:
  first: {prompt: Waves break., seed: 5}
  again: {prompt: Waves break., seed: 5, trim: [1, 3], notes: another part}
  other: {prompt: Waves break., seed: 6}
""",
    "text that looks like something else": """\
vars: {price: '$5', on: yes, n: 3}
shots:
  - "Take ${vars.n}: a sign, a cat & a @nobody.com; $${not.a.variable} costs ${vars.price}."
  - |
    The sea.

    Nothing else.
  - >-
    It's dawn:
    the harbour wakes
""",
    "mentions with pictures of their own": """\
cast:
  Keeper: {description: the keeper., references: [refs/keeper.png, refs/boy.png]}
shots:
  - '@keeper climbs the stairs.'
  - {prompt: '@keeper climbs.', reference: {file: refs/door.png, tag: keeper}}
  - {prompt: '@Keeper climbs again.', reference: refs/keeper.png}
  - {first_frame: refs/cliff.jpg, prompt: '@keeper walks in.'}
  - {source: plates/meadow.mp4, prompt: 'Put @keeper into the meadow.'}
""",
    "a film that is cut": """\
title: The keeper
defaults: {duration: 3.5, transition: {type: dip, duration: 0.5, colour: white}}
cut:
  transition: {type: dissolve, duration: 0.5}
  order: [end, a..b, night]
  handles: 0.25
  cards:
    - {text: "The keeper\\nof the light", before: end, duration: 2, transition: fade}
    - {lines: [written by, '', nobody], after: night, colour: '#fc8', background: Navy}
  captions: both
  slate: true
  font: post/plain.ttf
  fit: blur
  safe: 0.1
  ending: {type: fade, duration: 1, colour: white}
audio:
  music: post/theme.wav
  ambience: {file: post/theme.wav, loop: true, duck: false, fade_in: 0.5}
  voice_over: [{file: post/theme.wav, shot: b, at: -0.5, from: 0.5, for: 1, gain: -3}]
  clips: -6
  loudness: -14
deliverables:
  web: hevc
  phone: {ratio: 9:16, fit: crop, bit_rate: 4M}
  cover: {format: poster, at: 1.5}
  x-later: broadcast
shots:
  a: {prompt: The sea., speed: 2, sound: keep}
  b:
    prompt: A man at a door.
    transition: {type: wipe, towards: up, duration: 0.25}
    lower_third: {name: Old Tom, role: Keeper, at: 0.5, for: 2}
    dialogue: ['TOM: Who is there?', {BOY: Nobody.}]
  cut out: {prompt: Nothing., omit: true}
  night: {prompt: Night., sound: mute, trim: [0.5, 3], title: {text: Later, for: 1}}
  end: {clip: plates/meadow.mp4, handles: 0, transition: cut}
""",
    "trims": """\
fps: 23.976
shots:
  - {prompt: A., trim: {in: 1}}
  - {prompt: B., trim: {out: 2.5}}
  - {prompt: C., trim: [0.5, 5]}
  - {clip: plates/meadow.mp4, trim: {in: 5}}
""",
}
