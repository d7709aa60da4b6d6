"""How long a window, how far to the next, how long a pause, how much smoothing: on voices that the network had not heard.

    SER_DATA_DIR=... python benchmarks/windows.py --folder runs/unseen [--parts fold2 fold3 fold4 fold5]

Recordings are made of the clips of one speaker of RAVDESS or EmoDB: episodes of some clips of one emotion with short pauses, then
another emotion. The networks are those of benchmarks/unseen.py, each with the speakers that it had never heard; it has no ear for
speech, and the gate alone finds it. What is told is the mean over the corpora of the UAR of frames in which somebody speaks: acted
sentences, strung together, so that only the differences mean something.
"""

import argparse
import itertools
import json
import sys
from pathlib import Path

from common import pin_threads, store

pin_threads(1)

import numpy as np  # noqa: E402

from unseen import tests  # noqa: E402

from ser_nbdev import corpora, recording  # noqa: E402
from ser_nbdev.audio import SAMPLE_RATE, load  # noqa: E402
from ser_nbdev.emotions import EMOTIONS  # noqa: E402
from ser_nbdev.logmel import encoder_windows, speech_part  # noqa: E402
from ser_nbdev.recording import FRAME, Walk, answered  # noqa: E402
from ser_nbdev.serving import Bundle, Heard, Recognizer  # noqa: E402


def network(folder, part):
    "The network of a part as LiteRT, converted once."
    kept = folder / part / "model.tflite"
    if not kept.exists():
        import keras

        from ser_nbdev import finetuning  # noqa: F401, its layers
        from ser_nbdev.encoder import export_litert

        model = keras.models.load_model(folder / part / "model.keras", compile=False)
        kept.with_suffix(".part").write_bytes(export_litert(model, "float16"))
        kept.with_suffix(".part").replace(kept)
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(str(kept), num_threads=1).get_signature_runner()


class Deaf(Bundle):
    "The bundle that ships, with the network of a part in it."

    def __init__(self, run):
        super().__init__()
        self._run = run

    def hear(self, clip):
        found = [self._run(frames=f[None]) for f in encoder_windows(clip)]
        return np.stack([np.mean([f[k][0] for f in found], axis=0) for k in ("own", "relative")]), np.inf


def recorded(clips, rng):
    "A recording of one speaker, and the emotion of each frame: -1 where nobody speaks."
    left = {e: list(rng.permutation(np.flatnonzero(clips.emotion == e))) for e in sorted(set(clips.emotion))}
    parts, truth, before = [], [], None

    def add(x, what):
        x = np.append(x, np.zeros(-len(x) % FRAME, np.float32)).astype(np.float32)
        parts.append(x), truth.append(np.full(len(x) // FRAME, what))

    while any(left.values()):
        choice = [e for e in left if left[e] and e != before] or [before]
        before = choice[rng.integers(len(choice))]
        for _ in range(min(len(left[before]), rng.integers(2, 6))):
            clip = speech_part(load(clips.path.iloc[left[before].pop()]))
            add(clip, EMOTIONS.index(before))
            add(np.zeros(round(rng.uniform(0.1, 0.9) * SAMPLE_RATE)), -1)
        add(np.zeros(round(rng.uniform(0.1, 1.5) * SAMPLE_RATE)), -1)
    x = np.concatenate(parts)
    return x + rng.normal(0, 1e-4, len(x)).astype(np.float32), np.concatenate(truth)


def walked(x, hear, window, hop):
    walk = Walk(hear, window, hop)
    return walk.feed(x) + walk.finish()


def judged(segments, truth):
    "The UAR of the frames in which somebody speaks."
    said = np.full(len(truth), -1)
    for s in segments:
        if s.emotion in EMOTIONS:
            said[round(s.start * SAMPLE_RATE / FRAME) : round(s.end * SAMPLE_RATE / FRAME)] = EMOTIONS.index(
                s.emotion
            )
    return [float(np.mean(said[truth == e] == e)) for e in sorted(set(truth) - {-1})]


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--folder", type=Path, default=Path("runs/unseen"))
    args.add_argument("--parts", nargs="*", default=["fold2", "fold3", "fold4", "fold5"])
    args = args.parse_args()
    cuts = [
        (w, h, p) for w in (2, 3, 4, 6, 8) for h in (w, w / 2) for p in (0.24, 0.5) if p == 0.24 or h == w
    ]
    hows = list(itertools.product((0, 4, 8, 16, 32), (True, False), (True, False)))
    found, heard = {}, {}
    parts = tests(corpora.table())
    for part in args.parts:
        bundle = Deaf(network(args.folder, part))
        recognizer = Recognizer(bundle)
        for s in parts[part]:
            corpus = s.test.corpus.iloc[0]
            for speaker, clips in (
                s.test[s.test.emotion.isin(EMOTIONS)].groupby("speaker") if corpus != "tess" else ()
            ):
                x, truth = recorded(clips, np.random.default_rng(0))
                for window, hop, pause in cuts:
                    recording.PAUSE = pause
                    n = [0]

                    def hear(clip, _):
                        n[0] += len(clip)
                        return Heard(*bundle.hear(clip), len(clip) / SAMPLE_RATE)

                    pieces = walked(x, hear, window, hop)
                    for stay, adapt, hindsight in hows:
                        u = judged(answered(recognizer, pieces, adapt, hindsight, stay), truth)
                        key = (window, hop, pause, stay, adapt, hindsight)
                        found.setdefault(key, {}).setdefault(corpus, []).append(np.mean(u))
                    heard.setdefault((window, hop, pause), []).append(n[0] / np.sum(truth >= 0) / FRAME)
    rows = []
    for key, by_corpus in found.items():
        names = ("window", "hop", "pause", "stay", "adapt", "hindsight")
        uar = {c: float(np.mean(u)) for c, u in by_corpus.items()}
        rows.append(dict(zip(names, key)) | {"uar": float(np.mean(list(uar.values()))), "by_corpus": uar})
        rows[-1]["heard"] = float(np.mean(heard[key[:3]]))
    for row in sorted(rows, key=lambda r: -r["uar"])[:25]:
        print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}))
    speakers = {c: len(u) for c, u in by_corpus.items()}
    store("windows", {"parts": args.parts, "speakers": speakers, "rows": rows})


if __name__ == "__main__":
    sys.exit(main())
