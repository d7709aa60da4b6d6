"""Other recipes at full length, beside the one that ships, on the parts that were tried.

    SER_DATA_DIR=... python benchmarks/tries.py [--folder runs/unseen] [--tries runs/tries]

Each folder in --tries holds what benchmarks/unseen.py made of some parts with `--change`; the recipe's own scores of the same parts stand
beside them. What adaptation learns comes from other speakers of the same parts, and so its figures are not those of all eight. A few seconds.
"""

import argparse
from pathlib import Path

from common import pin_threads, store

pin_threads(1)

from adaptation import FIGURES, Held, adapted_uar, sides  # noqa: E402

from ser_nbdev import evaluation  # noqa: E402


def alone_uar(held, corpus, part):
    "UAR of the own scores, each clip by itself."
    rows, labels, scores, _ = next(sides(held, corpus, [part]))
    return evaluation.uar(
        evaluation.truth_of(held.table.loc[rows].reset_index(drop=True), labels), scores[:, 0].argmax(axis=1)
    )


def uars(folder, parts):
    "By part and corpus: UAR alone and adapted."
    held = Held(folder, parts)
    found = {}
    for corpus, protocol, where in FIGURES.values():
        for part in (p for p in where if (p, corpus) in held.audits and protocol != "word"):
            found[f"{corpus}, {part}"] = {
                "alone": float(alone_uar(held, corpus, part)),
                "adapted": adapted_uar(held, corpus, [part]),
            }
    return held.recipe, found


def differences(recipe, other):
    "What another recipe has other than ours, as `unseen.py --change` takes it."
    flat = [{**r, **{f"disguise.{k}": v for k, v in (r["disguise"] or {}).items()}} for r in (recipe, other)]
    return ", ".join(f"{k}={v}" for k, v in flat[1].items() if k != "disguise" and v != flat[0].get(k, v))


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--folder", type=Path, default=Path("runs/unseen"))
    args.add_argument("--tries", type=Path, default=Path("runs/tries"))
    args = args.parse_args()
    tried = []
    for folder in sorted(p for p in args.tries.iterdir() if p.is_dir()):
        parts = sorted(p.stem for p in folder.glob("*.npz"))
        recipe, ours = uars(args.folder, parts)
        other, theirs = uars(folder, parts)
        tried.append({"change": differences(recipe, other), "parts": parts, "ours": ours, "theirs": theirs})
        print(tried[-1]["change"])
        for side, told in theirs.items():
            pairs = (f"{how} {100 * told[how]:.1f} (ours {100 * ours[side][how]:.1f})" for how in told)
            print(f"  {side:20}", "  ".join(pairs))
    store("tries", {"tries": tried})


if __name__ == "__main__":
    main()
