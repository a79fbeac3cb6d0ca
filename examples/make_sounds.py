"""Plays the music and speaks the line of lesson 5: both are computed here, nobody is heard."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

HERE = Path(__file__).parent / "05_the_cut" / "sound"
RATE = 48_000
# A minor, F, C, G: Hz of each chord's tones
CHORDS = (
    (220.0, 261.6, 329.6),
    (174.6, 261.6, 349.2),
    (196.0, 261.6, 329.6),
    (196.0, 246.9, 293.7),
)
# Vowels by their first three formants in Hz: ah, oh, ee, eh
VOWELS = ((730, 1090, 2440), (570, 840, 2410), (270, 2290, 3010), (530, 1840, 2480))
SPOKEN = (0, 1, 2, 0, 3, 1)


def music(bar: float = 2.0) -> np.ndarray:
    """Return four bars, each chord with an octave above that swells and goes."""
    time = np.arange(int(bar * RATE)) / RATE
    swell = np.sin(np.pi * time / bar) ** 0.7
    bars = []
    for chord in CHORDS:
        tones = [
            np.sin(2 * np.pi * pitch * part * time) / part**2
            for pitch in chord
            for part in (1, 2, 3)
        ]
        bars.append(swell * sum(tones))
    return np.concatenate(bars) * 0.08


def voice(pitch: float = 115.0, syllable: float = 0.28) -> np.ndarray:
    """Return a murmur of six syllables: harmonics of one pitch, as loud as the vowel lets them be."""
    time = np.arange(int(syllable * RATE)) / RATE
    said = []
    for number, vowel in enumerate(SPOKEN):
        low = pitch * (1 - 0.04 * number)
        harmonics = np.arange(1, int(3600 / low))
        near = [np.exp(-(((harmonics * low - formant) / 90) ** 2)) for formant in VOWELS[vowel]]
        loud = sum(part / rank for rank, part in enumerate(near, 1))
        tones = np.sin(2 * np.pi * low * np.outer(harmonics, time))
        said.append((loud / np.sqrt(harmonics)) @ tones * np.sin(np.pi * time / syllable) ** 0.5)
    line = np.concatenate(said)
    return line / np.abs(line).max() * 0.5


def write(name: str, sound: np.ndarray, bit_rate: int) -> None:
    """Write mono sound as Opus."""
    HERE.mkdir(parents=True, exist_ok=True)
    with av.open(str(HERE / name), "w", format="ogg", options={"fflags": "+bitexact"}) as file:
        stream = file.add_stream("libopus", rate=RATE, layout="mono")
        stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(sound.astype(np.float32)[None], "fltp", "mono")
        frame.sample_rate = RATE
        for piece in av.AudioResampler("flt", "mono", RATE).resample(frame):
            file.mux(stream.encode(piece))
        file.mux(stream.encode(None))


def main() -> None:
    """Write both."""
    write("theme.ogg", music(), 64_000)
    write("keeper.ogg", voice(), 32_000)


if __name__ == "__main__":
    main()
