"""The film's sound, encoded once: in chunks, side by side, each kept under the name of its samples.

A chunk is encoded with some of what comes before and after it, so that its packets are those of one
long encoding as far as anybody can hear. What a film has in common with the one before it, or with
its own beginning while clips are still arriving, is copied.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from secondunit import keys
from secondunit.cut import sample_at
from secondunit.durable import disk_trouble, make_folder
from secondunit.errors import CutError
from secondunit.media.sound import AAC_PACKET, BIT_RATE, aac_packets
from secondunit.splice.mix import Score, parts, too_loud
from secondunit.splice.shelf import touch
from secondunit.splice.voices import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from secondunit.cut import Profile
    from secondunit.cut.edit import Mix
    from secondunit.cut.timeline import Timeline
    from secondunit.media.sound import Block
    from secondunit.splice.mix import Source

VERSION = "secondunit sound 1"
"""Changed whenever the same cut is to sound different, so that nothing old is copied."""

_CHUNK = 256  # packets: 5 s
_RUN_UP, _RUN_OUT = 8, 4  # packets that are encoded before and after a chunk, and left out
_WORKERS = 2
_AHEAD = 2  # chunks that may lie finished, beyond those that are being encoded


@dataclass(frozen=True)
class Soundtrack:
    """A film's sound of so many samples, ready to be copied packet by packet.

    Clips and sounds are not read where all of `name` lies in `folder` already.
    """

    name: str
    score: Callable[[], Score]
    samples: int
    rate: int
    folder: Path

    def packets(self) -> Iterator[bytes]:
        """Yield the packets of AAC; the first one is of before the film.

        Raises what the clips and sounds raise as they are read, CutError, and DiskTrouble.
        """
        for path in self.made():
            packets = _kept(path)
            if packets is None:
                raise CutError(
                    f"{path} was changed while the film was being made. Run the same command again;"
                    " nothing that was paid for is lost."
                )
            yield from packets

    @property
    def files(self) -> tuple[Path, ...]:
        """Where the track lies in `folder`, as far as it was made."""
        return self._list, *(self.folder / name.decode("ascii") for name in _kept(self._list) or ())

    @property
    def _list(self) -> Path:
        return self.folder / f"{self.name}.track"

    def _whole(self) -> list[Path] | None:
        """Find the chunks of the track, if it was made before and none of them is damaged."""
        paths = list(self.files[1:])
        return paths if all(_kept(path) for path in paths) else None

    def made(self) -> list[Path]:
        """Encode the chunks that are not there yet; return all. Raises as `packets` does."""
        whole = self._whole()
        if whole:
            return whole
        with disk_trouble(self.folder):
            make_folder(self.folder, private=True)
        score = self.score()
        try:
            chunks = _by_voices(score) if score.plain else _by_samples(score, self.rate)
            paths = self._kept_all(chunks)
        except _TooLoudError:
            paths = self._kept_all(_by_samples(score, self.rate))
        _keep(self._list, [path.name.encode("ascii") for path in paths])
        return paths

    def _kept_all(self, chunks: Iterator[_Chunk]) -> list[Path]:
        paths: list[Path] = []
        begun: deque[Future[None]] = deque()
        with ThreadPoolExecutor(_WORKERS) as pool:
            try:
                for chunk in chunks:
                    paths.append(self.folder / f"{chunk.name}.chunk")
                    begun.append(pool.submit(_make, chunk, self.rate, paths[-1]))
                    if len(begun) > _WORKERS + _AHEAD:
                        begun.popleft().result()
                for one in begun:
                    one.result()
            finally:
                pool.shutdown(cancel_futures=True)
        return paths


def soundtrack(
    timeline: Timeline, sources: Sequence[Source], mix: Mix, profile: Profile, folder: Path
) -> Soundtrack:
    """Return the film's sound, encoded as it is read and kept in `folder`; see `mixed`.

    Of the beginning of a film it is as good, while later clips are still missing: what is read of it
    need not be encoded again, unless a loudness is asked for, which is the whole film's.
    """
    fps, rate = profile.fps, profile.sample_rate
    return Soundtrack(
        _name(timeline, sources, mix, profile),
        lambda: Score(timeline, sources, mix, fps, rate),
        sample_at(timeline.frames, fps, rate),
        rate,
        folder,
    )


def _name(timeline: Timeline, sources: Sequence[Source], mix: Mix, profile: Profile) -> str:
    """Name a track by all that is heard in it and when, and by nothing that is only seen."""
    starts = {placed.shot: placed.start for placed in timeline.placed}
    heard = [
        [sources[part.item].sha256, sources[part.item].gain, *astuple(part)]
        for part in parts(timeline)
    ]
    laid = [
        [
            starts.get(sound.shot, -1 if sound.shot else 0),
            *map(str, astuple(replace(sound, path=""))),
        ]
        for sound in mix.sounds
    ]
    film = [timeline.frames, str(profile.fps), profile.sample_rate, BIT_RATE]
    return keys.key(VERSION, [film, heard, laid, mix.loudness, mix.peak])


class _TooLoudError(Exception):
    """Some chunk of what should be the clips' own sound is more than a player can play."""


