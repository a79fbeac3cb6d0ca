"""What a prompt puts before the lens: place, people, things, shot size, angle and weather."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Staging:
    """A shot as a storyboard artist notes it down before drawing.

    `size` is one of SIZES, `angle` "level", "low", "high" or "top"; `place` one of PLACES;
    `things` are names from THINGS; `people` is how many stand in the shot.
    """

    size: str
    angle: str
    place: str
    people: int
    things: tuple[str, ...]
    weather: str
    marks: frozenset[str]

    def has(self, mark: str) -> bool:
        """Whether the prompt mentions `mark`, one of MARKS."""
        return mark in self.marks


SIZES = {
    "over": r"over[- ]the[- ]shoulder|over (?:his|her|their|the \w+'s?) shoulder|\bots\b",
    "extreme": r"extreme close[- ]?ups?|\becu\b|macro|eyes? (?:fill|open)\w*|detail of",
    "medium": r"medium(?:[- ]shot|[- ]wide)?\b(?! close)|waist[- ]up|mid[- ]?shot|two[- ]?shot|"
    r"cowboy shot|american shot",
    "close": r"close[- ]?ups?|\bmcu\b|\bcu\b|portrait|head and shoulders|face\b|insert\b|tight on",
    "aerial": r"aerial|bird'?s[- ]eye|top[- ]down|overhead|drone|from above|satellite",
    "establishing": r"establishing|extreme wide|very wide|panorama|panoramic|vista|landscape|"
    r"epic wide",
    "full": r"full[- ](?:shot|body|figure)|head to toe",
    "wide": r"wide|long shot",
}
PLACES = {
    "underwater": r"underwater|seabed|beneath the (?:sea|waves|surface)|coral reef",
    "space": r"outer space|spaceship|starship|galaxy|nebula|asteroid|deep space",
    "interior": r"interior|\bint\b|rooms?\b|kitchen|bedroom|office|hallway|corridor|cabin interior|"
    r"inside|workshop|studio|library|bar\b|cafe|café|restaurant|diner|attic|cellar|basement|chapel|"
    r"church|hospital|kitchen|desk|sofa|armchair|staircase|lobby|gallery|theat(?:er|re)|hotel",
    "street": r"streets?|alley\w*|sidewalk|pavement|boulevard|downtown|market|crosswalk",
    "sea": r"\bsea\b|ocean|waves?\b|coast\w*|beach|shore\w*|harbou?r|cliffs?|lighthouse|bay\b|"
    r"island|lake|pier\b|surf\w*|sail\w*|ships?\b|boats?\b|tide",
    "city": r"city\w*|skyline|skyscrapers?|rooftops?|metropolis|town\b|tower blocks?|urban",
    "forest": r"forest\w*|woods?\b|jungle|pines?\b|trees\b|grove|redwoods?",
    "desert": r"desert|dunes?|sands?\b|canyon|mesa|badlands",
    "mountain": r"mountain\w*|peaks?\b|alps|alpine|summit|glacier|ridge|valley|hills?\b|himalaya\w*|"
    r"volcan\w*|snow\w*",
    "road": r"roads?\b|highway|motorway|freeway|country lane|route \d+|railway|tracks\b",
    "field": r"fields?\b|meadow\w*|prairie|plains?\b|steppe|grass\w*|farm\w*|wheat|garden|park\b",
}
THINGS = {
    "lighthouse": r"lighthouse",
    "boat": r"boats?\b|ships?\b|sail\w*|vessel|yacht|trawler|ferry",
    "car": r"\bcars?\b|taxi|truck on|pickup|vehicles?|van\b|limousine|sedan|convertible",
    "house": r"houses?\b|cabins?\b|cottage|hut\b|barn|farmhouse|mansion|home\b",
    "door": r"doors?\b|doorway|gate\b",
    "window": r"windows?\b",
    "lamp": r"lamps?\b|lantern\w*|candle\w*|streetlights?",
    "table": r"tables?\b|desk|dinner|breakfast|counter\b",
    "fire": r"campfire|bonfire|fire\b|flames?\b|burning|fireplace",
    "horse": r"horse\w*|riders?\b|riding|stallion|mare\b",
    "dog": r"dogs?\b|wolf|wolves|fox\b|hound|puppy",
    "deer": r"deer|stag|elk|moose",
    "bird": r"birds?\b|gulls?\b|seagulls?|crows?\b|ravens?\b|geese|pigeons?|eagle|swallows?",
    "tree": r"\btree\b|oak\b|willow",
    "train": r"trains?\b|locomotive|railway",
    "rocket": r"rockets?\b|launch pad|missile|spaceships?\b|starships?\b|spacecraft",
    "cup": r"\bcups?\b|mug\b|coffee|tea\b|glass\b|whisk\w*|wine",
    "bottle": r"bottle|perfume|product shot",
    "flower": r"flowers?\b|rose\b|petals?|blossom\w*|tulip|poppy|poppies",
    "umbrella": r"umbrella",
}
MARKS = {
    "sun": r"\bsun\b|sunrise|sunset|sunny|golden hour|backlit|backlight\w*|low sun|sunlight|"
    r"sunlit|daybreak",
    "moon": r"moon\w*",
    "stars": r"star(?:s|ry)\b|night sky|milky way|galaxy",
    "lightning": r"lightning|thunder\w*",
    "clouds": r"clouds?|cloudy|overcast|storm\w*|thunder\w*|sky\b",
    "cliff": r"cliffs?|headland|bluff",
    "hat": r"\bhats?\b|fedora|cowboy|detective|keeper|sailor|captain|witch|wizard|gaucho",
    "hood": r"hood\w*|cloak\w*|monk|robe\w*|pilgrim|wizard",
    "dress": r"dress\b|gown|bride|dancer|ballerina|princess|queen|\bwoman\b|\bgirl\b|lady|\bshe\b|"
    r"\bher\b|mother|actress|daughter|grandmother|sister|waitress",
    "couple": r"couple|lovers|man and (?:a )?woman|husband|bride and|groom and|father and|mother and",
    "child": r"child\w*|\bboys?\b|\bgirls?\b|kids?\b|toddler|son\b|daughter",
    "walk": r"walk\w*|stride\w*|step(?:s|ping)|run(?:s|ning)?\b|march\w*|stroll\w*|approach\w*|"
    r"cross(?:es|ing)|wander\w*",
    "sit": r"\bsits?\b|sitting|seated",
    "sweep": r"lighthouse|searchlight|lamp sweep\w*|beam",
    "wet": r"wet\b|rain\w*|puddles?|reflect\w*|neon",
    "profile": r"profile|looks? (?:out|away|up|left|right|off|at|toward)|gaz\w*|turns?|narrow\w*|"
    r"squint\w*|watch\w*|star(?:e|es|ing)\b",
}

_CROWD = r"crowds?|people\b|audience|soldiers|dancers|workers|army|protest\w*|passengers|children"
_PAIR = (
    r"two (?:\w+ )?(?:people|men|women|figures?|friends|lovers|children|kids|girls|boys|soldiers|"
    r"strangers|brothers|sisters|detectives|cowboys|riders|hikers)|couple|lovers|they\b|"
    r"two[- ]?shot|each other|father and|mother and|man and (?:a )?woman|brothers|sisters|friends"
)
_ONE = (
    r"\b(?:man|woman|boy|girl|person|figure|he|she|his|her|him|hers|keeper|detective|soldier|child|"
    r"dancer|ballerina|king|queen|farmer|fisherman|sailor|captain|cowboy|monk|wizard|witch|bride|"
    r"mother|father|actor|actress|singer|musician|pianist|astronaut|doctor|nurse|chef|waiter|"
    r"waitress|teacher|student|worker|miner|hiker|traveller|traveler|walker|runner|rider|driver|"
    r"stranger|hero|heroine|protagonist|hunter|knight|samurai|warrior|pilgrim|artist|painter|"
    r"grandmother|grandfather|lady|gentleman|priest|someone|silhouette|face|eyes?|shoulder|portrait|"
    r"boxer|pilot|climber|surfer|swimmer|diver|spy|agent|thief|lover|skater|hand)s?\b"
)
_ANGLES = {
    "top": r"top[- ]down|bird'?s[- ]eye|overhead shot|directly above|straight down",
    "low": r"low[- ]angle|from below|worm'?s[- ]eye|looking up at|towering",
    "high": r"high[- ]angle|from above|looking down|aerial|drone|crane shot",
}
_WEATHER = {
    "snow": r"snow(?:s|ing|fall|flakes?|storm|y)?\b|blizzard|flurr\w*",
    "rain": r"rain(?:s|ing|y|drops?|storm|-soaked)?\b|downpour|drizzl\w*|storm(?:s|y)?\b|monsoon",
    "embers": r"embers?|sparks?|campfire|bonfire|burning|fireflies|lava|ashes?\b",
    "dust": r"dust\w*|motes?|pollen|sandstorm|underwater|sunbeams?|light shafts?|god rays|attic",
}


def artist(prompt: str, seed: int) -> Random:
    """Return the hand that draws `prompt`: the same for the same words and seed."""
    words = prompt.encode("utf-8", "replace")
    return Random(b"%d %s" % (seed, words))  # noqa: S311  a drawing hand, not a secret


def read_staging(prompt: str, random: Random) -> Staging:
    """Note down what `prompt` asks for; `random` fills in what it does not say."""
    text = prompt.lower()
    things = tuple(_all(THINGS, text))
    people = _people(text)
    marks = frozenset(_all(MARKS, text))
    weather = _first(_WEATHER, text)
    place = _first(PLACES, text) or _homeless(things, weather, random)
    if place == "interior" and weather in ("rain", "snow"):
        weather = ""
    size = _first(SIZES, text) or ("wide" if people or things else "establishing")
    if size == "over":
        people = max(people, 1)
    angle = _first(_ANGLES, text) or "level"
    return Staging(size, angle, place, people, things, weather, marks)


def _people(text: str) -> int:
    if re.search(_CROWD, text):
        return 7
    if re.search(_PAIR, text):
        return 2
    return 1 if re.search(_ONE, text) else 0


def _homeless(things: tuple[str, ...], weather: str, random: Random) -> str:
    """Where to set a shot that names no place."""
    outdoors = weather in ("rain", "snow")
    if {"cup", "bottle", "table", "lamp", "window", "door"} & set(things) and not outdoors:
        return "interior"
    return "road" if "car" in things else random.choice(("mountain", "field", "sea"))


def _first(words: dict[str, str], text: str) -> str:
    return next(_all(words, text), "")


def _all(words: dict[str, str], text: str) -> Iterator[str]:
    return (name for name, pattern in words.items() if re.search(rf"(?:\b|^)(?:{pattern})", text))
