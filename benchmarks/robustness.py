"""What noise, rooms, lines, loudness, length and speed cost the encoder on speakers it has never heard.

    SER_DATA_DIR=... python benchmarks/robustness.py [--folder runs/unseen] [--clips 600]

The networks of benchmarks/unseen.py, each on its own unheard speakers of RAVDESS and EmoDB: a sample of their clips, the same
ones under every condition. Stored under results/robustness.json; goes on where it was killed. About a quarter of an hour on one core.
"""

import argparse
import json
import os
import zlib
from functools import partial
from pathlib import Path

from common import pin_threads, store

pin_threads(1)

import numpy as np  # noqa: E402
from adaptation import FOLDS, Held  # noqa: E402

from ser_nbdev import evaluation  # noqa: E402
from ser_nbdev import augmentation as world  # noqa: E402
from ser_nbdev.audio import SAMPLE_RATE, load  # noqa: E402
from ser_nbdev.features import speed  # noqa: E402


def in_noise(clip, rng, kind, snr):
    return world.add_noise(clip, world.noise(len(clip), kind, rng), snr)


def in_room(clip, rng, rt60):
    return world.room(clip, world.impulse_response(rt60, 0.0, rng))


def linear(clip, rng):
    "To 8 kHz and back by drawing straight lines: the worst resampler in use."
    at = np.arange(0, len(clip) - 1, 2)
    return np.interp(np.arange(len(clip)), at, clip[at]).astype(np.float32)


def polyphase(clip, rng):
    "To 44.1 kHz and back by another library's filter."
    from scipy.signal import resample_poly

    return resample_poly(resample_poly(clip, 441, 160), 160, 441)[: len(clip)].astype(np.float32)


def middle(clip, rng, seconds):
    "The middle of the clip."
    n = min(len(clip), round(seconds * SAMPLE_RATE))
    return clip[(len(clip) - n) // 2 :][:n]


def repeated(clip, rng, seconds):
    "The clip again and again, with pauses of 0.3 s."
    return np.resize(np.pad(clip, (0, round(0.3 * SAMPLE_RATE))), round(seconds * SAMPLE_RATE))


CONDITIONS = {"as recorded": lambda clip, rng: clip}
for kind in ("white", "pink", "babble"):
    CONDITIONS |= {
        f"{kind} noise, {snr} dB": partial(in_noise, kind=kind, snr=snr) for snr in (30, 20, 15, 10, 5, 0)
    }
CONDITIONS |= {f"room, {rt} s": partial(in_room, rt60=rt) for rt in (0.3, 0.6, 1.0)}
CONDITIONS |= {
    "telephone band": lambda clip, rng: world.telephone(clip),
    "telephone, mu-law": lambda clip, rng: world.telephone(clip, mu=True),
    "AMR, 12.2 kbit/s": lambda clip, rng: world.codec(clip, "amr"),
    **{
        f"Opus, {k} kbit/s": partial(lambda clip, rng, k: world.codec(clip, "opus", 1000 * k), k=k)
        for k in (6, 12, 24)
    },
    "MP3, 32 kbit/s": lambda clip, rng: world.codec(clip, "mp3", 32_000),
    **{
        f"gain {db:+d} dB": partial(lambda clip, rng, db: world.gain(clip, db), db=db)
        for db in (-40, -20, 6, 20)
    },
    "1 s of silence before": lambda clip, rng: np.pad(clip, (SAMPLE_RATE, 0)),
    **{f"the middle {s} s": partial(middle, seconds=s) for s in (0.3, 0.5, 1.0)},
    **{f"repeated to {s} s": partial(repeated, seconds=s) for s in (10, 30)},
    **{f"speed {f}": partial(lambda clip, rng, f: speed(clip, f), f=f) for f in (0.8, 0.9, 1.1, 1.25)},
    "resampled by another filter": polyphase,
    "resampled to 8 kHz by straight lines": linear,
}


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--folder", type=Path, default=Path("runs/unseen"))
    args.add_argument("--clips", type=int, default=600)
    args = args.parse_args()
    import keras

    from ser_nbdev import finetuning

    held = Held(args.folder)
    folds = [f for f in FOLDS if (args.folder / f / "model.keras").exists()]
    table = held.table[held.table.corpus.isin(["ravdess", "emodb"]) & held.table.part.isin(folds)]
    table = table.sample(min(args.clips, len(table)), random_state=0)
    networks = {
        f: finetuning.Tuned(
            keras.models.load_model(args.folder / f / "model.keras"), held.labels, None, [], None
        )
        for f in folds
    }
    kept = args.folder / "robustness.json"
    done = json.loads(kept.read_text()) if kept.exists() else {}
    for name, change in CONDITIONS.items():
        if name not in done:
            done[name] = judge(held, table, networks, name, change)
            part = kept.with_suffix(".part")
            part.write_text(json.dumps(done))
            os.replace(part, kept)
        same = np.mean(np.array(done[name]["said"]) == np.array(done["as recorded"]["said"]))
        print(
            f"{name:38} UAR {100 * done[name]['uar']['value']:.1f}  same answer {100 * same:.1f} %",
            flush=True,
        )
    plain = np.array(done["as recorded"]["said"])
    found = {
        name: {"uar": r["uar"], "same_answer": float(np.mean(np.array(r["said"]) == plain))}
        for name, r in done.items()
    }
    store(
        "robustness",
        {"clips": len(table), "folds": folds, "corpora": ["ravdess", "emodb"], "conditions": found},
    )


def judge(held, table, networks, name, change):
    "UAR over both corpora, each among its own labels, and every answer."
    truth, said, speakers = [], [], []
    for (part, corpus), t in table.groupby(["part", "corpus"], sort=True):
        clips = []
        for path in t.path:
            rng = np.random.default_rng([zlib.crc32(name.encode()), zlib.crc32(Path(path).name.encode())])
            clips.append(change(load(path), rng))
        scores, _ = networks[part].hear(clips)
        labels = [e for e, yes in zip(held.labels, held.allowed[t.index[0]]) if yes]
        place = [held.labels.index(e) for e in labels]
        p = held.teacher(corpus, part).only(labels).probabilities(scores[:, :, place])
        truth += [f"{corpus} {e}" for e in t.emotion]
        said += [f"{corpus} {labels[k]}" for k in p.argmax(axis=1)]
        speakers += list(t.speaker)
    names = sorted(set(truth) | set(said))
    y, z = (np.array([names.index(e) for e in side]) for side in (truth, said))
    draws = evaluation.bootstrap(y, z, len(names), np.array(speakers))[1]
    low, high = np.percentile(draws, [2.5, 97.5])
    return {"uar": {"value": evaluation.uar(y, z), "low": float(low), "high": float(high)}, "said": said}


if __name__ == "__main__":
    main()
