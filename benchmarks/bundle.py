"""Make the bundle that ships: train on TESS, test where it has never been, write the card.

    SER_DATA_DIR=... python benchmarks/bundle.py [--out ser_nbdev/bundles/tess-lstm] [--folder runs/bundle]

The figures by word, by speaker and random come from results/accuracy.json, where the same recipe was trained and tested
fold by fold; the figures on other corpora are those of this very bundle. About ten minutes on one core; goes on where
it was killed.
"""

import argparse
import json
from pathlib import Path

from common import RESULTS, pin_threads, store

pin_threads(1)

from ser_nbdev import corpora, evaluation, splits, training  # noqa: E402
from ser_nbdev.features import FeatureCache  # noqa: E402

SHORT = {"ravdess": "RAVDESS", "emodb": "EmoDB", "emovo": "EMOVO", "crema-d": "CREMA-D", "savee": "SAVEE"}
LIMITS = (
    "It learnt from two actresses who speak English words in one carrier sentence. On other voices and in other "
    "languages it is wrong far more often than right, whatever its confidence: see the corpora never seen.",
    "It has never heard a man, a child, a telephone, a second speaker or background music in training.",
    "It always answers with one of its seven emotions, even where there is no speech.",
)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--out", default="ser_nbdev/bundles/tess-lstm")
    args.add_argument("--folder", type=Path, default=Path("runs/bundle"))
    args.add_argument("--cache", type=Path, default=Path("runs/accuracy/features"))
    args.add_argument("--by-speaker", type=Path, default=Path("runs/accuracy/lstm-speaker"))
    args = args.parse_args()
    cache = FeatureCache(args.cache)
    table = corpora.table()
    tess = table[table.corpus == "tess"]
    trained = training.train(tess, folder=args.folder, cache=cache, progress=False)
    trained = training.calibrate_by_speaker(trained, tess, args.by_speaker, cache=cache, progress=False)
    print(f"temperature {trained.temperature:.2f}")
    reports = {}
    accuracy = RESULTS / "accuracy.json"
    parts = json.loads(accuracy.read_text())["parts"] if accuracy.exists() else {}
    for protocol in ("word", "speaker", "random"):
        if f"lstm-{protocol}" in parts:
            reports[f"TESS, by {protocol}" if protocol != "random" else "TESS, random"] = parts[
                f"lstm-{protocol}"
            ]
    memory = splits.remember(tess)
    for corpus, clips in table[table.emotion.isin(trained.labels)].groupby("corpus"):
        if corpus != "tess":
            p = trained.predict(clips, cache=cache, progress=False)
            title = f"{SHORT[corpus]}, never seen"
            reports[title] = evaluation.evaluate(
                clips, p, trained.labels, protocol="corpus unseen", audit=splits.audit_memory(memory, clips)
            ).to_dict()
            print(f"{title}: UAR {reports[title]['uar']['value']:.1%}")
    made = training.export_bundle(
        trained, args.out, name="tess-lstm", reports=reports, limits=LIMITS, cache=cache
    )
    store("bundle", {"unseen_corpora": {k: v for k, v in reports.items() if "never seen" in k}})
    print(
        f"The bundle is in {made.folder.name}: {(made.folder / 'model.tflite').stat().st_size / 1e3:.0f} kB"
    )


if __name__ == "__main__":
    main()
