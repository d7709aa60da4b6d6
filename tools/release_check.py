"""Did a figure get worse since the last release? A release stops at that; the tests, which look at right and wrong, do not.

python tools/release_check.py          a table, and exit 1 if a figure got worse than its room allows
python tools/release_check.py --keep   the same, and then keeps this version's figures in benchmarks/released.json
python tools/release_check.py --tag    the same, and asks that this version's figures were kept; for the workflow

FIGURES is the one place where it is said what counts, in which direction, and how much may be chance. A figure whose meaning
changes gets another name, and so is compared from the next release on. The figures of every release stay in released.json:
a tag's own run has no earlier tags at hand, and the file shows how they moved.
"""

import json
import os
import sys
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Figure:
    "A headline figure: where it stands in benchmarks/results, and how far it may move by chance."

    name: str
    file: str
    path: tuple
    room: float  # in the figure's own unit or, if `relative`, as a share of it
    better: str = "higher"
    relative: bool = False

    def read(self, results: Path) -> dict:
        "Value and, where one was measured, the interval, from the stored result."
        told = json.loads((results / f"{self.file}.json").read_text("utf-8"))
        for key in self.path:
            told = told[key]
        if not isinstance(told, dict):
            return {"value": told}
        names = ("value", "low", "high") if "value" in told else ("median", "least", "most")
        return dict(zip(("value", "low", "high"), (told[name] for name in names)))

    def limit(self, old: dict) -> float:
        "The worst value that is no worse than `old`: its room, or the end of its interval where that is nearer."
        room = self.room * abs(old["value"]) if self.relative else self.room
        if self.better == "higher":
            return max(old["value"] - room, old.get("low", -float("inf")))
        return min(old["value"] + room, old.get("high", float("inf")))

    def worse(self, old: dict, new: dict) -> bool:
        "Is `new` beyond the limit? What is no number is."
        limit = self.limit(old)
        return not (new["value"] >= limit if self.better == "higher" else new["value"] <= limit)


def _figures():
    for name in (
        "TESS, by word",
        "TESS, an actress unseen",
        "RAVDESS, by actor",
        "EmoDB, by speaker",
        "EMOVO, a corpus unseen",
    ):
        for how in ("alone", "adapted"):
            yield Figure(f"UAR: {name}, {how}", "unseen", ("figures", name, how, "uar"), 0.02)
        ece = ("figures", name, "alone", "calibration", "ece")
        yield Figure(f"ECE: {name}", "unseen", ece, 0.02, "lower")
    for protocol in ("random", "word", "speaker"):
        path = ("parts", f"lstm-{protocol}", "accuracy")
        yield Figure(f"accuracy of our LSTM on TESS: {protocol}", "accuracy", path, 0.02)
    for bundle in ("speech-encoder", "tess-lstm"):
        for key, words in (
            ("per_clip_ms", "time for a clip"),
            ("start_to_first_answer_s", "time to the first answer"),
            ("peak_memory_mb", "memory"),
        ):
            path = ("baseline_over", bundle, key)
            yield Figure(f"baseline over {bundle}: {words}", "speed", path, 0.25, relative=True)
        path = ("hour", bundle, "wav", "real_time_over_cpu")
        yield Figure(f"an hour of speech, times real time: {bundle}", "recording", path, 0.25, relative=True)
        path = ("cores", bundle, "ratio")
        yield Figure(f"files a second, two cores over one: {bundle}", "batch", path, 0.1, relative=True)
        path = ("detectors", f"timeline of {bundle}", "wrong", "all", "balanced")
        yield Figure(f"frames wrong, speech or not: {bundle}", "detection", path, 0.01, "lower")
    for condition in (
        "as recorded",
        "white noise, 10 dB",
        "pink noise, 10 dB",
        "babble noise, 10 dB",
        "telephone, mu-law",
        "room, 0.6 s",
    ):
        yield Figure(
            f"UAR, speakers unheard: {condition}", "robustness", ("conditions", condition, "uar"), 0.03
        )
    path = ("ours_over baseline", "throughput")
    yield Figure("requests a second, ours over the baseline's page", "load", path, 0.25, relative=True)
    yield Figure("size of speech-encoder, MB", "encoder_bundle", ("megabytes",), 0.1, "lower", True)
    path = ("agreement_with_keras", "same_answer")
    yield Figure("speech-encoder answers as in Keras", "encoder_bundle", path, 0.003)


