"""What people write who know other tools, and what it is called here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Common wrong guesses, from other tools and from the wire format: what to do about them, by model.
# Words stand in lower case and without `_` or `-`.
_TIMES = {
    "Write `at`, in seconds.": "start from begin in",
    "Write `for`, in seconds.": "duration length seconds",
    "Write `at` and `for`, in seconds.": "end out to until",
}
_MEANT: Mapping[str, Mapping[str, str]] = {
    "ShotSpec": {
        "Write `prompt`.": "prompttext text description desc",
        "Write `reference` for what it should look like, or `first_frame` to open on it.": (
            "image picture photo imageurl promptimage file"
        ),
        "Write `reference`.": "ref stylereference referenceimage",
        "Write `references`.": "refs images referenceimages keyframes",
        "Write `first_frame`.": "startframe startimage initimage",
        "That is `last_frame`, which is not built yet. Take it out for now.": (
            "endframe endimage lastimage"
        ),
        "Write `source` to edit it, or `clip` to use it as it is.": (
            "video videourl videouri promptvideo input footage"
        ),
        "Write `ratio`, such as 16:9.": "aspectratio aspect format",
        "Write `ratio`, such as 1280:720.": "width height resolution",
        "Write `duration`, in seconds.": "length seconds secs frames",
        "Write `camera`.": "cameramotion cameramove movement motion",
        "Write `size`.": "shotsize framing",
        "Write `moderation`.": "contentmoderation publicfigurethreshold",
        "Write `omit`.": "skip disabled",
        "Write `shot`, or make `shots` a mapping from name to shot.": "id name slug",
        "Name who it is under `cast`, at the top of the file, and write @name in the prompt.": (
            "character characters person"
        ),
        "Write `transition`.": "fade dissolve crossfade",
        "Write `dialogue`.": "subtitle subtitles caption captions line lines speech",
        "Write `lower_third`.": "chyron strap nametag",
        "Write `sound`: keep, mute, or decibels.": "volume level gain mute",
        "Write `speed`: 0.5 is half as fast.": "slowmotion slowmo retime rate",
        "Write `trim`: `[1.5, 4]`, in seconds.": "in out start end",
        "Say in `prompt` what should be seen instead.": "negativeprompt",
        "There is no type: what is made follows from what is given.": "type",
        "There is none: it follows from `continues`, `source` and `first_frame`.": (
            "dependson waitfor after needs"
        ),
        "Write it under `audio`, at the top of the file, with `shot: …` to begin with this one.": (
            "audio voice music voiceover ambience"
        ),
    },
    "ShotListSpec": {
        "Write `title`.": "name film project",
        "Write `shots`, or `scenes` that hold them.": "shot scene clips sequence steps",
        "Write `ratio`, such as 16:9.": "aspectratio aspect resolution",
        "Write `fps`.": "framerate",
        "Write `cast`.": "characters actors people",
        "Write `vars`.": "variables params",
        "Write `gateway`.": "provider api service backend",
        "Write them under `profiles`, or `model` under `defaults`.": "model models",
        "Write it under `notes`.": "description author comment",
        "Write it under `cut`.": "transition transitions cards order captions",
        "The film goes to films/ beside the shot list; `--out` moves it.": "output out outputdir",
        "Write it under `audio`.": "music sound soundtrack voiceover ambience",
        "Write `deliverables`.": "exports formats versions",
    },
    "SceneSpec": {"Write `scene`.": "name title id", "Write `slugline`.": "heading description"},
    "SubjectSpec": {
        "Write `description`.": "prompt desc text",
        "Write `reference`.": "image images file picture",
    },
    "ReferenceSpec": {"Write `file`.": "image uri path url"},
    "FirstFrameSpec": {"Write `file`.": "image uri path url"},
    "TrimSpec": {"Write `in`.": "start begin", "Write `out`.": "end"},
    "BudgetSpec": {"Write `cap`.": "limit max total"},
    "CutSpec": {
        "Write `cards`, or `title` in a shot.": "title titles card",
        "Write it under `transition`: `{type: dissolve, duration: 1}`.": "duration seconds",
        "Write `captions`.": "subtitles subs",
        "Write `slate: true`.": "burnin burnins timecode",
        "Write `ending`.": "end fadeout outro out",
        "Write it under `audio`, at the top of the file.": "music sound",
    },
    "TransitionSpec": {
        "Write `type`.": "kind name transition",
        "Write `duration`, in seconds.": "seconds length time for",
        "Write `colour`.": "color through",
        "Write `towards`: left, right, up or down.": "direction from to",
    },
    "CardSpec": {
        "Write `text`.": "title prompt",
        "Write `colour`.": "color",
        "Write `background`.": "bg backgroundcolor backgroundcolour ground",
        "Write `duration`, in seconds.": "seconds length for",
        "Write `before` or `after`, with the name of a shot.": "shot at position",
        "To lay words over a shot, write `title` in that shot.": "over",
    },
    "TitleSpec": {**_TIMES, "Write `text`.": "title name"},
    "LowerThirdSpec": {**_TIMES, "Write `name`.": "text", "Write `role`.": "title job subtitle"},
    "SpokenSpec": {
        **_TIMES,
        "Write `text`.": "line say said dialogue",
        "Write `speaker`.": "who character name",
    },
    "AudioSpec": {
        "Write `voice_over`.": "voice vo narration narrator",
        "Write `music`.": "soundtrack score song track",
        "Write `ambience`.": "ambient atmos atmosphere sfx effects",
        "Write `loudness`.": "volume level lufs target normalize",
        "Write `clips`: keep, mute, or decibels.": "shots sound shot",
        "Write `peak`.": "truepeak limit ceiling",
        "Write `duck` in `music` or `ambience`, in decibels.": "duck ducking",
    },
    "SoundSpec": {
        "Write `file`.": "path src source url music",
        "Write `at`, in seconds.": "start begin offset",
        "Write `from`: where in the file it begins.": "in since",
        "Write `for`, in seconds.": "duration length seconds",
        "Write `gain`, in decibels.": "volume level db",
        "Write `fade_in` and `fade_out`, in seconds.": "fade fades",
        "Write `duck`, in decibels.": "ducking",
        "Write `loop`.": "repeat",
    },
    "DeliverableSpec": {
        "Write `format`.": "codec container type kind",
        "Write `height` and `ratio`; the width follows.": "width size resolution",
        "Write `crf`; less is better.": "quality",
        "Write `fps`.": "framerate",
        "Write `ratio`.": "aspectratio aspect",
        "Write `captions`.": "subtitles subs",
        "Write `at`.": "time frame moment",
    },
    "ProfileSpec": {"Write `still`.": "image"},
    "ScheduleSpec": {
        "Write `every`.": "interval period repeat",
        "Write `timezone`.": "tz zone",
        "Write `cron`.": "at time when",
        "Write `starts`.": "anchor start begin",
        "Write `budget`.": "cap limit max",
        "Write `paused: true`.": "enabled active disabled",
    },
    "NoticeSpec": {
        "Write `to`, with a name from your settings.": "slack webhook email mail url channel",
        "Write `on`.": "events event when",
    },
}
GUESSES: Mapping[str, Mapping[str, str]] = {
    spec: {word: hint for hint, words in hints.items() for word in words.split()}
    for spec, hints in _MEANT.items()
}

# Other names of what one chooses among, by model; words stand as above.
ALSO_CALLED: Mapping[str, Mapping[str, str]] = {
    spec: {word: name for name, words in names.items() for word in words.split()}
    for spec, names in {
        "TransitionSpec": {
            "cut": "hard hardcut none straight jump",
            "dissolve": "crossfade crossdissolve xfade mix blend lap",
            "fade": "fadetoblack fadein fadeout fadetowhite fadethroughblack fadethroughwhite",
            "dip": "diptoblack diptowhite diptocolour diptocolor flash",
            "slide": "push pushslide",
        },
        "DeliverableSpec": {
            "h264": "mp4 x264 avc mpeg4 video",
            "hevc": "h265 x265",
            "vp9": "webm vp8",
            "prores": "mov quicktime proreshq",
            "poster": "jpg jpeg png thumbnail still picture",
            "contact_sheet": "sheet contacts dailies",
        },
    }.items()
}
