"""What the peers hear of a clip, each clip once: what is computed is kept under runs/peers and not computed again.

openSMILE is a tool to compare with and no part of this project (pip install opensmile; free for research only)."""

import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np

from ser_nbdev.audio import SAMPLE_RATE
from ser_nbdev.features import FeatureCache, baseline_features, extract, mfcc
from ser_nbdev.logmel import speech_part


@lru_cache
def smile(name):
    "An openSMILE set of features; exits with a sentence where openSMILE is not installed."
    try:
        import opensmile
    except ModuleNotFoundError:
        raise SystemExit("openSMILE is not installed: pip install opensmile (free for research only).")
    level = opensmile.FeatureLevel.Functionals
    return opensmile.Smile(opensmile.FeatureSet[name], level, num_workers=1)


def egemaps(clip):
    "(88,): openSMILE's eGeMAPS, version 2."
    return smile("eGeMAPSv02").process_signal(clip, SAMPLE_RATE).to_numpy()[0].astype(np.float32)


def compare(clip):
    "(6373,): openSMILE's ComParE of 2016."
    return smile("ComParE_2016").process_signal(clip, SAMPLE_RATE).to_numpy()[0].astype(np.float32)


def cepstra(clip):
    "(frames, 40): MFCCs of 64 ms each, one every 32 ms, of what is spoken; float16, as it is only kept to be learnt from."
    spoken = speech_part(clip)
    return mfcc(spoken, 40, 40, n_fft=1024, hop=512, fmin=80, fmax=7600).astype(np.float16)


FRAMES = 64  # that the convolutional network hears at a time: 2 s


def parts(clip):
    "The first, the middle and the last `FRAMES` frames of a clip, which is repeated if it is shorter."
    clip = np.concatenate([clip] * -(-FRAMES // len(clip)))
    last = len(clip) - FRAMES
    return np.stack([clip[i : i + FRAMES] for i in (0, last // 2, last)]).astype(np.float32)


def a_part(clip, rng):
    "Some `FRAMES` frames of a clip, from anywhere in it."
    clip = np.concatenate([clip] * -(-FRAMES // len(clip)))
    start = rng.integers(len(clip) - FRAMES + 1)
    return clip[start : start + FRAMES].astype(np.float32)


def states(tables, frames):
    "For each table (clips, 3840): mean and deviation over time of the published encoder's states, as it is published."
    import keras

    from ser_nbdev.encoder import load_published, published_weights, speech_encoder
    from ser_nbdev.finetuning import Statistics, Tuning, _in_batches, cast

    body = load_published(speech_encoder(4), published_weights())
    *outputs, mask = body.output
    model = keras.Model(body.input, Statistics(dtype="float32")(outputs, mask))
    for table in tables:
        heard = cast(table, Tuning(disguise=None), cache=FeatureCache(frames), progress=False)[0]
        yield _in_batches(model, heard)


def by_clip(feature):
    "How the features of a table are had, clip by clip."

    def of(table, folder, frames):
        return extract(table.path, feature, cache=kept_in(folder), progress=False)

    return of


def kept_in(folder):
    "Where features are kept."
    return FeatureCache(Path(folder) / "features")


def apart(feature):
    "The same in a process of its own: openSMILE and TensorFlow in one process corrupt each other's memory."
    here, name = Path(__file__).parent, feature.__name__
    fill = f"import sys; sys.path.insert(0, {str(here)!r}); import peer_features as f; f.fill(f.{name}, sys.argv[1])"

    def of(table, folder, frames):
        cache = kept_in(folder)
        if missing := [p for p in table.path if not cache.path(p, feature).exists()]:
            command = [sys.executable, "-c", fill, str(folder)]
            subprocess.run(command, input="\n".join(missing), text=True, check=True)
        return by_clip(feature)(table, folder, frames)

    return of


def fill(feature, folder):
    "Keep the features of the files whose paths stand on standard input."
    extract(sys.stdin.read().split("\n"), feature, cache=kept_in(folder), progress=False)


def in_batches(table, folder, frames, some=256):
    "The states of the encoder, made for some clips at a time, kept for each."
    cache = kept_in(folder)
    todo = table[[not cache.path(p, states).exists() for p in table.path]]
    parts = [todo.iloc[i : i + some] for i in range(0, len(todo), some)]
    for part, found in zip(parts, states(parts, frames) if parts else ()):
        for path, row in zip(part.path, found):
            cache._write(cache.path(path, states), row.astype(np.float16))
    return [cache(path, states) for path in table.path]


#: What a peer learns from, by name.
FEATURES = {
    "egemaps": apart(egemaps),
    "compare": apart(compare),
    "mean MFCC": by_clip(baseline_features),
    "MFCC": by_clip(cepstra),
    "states": in_batches,
}
