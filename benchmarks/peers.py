"""This project beside what a user would pick instead: the same clips, splits and folds, on one machine, in one run.

    SER_DATA_DIR=... python benchmarks/peers.py [--folder runs/peers] [--unseen runs/unseen] [--only NAME ...] [--skip-speed]
    python benchmarks/peers.py --quick      all of it in small, on synthetic speech: nothing is stored

Every peer learns from the very training sides of benchmarks/unseen.py, whose scores of our own encoder must be there, and answers
for the same clips, each among the emotions of its corpus. What each has heard of a clip, and what it answers in each part, is kept in
--folder as it is done: what was killed goes on, and what is done is not done again. New scores of our own cost a minute:
`--only --skip-speed` puts them beside the answers that are there. Where the corpora have changed, delete --folder. Everything
for the first time takes about an hour and a half on one core that does nothing else, a quarter of an hour of it for time and memory (benchmarks/peer_speed.py).
openSMILE is a tool to compare with and no part of this project (pip install opensmile; free for research only).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from common import RESULTS, pin_threads, store

pin_threads(1)

import numpy as np  # noqa: E402
from adaptation import FIGURES, Held, judged, sides  # noqa: E402
from peer_features import FEATURES  # noqa: E402
from peer_models import PEERS  # noqa: E402

from ser_nbdev import corpora, evaluation, splits  # noqa: E402
from ser_nbdev.comparison import compare  # noqa: E402
from ser_nbdev.training import labels_of  # noqa: E402


def learn(peer, some, labels_known, folder, frames, kept, how=None):
    "Let a peer learn from the training side that some splits share, and keep its answers for their test sides."
    feature, make = PEERS[peer]
    train = some[0].train.reset_index(drop=True)
    labels = labels_of(train)
    answers = (how or make)()(FEATURES[feature](train, folder, frames), train)
    found = {}
    for s in some:
        corpus = s.test.corpus.iloc[0]
        places = [labels.index(e) for e in labels if e in labels_known[corpus]]
        scores = answers(FEATURES[feature](s.test, folder, frames), places)
        if not np.isfinite(scores.max(axis=1)).all():
            raise SystemExit(f"{peer} has no answer for some clip of {corpus}: its scores are no numbers.")
        found[f"{corpus}/names"] = np.array([Path(p).name for p in s.test.path])
        found[f"{corpus}/said"] = np.array(labels)[places][scores.argmax(axis=1)]
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(".part.npz")
    np.savez(part, **found)
    os.replace(part, kept)


def answered(held, corpus, protocol, parts, kept):
    "The report of a peer for a figure: its answers, in the order of our own scores; None where a part is still to do."
    tables, ps = [], []
    if not all(path.exists() for path in kept):
        return None
    for (rows, labels, _, _), path in zip(sides(held, corpus, parts), kept):
        with np.load(path) as file:
            said = dict(zip(file[f"{corpus}/names"].tolist(), file[f"{corpus}/said"].tolist()))
        t = held.table.loc[rows].reset_index(drop=True)
        if missing := set(t.name) - set(said):
            raise SystemExit(
                f"{path} answers for other clips ({len(missing)} are missing): delete it, and it is made anew."
            )
        tables.append(t)
        ps.append(np.eye(len(labels))[[labels.index(said[name]) for name in t.name]])
    table, p = evaluation.pool(list(zip(tables, ps)))
    return evaluation.evaluate(table, p, labels, protocol=protocol)


def told(report):
    "The figures of a report that answers without probabilities have too."
    kept = ("clips", "accuracy", "uar", "interval", "per_class", "confusion", "labels")
    return {key: value for key, value in report.to_dict().items() if key in kept}


def accuracy(unseen, folder):
    "By every protocol: each peer and ours, with intervals, and ours against each."
    held, result = Held(unseen), {}
    for name, (corpus, protocol, parts) in FIGURES.items():
        have = tuple(p for p in parts if (p, corpus) in held.audits)
        if have != parts:
            print(f"{name}: not all parts are in {unseen}; it is left out")
            continue
        reports = {
            how: judged(held, corpus, protocol, have, how == "ours, adapted")
            for how in ("ours", "ours, adapted")
        }
        for peer in PEERS:
            kept = [folder / f"{peer}-{part}.npz" for part in have]
            if report := answered(held, corpus, protocol, have, kept):
                reports[peer] = report
        against = {
            ours: {peer: compare(reports[ours], reports[peer]) for peer in PEERS if peer in reports}
            for ours in ("ours", "ours, adapted")
        }
        result[name] = {
            "corpus": corpus,
            "protocol": protocol,
            "systems": {key: told(report) for key, report in reports.items()},
            "against": against,
        }
        print(name)
        for key, report in result[name]["systems"].items():
            u, a = report["uar"], report["accuracy"]
            p = against["ours"].get(key)
            said = f"  ours {100 * p['uar']['difference']:+.1f}, p {p['uar']['p']:.3f}" if p else ""
            print(
                f"  {key:14} UAR {100 * u['value']:.1f} ({100 * u['low']:.1f} to {100 * u['high']:.1f})"
                f"  accuracy {100 * a['value']:.1f}{said}"
            )
    return result


def lstm():
    "Where our LSTM bundle can stand in the table: what benchmarks/accuracy.py and benchmarks/bundle.py found on the same clips."
    found = {}
    if (RESULTS / "accuracy.json").exists():
        parts = json.loads((RESULTS / "accuracy.json").read_text())["parts"]
        names = {"TESS, by word": "lstm-word", "TESS, an actress unseen": "lstm-speaker"}
        found = {f: {k: parts[p][k] for k in ("clips", "accuracy", "uar")} for f, p in names.items()}
    if (RESULTS / "bundle.json").exists():
        told = json.loads((RESULTS / "bundle.json").read_text())["unseen_corpora"]["EMOVO, never seen"]
        found["EMOVO, a corpus unseen"] = {k: told[k] for k in ("clips", "accuracy", "uar")}
    return found


def quick(folder):
    "All of it in small: synthetic speech, one part, networks of an epoch; what the peers answer, by name."
    import peer_models

    table = corpora.demo(folder / "demo")
    some = [splits.split(table, "word", folds=3)[0]]
    small = {
        "baseline": lambda: peer_models.mean_lstm(epochs=1),
        "convolutions": lambda: peer_models.conv_net(epochs=2, width=4),
    }
    known, found = {c: set(t.emotion) for c, t in table.groupby("corpus")}, {}
    for peer in PEERS:
        kept = folder / f"{peer}-fold1.npz"
        learn(peer, some, known, folder, folder / "frames", kept, small.get(peer))
        with np.load(kept) as file:
            (said,) = (file[key] for key in file.files if key.endswith("/said"))
        found[peer] = evaluation.uar(some[0].test.emotion, said)
        print(f"{peer:14} UAR {100 * found[peer]:.1f}")
    return found


def speed(folder, *options):
    "Time, memory and size, measured by a process of its own: what it holds would be counted as its children's."
    with tempfile.TemporaryDirectory() as room:
        out = Path(room, "speed.json")
        script = Path(__file__).with_name("peer_speed.py")
        subprocess.run([sys.executable, script, *options, "--folder", str(folder), "--out", out], check=True)
        return json.loads(out.read_text())


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--folder", type=Path, default=Path("runs/peers"))
    args.add_argument("--unseen", type=Path, default=Path("runs/unseen"))
    args.add_argument("--frames", type=Path, default=Path("runs/frames"))
    args.add_argument("--only", nargs="*", default=list(PEERS), choices=list(PEERS))
    args.add_argument("--parts", nargs="*", help="in this order; all of them if it is not given")
    args.add_argument("--skip-speed", action="store_true", help="keep the times that are stored")
    args.add_argument("--quick", action="store_true", help="a smoke test of all of it, about a minute")
    args = args.parse_args()
    if args.quick:
        with tempfile.TemporaryDirectory() as folder:
            quick(Path(folder))
            short = "--clips 3 --starts 1 --pairs 1 --archive 12 --minutes 0.5 --sample 140"
            return print(f"{speed(folder, *short.split())['seconds']:.0f} s for time and memory")
    from unseen import PARTS, tests

    table = corpora.table()
    known, parts = {c: set(t.emotion) for c, t in table.groupby("corpus")}, tests(table)
    if unknown := set(args.parts or ()) - set(PARTS):
        raise SystemExit(f"There is no part {min(unknown)}: there are {', '.join(PARTS)}.")
    for peer in args.only:
        for part in args.parts or PARTS:
            kept = args.folder / f"{peer}-{part}.npz"
            if not kept.exists():
                print(f"== {peer}, {part}", flush=True)
                learn(peer, parts[part], known, args.folder, args.frames, kept)
    result = {"figures": accuracy(args.unseen, args.folder), "lstm": lstm()}
    if args.skip_speed:
        before = RESULTS / "peers.json"
        took = json.loads(before.read_text()).get("speed") if before.exists() else None
    else:
        took = speed(args.folder)
    store("peers", {**result, "speed": took})


if __name__ == "__main__":
    main()
