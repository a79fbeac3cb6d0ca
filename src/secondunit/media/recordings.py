"""Sound files that are laid under a film: music, atmosphere, a voice; of any rate and layout."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from secondunit.cut import nearest
from secondunit.media.facts import SOUND_FILE, opened_sound, reading
from secondunit.media.sniff import spoiled
from secondunit.media.sound import filled, placed_from

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import av
    from av.audio.stream import AudioStream
    from av.container import InputContainer

    from secondunit.media.sound import Block

_CODECS = ("pcm_", "adpcm_", "flac", "mp3", "aac", "alac", "vorbis", "libvorbis", "opus", "libopus")
_CHANNELS = 16
_RATES = range(4_000, 768_001)
_LONGEST = 12 * 3600  # seconds


@dataclass(frozen=True)
class Recording:
    """What is known of a sound file; `seconds` is counted, `size` is in bytes."""

    codec: str
    seconds: Fraction
    sample_rate: int
    channels: int
    size: int


def probe_sound(path: Path) -> Recording:
    """Decode all of a sound file, strictly: a minute takes 50 ms. A clip's sound counts as one.

    Raises Spoiled, in one sentence.
    """
    with opened_sound(path) as file:
        stream = _stream(file, path)
        samples = 0
        with reading(path, SOUND_FILE):
            for frame in _decoded(file, stream):
                samples += frame.samples
                if samples > _LONGEST * stream.sample_rate:
                    raise spoiled(path, f"it lasts more than {_LONGEST // 3600} hours", SOUND_FILE)
        if not samples:
            raise spoiled(path, "there is no sound in it", SOUND_FILE)
        return Recording(
            codec=stream.codec_context.name,
            seconds=Fraction(samples, stream.sample_rate),
            sample_rate=stream.sample_rate,
            channels=stream.channels,
            size=path.stat().st_size,
        )


def recorded(path: Path, rate: int, since: Fraction = Fraction(0)) -> Iterator[Block]:
    """Yield a sound file's stereo samples at `rate`, from `since` seconds to its end.

    Mono is spread, more channels are mixed down; the file is open as long as it is read. Raises
    Spoiled, also for a file that is damaged further on.
    """
    with opened_sound(path) as file:
        stream = _stream(file, path)
        skip = nearest(since * rate)
        with reading(path, SOUND_FILE):
            for block in filled(placed_from(_decoded(file, stream), rate)):
                if skip < block.shape[1]:
                    yield block[:, skip:]
                skip = max(0, skip - block.shape[1])


def _stream(file: InputContainer, path: Path) -> AudioStream:
    stream = next(iter(file.streams.audio), None)
    if stream is None:
        raise spoiled(path, "there is no sound in it", SOUND_FILE)
    codec = stream.codec_context.name
    if not codec.startswith(_CODECS):
        raise spoiled(path, f"its sound is coded as {codec}, which is not used here", SOUND_FILE)
    if not 0 < stream.channels <= _CHANNELS:
        raise spoiled(path, f"it has {stream.channels} channels", SOUND_FILE)
    if stream.sample_rate not in _RATES:
        raise spoiled(path, f"it has {stream.sample_rate} samples a second", SOUND_FILE)
    stream.codec_context.options = {"err_detect": "explode"}
    return stream


def _decoded(file: InputContainer, stream: AudioStream) -> Iterator[av.AudioFrame]:
    for packet in file.demux(stream):
        yield from stream.decode(packet)