FIGURES = tuple(_figures())


def version(root: Path) -> str:
    "The version that settings.ini tells."
    parser = ConfigParser(delimiters=["="])
    parser.read(root / "settings.ini", encoding="utf-8")
    return parser["DEFAULT"]["version"]


def measured(root: Path) -> dict:
    "By name the figures as they stand in benchmarks/results."
    found = {}
    for figure in FIGURES:
        try:
            found[figure.name] = figure.read(root / "benchmarks" / "results")
        except (OSError, KeyError, ValueError) as e:
            sys.exit(
                f"{figure.name}: benchmarks/results/{figure.file}.json does not hold it ({e!r}): run make bench."
            )
    return found


def released(root: Path) -> dict:
    "By version, the oldest first, the figures that were kept; empty before the first release."
    file = root / "benchmarks" / "released.json"
    told = json.loads(file.read_text("utf-8")) if file.exists() else {}
    return dict(sorted(told.items(), key=lambda item: number(item[0])))


def number(version: str) -> tuple:
    "A version that can be compared."
    return tuple(int(part) for part in version.split("."))


def _words(told: dict) -> str:
    value = f"{told['value']:.4g}"
    return value + (f" ({told['low']:.4g} to {told['high']:.4g})" if "low" in told else "")


def compare(old: dict, new: dict) -> tuple:
    "A table of what moved, the worst first, and the names of what got worse."
    worse, lines = [], []
    for figure in FIGURES:
        if figure.name not in old or old[figure.name] == new[figure.name]:
            continue
        was, is_ = old[figure.name], new[figure.name]
        bad = figure.worse(was, is_)
        worse += [figure.name] * bad
        sign = ">=" if figure.better == "higher" else "<="
        limit = f"{sign} {figure.limit(was):.4g}"
        lines.append((not bad, ["WORSE" if bad else "", figure.name, _words(was), _words(is_), limit]))
    rows = [row for _, row in sorted(lines, key=lambda line: line[0])]
    if rows:
        rows = [["", "figure", "was (95 % interval)", "is", "allowed"], *rows]
        wide = [max(map(len, column)) for column in zip(*rows)]
        rows = ["  ".join(cell.ljust(n) for cell, n in zip(row, wide)).rstrip() for row in rows]
    return "\n".join(rows), worse


def check(root: Path, tag: bool = False, keep: bool = False) -> int:
    "0 if nothing got worse."
    now, ours, kept = measured(root), version(root), released(root)
    before = [v for v in kept if number(v) < number(ours)]
    code = 0
    if not before:
        print(f"Before {ours} there was no release whose figures were kept: nothing to compare with.")
    else:
        table, worse = compare(kept[before[-1]], now)
        print(table or f"No figure moved since {before[-1]}.")
        if worse:
            print(f"\nWorse than in {before[-1]}: {len(worse)} of {len(now)} figures.")
            code = 1
    if tag and kept.get(ours) != now:
        print(
            f"benchmarks/released.json does not hold the figures of {ours}: run python tools/release_check.py --keep."
        )
        code = 1
    if keep and not code:
        file = root / "benchmarks" / "released.json"
        temporary = file.with_suffix(".tmp")
        temporary.write_text(json.dumps({**kept, ours: now}, indent=1) + "\n", encoding="utf-8")
        os.replace(temporary, file)
        print(f"Kept the figures of {ours}.")
    return code


if __name__ == "__main__":
    if unknown := set(sys.argv[1:]) - {"--keep", "--tag"}:
        sys.exit(f"{' '.join(sorted(unknown))} is not understood.\n{__doc__}")
    sys.exit(check(ROOT, "--tag" in sys.argv, "--keep" in sys.argv))
