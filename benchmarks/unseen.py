"""What the fine-tuned encoder reaches on voices, words and a corpus it has never heard.

    SER_DATA_DIR=... python benchmarks/unseen.py [--folder runs/unseen] [--only NAME ...] [--threads 2]
    SER_DATA_DIR=... python benchmarks/unseen.py --folder runs/tries/no-rooms --only fold1 emovo --change disguise.room=0

Eight trainings, each on all corpora but what it is tested on. Five of them leave out, at once, a fifth of RAVDESS's actors, two of
EmoDB's speakers and a fifth of TESS's words; two leave out one TESS actress each; one leaves out EMOVO. Each is audited
first. Scores are stored as each part is done, a killed part goes on where it was; about ten minutes a part on two cores.
What the scores amount to is told by benchmarks/adaptation.py; what another recipe came to on some parts, by benchmarks/tries.py.
"""

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path

from common import pin_threads

PARTS = [*(f"fold{i}" for i in range(1, 6)), "tess-OAF", "tess-YAF", "emovo"]


def tests(table) -> dict:  # part: list of `splits.Split`, which share one training side
    "The parts, as splits: each corpus that is tested, against all that the model learns from."
    from ser_nbdev import splits

    corpus = dict(list(table.groupby("corpus")))
    folds = [splits.split(corpus[c], p, folds=5) for c, p in FOLDS.items()]
    one_speaker = splits.split(corpus["tess"], "leave-one-speaker-out")
    parts = {f"fold{i}": some for i, some in enumerate(zip(*folds), 1)}
    parts |= {f"tess-{s.test.speaker.iloc[0].split('-')[-1]}": [s] for s in one_speaker}
    parts["emovo"] = [splits.Split("emovo", "leave-one-corpus-out", table, corpus["emovo"])]
    whole = {}
    for name, some in parts.items():
        held = set().union(*(s.test.path for s in some))
        train = table[~table.path.isin(held)]
        whole[name] = [splits.Split(s.name, s.protocol, train, s.test) for s in some]
    return whole


FOLDS = {"ravdess": "speaker", "emodb": "speaker", "tess": "word"}


def run(name, some, folder, recipe, options):
    "Train a part, score its test sides, keep scores and audits."
    import numpy as np

    from ser_nbdev import finetuning, splits

    audits = {s.test.corpus.iloc[0]: splits.check(s).to_dict() for s in some}
    tuned = finetuning.tune(some[0].train, recipe, folder / name, **options)
    kept = {"labels": np.array(tuned.labels)}
    for s in some:
        corpus = s.test.corpus.iloc[0]
        kept[f"{corpus}/names"] = np.array([Path(p).name for p in s.test.path])
        kept[f"{corpus}/scores"] = tuned.scores(s.test)
    tuned.model.save(folder / name / "part.keras")
    os.replace(folder / name / "part.keras", folder / name / "model.keras")  # for benchmarks/robustness.py
    about = {"recipe": recipe.to_dict(), "history": tuned.history, "audits": audits}
    part = folder / f"{name}.part.npz"
    np.savez(part, about=json.dumps(about), **kept)
    os.replace(part, folder / f"{name}.npz")


def changed(recipe, changes):
    "The recipe with other values: body_rate=4e-5, or disguise.room=0 for what stands in its disguise."
    for change in changes:
        name, _, value = change.partition("=")
        owner, _, inner = name.rpartition(".")
        if owner:
            recipe = replace(recipe, **{owner: replace(getattr(recipe, owner), **{inner: json.loads(value)})})
        else:
            recipe = replace(recipe, **{inner: json.loads(value)})
    return recipe


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--folder", type=Path, default=Path("runs/unseen"))
    args.add_argument("--cache", type=Path, default=Path("runs/frames"))
    args.add_argument("--only", nargs="*", default=PARTS, choices=PARTS)
    args.add_argument("--threads", type=int, default=2)
    args.add_argument("--change", nargs="*", default=[], metavar="NAME=VALUE", help="train another recipe")
    args = args.parse_args()
    pin_threads(args.threads)
    from ser_nbdev import corpora, finetuning
    from ser_nbdev.features import FeatureCache

    args.folder.mkdir(parents=True, exist_ok=True)
    parts = tests(corpora.table())
    options = dict(cache=FeatureCache(args.cache), workers=args.threads)
    recipe = changed(finetuning.Tuning(), args.change)
    for name in args.only:
        if not (args.folder / f"{name}.npz").exists():
            print(f"== {name}", flush=True)
            run(name, parts[name], args.folder, recipe, options)


if __name__ == "__main__":
    main()