@dataclass(frozen=True)
class _Chunk:
    """Samples to be encoded, of which `count` packets are wanted after the first `skip`."""

    name: str
    block: Callable[[], Block]
    skip: int
    count: int
    levelled: bool


def _windows(samples: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield the samples of each chunk from the first to the last, and its `skip` and `count`."""
    total = -(-samples // AAC_PACKET) + 1
    for first in range(0, total, _CHUNK):
        last = min(first + _CHUNK, total)
        # packet n sounds from sample (n − 1) × 1024 on
        begins = max(0, first - 1 - _RUN_UP) * AAC_PACKET
        ends = min(samples, (last + 1 + _RUN_OUT) * AAC_PACKET)
        yield begins, ends, first - begins // AAC_PACKET, last - first


def _by_voices(score: Score) -> Iterator[_Chunk]:
    """Name chunks by what is heard in them, and where, without reading it."""
    for begins, ends, skip, count in _windows(score.samples):
        said = [BIT_RATE, skip, count, ends - begins, score.told(begins, ends)]
        block = partial(score.stretch, begins, ends)
        yield _Chunk(keys.key(VERSION, said), block, skip, count, levelled=False)


def _by_samples(score: Score, rate: int) -> Iterator[_Chunk]:
    """Name chunks by their samples, for what is levelled depends on the whole film."""
    reader, window, at = Reader(score.levelled()), np.zeros((2, 0), np.float32), 0
    for begins, ends, skip, count in _windows(score.samples):
        window, at = window[:, begins - at :], begins
        fresh = reader.read(ends - begins - window.shape[1])
        window = np.concatenate([window, fresh], axis=1)
        named = hashlib.sha256(f"{VERSION} {rate} {BIT_RATE} {skip} {count}".encode())
        named.update(window.tobytes())
        block = partial(np.asarray, window)
        yield _Chunk(named.hexdigest(), block, skip, count, levelled=True)


def _make(chunk: _Chunk, rate: int, path: Path) -> None:
    if _kept(path) is None:
        block = chunk.block()
        if not chunk.levelled and too_loud(block):
            raise _TooLoudError
        blocks = iter(np.array_split(block, max(1, block.shape[1] // rate), axis=1))
        packets = islice(aac_packets(blocks, rate), chunk.skip, chunk.skip + chunk.count)
        _keep(path, list(packets))


# A file of the cache: the SHA-256 of what follows, then each packet after its length in 4 bytes. It
# is never synced: what a crash leaves half-written is not taken for whole.


def _keep(path: Path, packets: Sequence[bytes]) -> None:
    body = b"".join(len(packet).to_bytes(4) + packet for packet in packets)
    part = path.with_name(f".part-{os.getpid()}-{secrets.token_hex(4)}")
    with disk_trouble(path):
        try:
            part.write_bytes(hashlib.sha256(body).digest() + body)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _kept(path: Path) -> list[bytes] | None:
    """Read a file of the cache; None where there is none, or not the one that was written."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    body, packets, at = memoryview(data)[32:], [], 0
    if hashlib.sha256(body).digest() != data[:32]:
        return None
    while at < len(body):
        size = int.from_bytes(body[at : at + 4])
        packets.append(bytes(body[at + 4 : at + 4 + size]))
        at += 4 + size
    touch(path)
    return packets
