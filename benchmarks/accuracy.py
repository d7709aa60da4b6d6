"""What the baseline and our LSTM reach on TESS, protocol by protocol; every figure of the README's first table.

    SER_DATA_DIR=... python benchmarks/accuracy.py [--folder runs/accuracy] [--folds 5]

Each part is stored as it is done and not done again: kill it and start it anew. About two hours on one core.
"""

import argparse
import json
import os
from pathlib import Path

from common import pin_threads, store

pin_threads(int(os.environ.get("SER_BENCH_THREADS", 1)))

from ser_nbdev import corpora, training  # noqa: E402
from ser_nbdev.features import FeatureCache  # noqa: E402

MODELS = ("baseline", "lstm")
PROTOCOLS = ("random", "word", "speaker")


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--folder", type=Path, default=Path("runs/accuracy"))
    args.add_argument("--folds", type=int, default=5)
    args = args.parse_args()
    tess, cache = corpora.table(corpus="tess"), FeatureCache(args.folder / "features")
    fits = {"baseline": training.fit_baseline(cache=cache), "lstm": training.fit_lstm(cache=cache)}
    result = {"clips": len(tess), "folds": args.folds}
    published = args.folder / "published.json"
    if not published.exists():
        published.parent.mkdir(parents=True, exist_ok=True)
        published.write_text(json.dumps(training.baseline_as_published(tess, cache=cache)))
    result["baseline_as_published"] = json.loads(published.read_text())
    for model in MODELS:
        for protocol in PROTOCOLS:
            name = f"{model}-{protocol}"
            kept = args.folder / name / "report.json"
            if not kept.exists():
                print(f"== {name}", flush=True)
                report = training.cross_validate(tess, protocol, fits[model], kept.parent, folds=args.folds)
                report.save(kept.parent)
            result[name] = json.loads(kept.read_text())
    store("accuracy", result)


if __name__ == "__main__":
    main()
