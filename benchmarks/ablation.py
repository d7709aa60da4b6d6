"""What each part of the recipe is worth: TESS by speaker with the part left out, everything else as it ships.

    SER_DATA_DIR=... python benchmarks/ablation.py [--folder runs/accuracy]

Two trainings a part (one actress, tested on the other), about half an hour in all on one core; goes on where it was
killed. These figures explain the recipe. They are measured on the side that the README reports, so they must not be
used to choose one.
"""

import argparse
import json
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

from common import pin_threads, store

pin_threads(1)

from ser_nbdev import corpora, training  # noqa: E402
from ser_nbdev.features import FeatureCache  # noqa: E402

SHIPS = training.Recipe()


def front(**settings):
    "The recipe with other settings of the front end."
    return replace(SHIPS, frontend=replace(SHIPS.frontend, **settings))


VARIANTS = {
    "as it ships": SHIPS,
    "heard through one throat instead of five": front(warps=(1.0,)),
    "no augmentation": replace(SHIPS, augment=None),
    "no pitch, voicing and energy": front(pitch="none"),
    "cepstral means not taken off": front(normalise="none"),
    "one LSTM instead of two": replace(SHIPS, depth=1),
}


def trained_as(recipe):
    "The recipe to train by: the number of throats matters only afterwards."
    return replace(recipe, frontend=replace(recipe.frontend, warps=SHIPS.frontend.warps))


def fit(recipe, cache):
    "Train as the variant says, in the shape that `training.cross_validate` takes."

    def train(table, folder):
        trained = training.train(table, trained_as(recipe), folder, cache=cache, progress=False)
        return partial(replace(trained, recipe=recipe).predict, cache=cache, progress=False)

    return train


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--folder", type=Path, default=Path("runs/accuracy"))
    args = args.parse_args()
    tess, cache = corpora.table(corpus="tess"), FeatureCache(args.folder / "features")
    result = {}
    for name, recipe in VARIANTS.items():
        slug = name.replace(" ", "-")
        same_models = trained_as(recipe) == SHIPS
        folder = args.folder / ("lstm-speaker" if same_models else f"ablation-{slug}")
        kept = args.folder / f"ablation-{slug}.json"
        if not kept.exists():
            report = training.cross_validate(
                tess, "speaker", fit(recipe, cache), folder, progress=False
            ).to_dict()
            kept.with_suffix(".part").write_text(
                json.dumps({"uar": report["uar"], "by": report["by"]["speaker"]})
            )
            os.replace(kept.with_suffix(".part"), kept)
        result[name] = json.loads(kept.read_text())
        print(f"{name}: UAR {result[name]['uar']['value']:.1%}", flush=True)
    store("ablation", {"clips": len(tess), "protocol": "speaker", "variants": result})


if __name__ == "__main__":
    main()
