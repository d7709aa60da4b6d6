"""What the baseline and our LSTM reach on TESS, protocol by protocol; every figure of the README's first tables.

    SER_DATA_DIR=... python benchmarks/accuracy.py [--folder runs/accuracy] [--folds 5] [--only NAME ...]

Each part is stored as it is done and not done again, so it can be killed and started anew, and parts can run side by
side (--only lstm-word). About two hours on one core. Whatever is done by then is stored in results/accuracy.json.
"""

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path

from common import pin_threads, store

pin_threads(1)


from ser_nbdev import corpora, evaluation, training  # noqa: E402
from ser_nbdev.features import FeatureCache  # noqa: E402

SEEDS = (
    0,
    1,
    2,
)  # of our LSTM by speaker, where luck matters most; the first one is the figure that is quoted
PARTS = ["lstm-speaker", "lstm-word", "lstm-random", "baseline-speaker", "baseline-word", "baseline-random"]
PARTS = ["published", *PARTS, *(f"lstm-speaker-seed{s}" for s in SEEDS[1:])]


def part(name: str, tess, folder: Path, folds: int, cache) -> dict:
    "One figure with its protocol, audit and interval."
    if name == "published":
        return training.baseline_as_published(tess, cache=cache)
    model, protocol, *seed = name.split("-")
    recipe = replace(training.Recipe(), seed=int(seed[0][4:]) if seed else 0)
    options = dict(cache=cache, progress=False)
    fit = training.fit_baseline(cache=cache) if model == "baseline" else training.fit_lstm(recipe, **options)
    report = training.cross_validate(tess, protocol, fit, folder / name, folds=folds)
    report.save(folder / name)
    result = report.to_dict()
    if name.startswith("lstm-speaker"):
        centred = evaluation.centred(report.probabilities, report.table.speaker)
        normalised = evaluation.evaluate(
            report.table, centred, report.labels, protocol=protocol, audit=report.audit
        )
        result["centred_by_speaker"] = normalised.to_dict()
    return result


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--folder", type=Path, default=Path("runs/accuracy"))
    args.add_argument("--folds", type=int, default=5)
    args.add_argument("--only", nargs="*", default=PARTS, choices=PARTS)
    args = args.parse_args()
    tess, cache = corpora.table(corpus="tess"), FeatureCache(args.folder / "features")
    for name in args.only:
        kept = args.folder / f"{name}.json"
        if not kept.exists():
            print(f"== {name}", flush=True)
            result = part(name, tess, args.folder, args.folds, cache)
            kept.with_suffix(".part").write_text(json.dumps(result))
            os.replace(kept.with_suffix(".part"), kept)
    done = {name: args.folder / f"{name}.json" for name in PARTS}
    parts = {name: json.loads(path.read_text()) for name, path in done.items() if path.exists()}
    store("accuracy", {"clips": len(tess), "folds": args.folds, "parts": parts})
    if missing := [name for name in PARTS if name not in parts]:
        print("still to do:", ", ".join(missing))


if __name__ == "__main__":
    main()
