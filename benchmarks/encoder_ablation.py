"""What each part of the encoder's recipe is worth: one thing changed at a time.

    SER_DATA_DIR=... python benchmarks/encoder_ablation.py [--folder runs/encoder-ablation] [--only NAME ...] [--threads 2]

Trains on TESS, EMOVO and sixteen RAVDESS actors; tests on four other actors (the first fold of benchmarks/unseen.py) and on EmoDB, a corpus
and a language that this training has never heard. Every variant trains a quarter as long as what ships, about five minutes on one core; each is kept
when it is done, and one that was killed goes on where it was.
"""

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path

from common import pin_threads, store


def variants() -> dict:
    "The recipe, and the recipe with one thing changed."
    from ser_nbdev.augmentation import Disguise
    from ser_nbdev.finetuning import Tuning

    ships = Tuning(epochs=2)  # a quarter as long, for there are many

    def without(**gone):
        return replace(ships, disguise=replace(Disguise(), **gone))

    return {
        "as it ships, a quarter as long": ships,
        "encoder left as published": replace(ships, body_rate=1e-12),
        "encoder at half the rate": replace(ships, body_rate=1e-5),
        "encoder at twice the rate": replace(ships, body_rate=4e-5),
        "encoder at four times the rate": replace(ships, body_rate=8e-5),
        "two layers of the encoder": replace(ships, depth=2),
        "no disguise": replace(ships, disguise=None),
        "no other speeds and throats": without(speed=0.0, warp=0.0, jitter=0.0),
        "no rooms": without(room=0.0),
        "no noise": without(noise=0.0),
        "no telephones and codecs": without(telephone=0.0, opus=0.0, low_pass=0.0),
        "nothing masked": replace(ships, masked=0.0),
        "mixup on half of the clips": replace(ships, mixup=0.5),
        "attention over time": replace(ships, head="attention"),
        "an LSTM beside the statistics": replace(ships, head="lstm"),
        "two speakers of sixteen clips": replace(ships, speakers=2, clips=16),
        "decisions from nothing": replace(ships, start=0.0),
        "last weights, not their average": replace(ships, average=0.0),
        "no label smoothing": replace(ships, label_smoothing=0.0),
    }


def sides(table):
    "What is learnt from, and the two test sides as splits."
    from ser_nbdev import splits
    from unseen import tests

    actors = next(s for s in tests(table)["fold1"] if s.test.corpus.iloc[0] == "ravdess")
    train = table[(table.corpus != "emodb") & ~table.path.isin(actors.test.path)]
    known = table[(table.corpus == "emodb") & table.emotion.isin(set(train.emotion))]
    return train, [
        splits.Split("ravdess", "speaker", train, actors.test),
        splits.Split("emodb", "leave-one-corpus-out", train, known),
    ]


def uars(tuned, test, allowed):
    "UAR of each clip alone by the two decisions and by both, and with every speaker's offset."

    from ser_nbdev import evaluation

    labels = [e for e in tuned.labels if e in allowed]
    place = [tuned.labels.index(e) for e in labels]
    scores, y = tuned.scores(test)[:, :, place], evaluation.truth_of(test, labels)
    own, relative = scores[:, 0], scores[:, 1]
    centred = relative.copy()
    for _, rows in test.reset_index(drop=True).groupby("speaker").indices.items():
        centred[rows] -= relative[rows].mean(axis=0)
    answers = {
        "own": own,
        "relative": relative,
        "both": own + relative,
        "both, speaker's mean off": own + centred,
    }
    return {name: evaluation.uar(y, z.argmax(axis=1)) for name, z in answers.items()}


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--folder", type=Path, default=Path("runs/encoder-ablation"))
    args.add_argument("--cache", type=Path, default=Path("runs/frames"))
    args.add_argument("--only", nargs="*")
    args.add_argument("--threads", type=int, default=2)
    args = args.parse_args()
    pin_threads(args.threads)
    from ser_nbdev import corpora, finetuning, splits
    from ser_nbdev.features import FeatureCache

    args.folder.mkdir(parents=True, exist_ok=True)
    train, tests = sides(corpora.table())
    audits = {s.name: splits.check(s).to_dict() for s in tests}
    known = {c: set(t.emotion) for c, t in corpora.table().groupby("corpus")}
    options, found = dict(cache=FeatureCache(args.cache), workers=args.threads), {}
    for name, recipe in variants().items():
        slug = "".join(c if c.isalnum() else "-" for c in name)
        kept = args.folder / f"{slug}.json"
        if not kept.exists() and (not args.only or name in args.only):
            print(f"== {name}", flush=True)
            tuned = finetuning.tune(train, recipe, args.folder / slug, **options)
            told = {s.name: uars(tuned, s.test, known[s.name] & set(train.emotion)) for s in tests}
            kept.with_suffix(".part").write_text(json.dumps(told))
            os.replace(kept.with_suffix(".part"), kept)
        if kept.exists():
            found[name] = json.loads(kept.read_text())
            print(
                name,
                {c: {k: round(100 * v, 1) for k, v in r.items()} for c, r in found[name].items()},
                flush=True,
            )
    store("encoder_ablation", {"audits": audits, "variants": found})


if __name__ == "__main__":
    main()
