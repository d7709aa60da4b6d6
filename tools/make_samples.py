"""Make the clips in ser_nbdev/samples with espeak-ng.

    python tools/make_samples.py            write them
    python tools/make_samples.py --check    say whether the ones that ship are what this script makes

espeak-ng (Debian: `apt install espeak-ng`) is a formant synthesiser: the same version gives the same samples
every time. Other versions may differ in a few of them, which is why the clips themselves are kept.
The names say what was done to the voice. No clip has a true emotion: a machine spoke it.
"""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr

FOLDER = Path(__file__).resolve().parents[1] / "ser_nbdev" / "samples"
RATE = 16000

# name: (words, espeak-ng's voice, pitch 0-99, words per minute, peak of the result)
VOICES = {
    "plain": ("Say the word home.", "en-us", 50, 150, 0.5),
    "fast_high": ("Say the word thought.", "en-us+f3", 90, 200, 0.8),
    "slow_low": ("Say the word rain.", "en-us+m3", 10, 105, 0.4),
    "loud_quick": ("Say the word back!", "en-us+m7", 65, 190, 0.95),
    "whisper": ("Say the word ring.", "en-us+whisper", 40, 135, 0.3),
}


def speak(words, voice, pitch, speed, peak):
    """What espeak-ng says, as mono float32 at 16 kHz, without silence at the ends."""
    wav = subprocess.run(
        ["espeak-ng", "--stdout", "-v", voice, "-p", str(pitch), "-s", str(speed), words],
        check=True,
        capture_output=True,
    ).stdout
    clip, rate = sf.read(io.BytesIO(wav), dtype="float32")
    clip = soxr.resample(clip, rate, RATE, quality="VHQ")
    heard = np.flatnonzero(np.abs(clip) > 0.01 * np.abs(clip).max())
    edge = RATE // 20
    clip = clip[max(0, heard[0] - edge) : heard[-1] + edge]
    return clip * (peak / np.abs(clip).max())


def encode(clip):
    """The clip as the bytes of a 16-bit FLAC file."""
    out = io.BytesIO()
    sf.write(out, clip, RATE, format="FLAC", subtype="PCM_16", compression_level=1.0)
    return out.getvalue()


def main(check=False):
    if not shutil.which("espeak-ng"):
        sys.exit("espeak-ng was not found: install it (Debian: apt install espeak-ng) to make the samples.")
    FOLDER.mkdir(parents=True, exist_ok=True)
    wrong = 0
    for name, how in VOICES.items():
        path, clip = FOLDER / f"{name}.flac", speak(*how)
        if check:
            there = path.is_file() and sf.read(path, dtype="int16")[0]
            made = sf.read(io.BytesIO(encode(clip)), dtype="int16")[0]
            same = there is not False and np.array_equal(there, made)
            wrong += not same
            print(f"{path.name:18} {'same' if same else 'differs'}")
            continue
        new = path.with_suffix(".new")
        new.write_bytes(encode(clip))
        os.replace(new, path)
        print(f"{path.name:18} {len(clip) / RATE:.2f} s {path.stat().st_size / 1000:5.0f} kB   {how[0]}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
