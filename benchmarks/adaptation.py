"""What the scores of benchmarks/unseen.py amount to: each protocol alone and adapted, the curve by number of clips.

    SER_DATA_DIR=... python benchmarks/adaptation.py [--folder runs/unseen]

What adaptation and calibration have to learn is learnt from held-out scores of other speakers: for a corpus that was left
out, of other corpora; for a fold, of the other folds too. A minute on one core; parts that are not there yet are left out.
"""

import argparse
import json
from functools import lru_cache, partial
from pathlib import Path
from unittest.mock import patch

from common import pin_threads, store

pin_threads(1)

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from ser_nbdev import adaptation, corpora, evaluation  # noqa: E402
from ser_nbdev.adaptation import fit_adaptation  # noqa: E402

#: What is reported: corpus, protocol, and the parts whose test sides make it up.
FOLDS = tuple(f"fold{i}" for i in range(1, 6))
FIGURES = {
    "TESS, by word": ("tess", "word", FOLDS),
    "TESS, an actress unseen": ("tess", "leave-one-speaker-out", ("tess-OAF", "tess-YAF")),
    "RAVDESS, by actor": ("ravdess", "speaker", FOLDS),
    "EmoDB, by speaker": ("emodb", "speaker", FOLDS),
    "EMOVO, a corpus unseen": ("emovo", "leave-one-corpus-out", ("emovo",)),
}
CLIPS = (1, 2, 5, 10, 20)
UNSURE = 0.5  # an answer that is as likely wrong as right


class Held:
    "All scores of clips by networks that had not heard the speaker, or the word, or the corpus."

    def __init__(self, folder: Path, parts=(*FOLDS, "tess-OAF", "tess-YAF", "emovo")):
        whole, rows, scores = corpora.table(), [], []
        whole = whole.assign(name=[Path(p).name for p in whole.path])
        self.audits, self.recipe = {}, None
        for part in parts:
            if not (folder / f"{part}.npz").exists():
                continue
            kept = np.load(folder / f"{part}.npz")
            about, self.labels = json.loads(str(kept["about"])), tuple(kept["labels"].tolist())
            self.recipe = about["recipe"]
            for corpus, audit in about["audits"].items():
                self.audits[part, corpus] = audit
                t = whole[whole.corpus == corpus].set_index("name").loc[kept[f"{corpus}/names"]]
                rows.append(t.reset_index().assign(part=part))
                scores.append(kept[f"{corpus}/scores"])
        self.table, self.scores = pd.concat(rows, ignore_index=True), np.concatenate(scores)
        known = whole.groupby("corpus").emotion.agg(set)
        self.allowed = np.array([[e in known[c] for e in self.labels] for c in self.table.corpus], float)
        # by word, the actresses are known: nothing is learnt there about strangers
        self.strangers = ~((self.table.corpus == "tess") & self.table.part.isin(FOLDS)).to_numpy()

    def learn(self, use):
        "Adaptation and calibration from some of the strangers' clips."
        use = self.strangers & use
        t = self.table[use]
        return fit_adaptation(self.scores[use], t.emotion, t.speaker, self.allowed[use], self.labels)

    @lru_cache(None)  # noqa: B019
    def teacher(self, corpus, part):
        "What may be used for a test side: for a fold, all but it; for a corpus or an actress left out, other corpora."
        other = (self.table.corpus != corpus).to_numpy()
        return self.learn(other | (self.table.part != part).to_numpy() if part in FOLDS else other)


def sides(held, corpus, parts):
    "The test sides of a figure: for each part its rows, the labels of the corpus, and what was learnt elsewhere."
    for part in parts:
        rows = np.flatnonzero((held.table.corpus == corpus) & (held.table.part == part))
        if len(rows):
            labels = [e for e, yes in zip(held.labels, held.allowed[rows[0]]) if yes]
            place = [held.labels.index(e) for e in labels]
            yield (
                rows,
                labels,
                held.scores[np.ix_(rows, [0, 1], place)],
                held.teacher(corpus, part).only(labels),
            )


def known(learnt, table, scores):
    "Probabilities of every clip where all clips of its speaker are known, unlabelled."
    p = learnt.probabilities(scores)
    for _, i in table.groupby("speaker").indices.items():
        p[i] = learnt.probabilities(scores[i], learnt.voice(scores[i]))
    return p


def judged(held, corpus, protocol, parts, adapted):
    "The report of a figure, each clip alone, or all clips of a speaker known."
    tables, ps = [], []
    for rows, labels, scores, learnt in sides(held, corpus, parts):
        t = held.table.loc[rows].reset_index(drop=True)
        tables.append(t)
        ps.append(known(learnt, t, scores) if adapted else learnt.probabilities(scores))
    audit = [held.audits[part, corpus] for part in parts if (part, corpus) in held.audits]
    said = protocol + (", adapted to all clips of each speaker, unlabelled" if adapted else "")
    table, p = evaluation.pool(list(zip(tables, ps)))
    return evaluation.evaluate(table, p, labels, protocol=said, audit=audit)


def curve(held, corpus, parts, one_emotion, repetitions=20):
    "UAR by number of unlabelled clips of the speaker, each tested on his other clips; the mean over the draws."
    rng, found = np.random.default_rng(0), {}
    for k in (0, *CLIPS):
        uars, gains = [], []
        for _ in range(repetitions if k else 1):
            truth, said, before = [], [], []
            for rows, labels, scores, learnt in sides(held, corpus, parts):
                t = held.table.loc[rows].reset_index(drop=True)
                y = evaluation.truth_of(t, labels)
                for _, i in t.groupby("speaker").indices.items():
                    pool = i[y[i] == rng.choice(np.unique(y[i]))] if one_emotion else i
                    known = rng.permutation(pool)[:k]
                    rest = np.setdiff1d(i, known)
                    p = learnt.probabilities(scores[rest], learnt.voice(scores[known]))
                    truth.append(y[rest]), said.append(p.argmax(axis=1))
                    before.append(learnt.probabilities(scores[rest]).argmax(axis=1))
            truth, said, before = map(np.concatenate, (truth, said, before))
            uars.append(evaluation.uar(truth, said))
            gains.append(uars[-1] - evaluation.uar(truth, before))
        found[k] = {
            "uar": float(np.mean(uars)),
            "gain": float(np.mean(gains)),
            "least_gain": float(np.min(gains)),
        }
    return found


def adapted_uar(held, corpus, parts):
    "UAR where all clips of a speaker are known, unlabelled."
    truth, said = [], []
    for rows, labels, scores, learnt in sides(held, corpus, parts):
        t = held.table.loc[rows].reset_index(drop=True)
        truth.append(evaluation.truth_of(t, labels))
        said.append(known(learnt, t, scores).argmax(axis=1))
    return float(evaluation.uar(np.concatenate(truth), np.concatenate(said)))


def sensitivity(folder, have):
    "By protocol: how adapted UAR differs with half and with twice of each number that was chosen by looking at it."

    def uars():
        held = Held(folder)  # anew, for what it has learnt stays with it
        return {f: adapted_uar(held, *FIGURES[f][::2]) for f in have}

    start, found = uars(), {}
    for name in ("PRIOR", "PRIOR_SCATTER", "MANY"):
        for factor in (0.5, 2.0):
            with patch.object(adaptation, name, factor * getattr(adaptation, name)):
                found[f"{name} x {factor:g}"] = {f: u - start[f] for f, u in uars().items()}
    return found


def risk_coverage(report):
    "Of the clips that are answered at all, the share that is wrong, by how sure one wants to be."
    sure, right = report.probabilities.max(axis=1), report.predicted == report.truth
    found = []
    for threshold in (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        answered = sure >= threshold
        risk = float(1 - right[answered].mean()) if answered.any() else None
        found.append({"threshold": threshold, "coverage": float(answered.mean()), "risk": risk})
    return found


def strangers(held, folds=5):
    "Calibration over all corpora: each speaker by a temperature that was fitted on other speakers."
    names = np.random.default_rng(0).permutation(sorted(set(held.table.speaker[held.strangers])))
    fold = held.table.speaker.map({who: i % folds for i, who in enumerate(names)}).to_numpy()
    p, barred = np.zeros(held.scores[:, 0].shape), 1e9 * (held.allowed - 1)
    for i in range(folds):
        scores = held.scores[fold == i].copy()
        scores[:, 0] += barred[fold == i]
        p[fold == i] = held.learn(fold != i).probabilities(scores)
    t, p = held.table[held.strangers], p[held.strangers]
    said = "speakers never heard, of all corpora; the temperature was fitted on other speakers"
    return evaluation.evaluate(t, p, held.labels, protocol=said)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--folder", type=Path, default=Path("runs/unseen"))
    args = args.parse_args()
    held = Held(args.folder)
    result = {}
    for name, (corpus, protocol, parts) in FIGURES.items():
        have = tuple(p for p in parts if (p, corpus) in held.audits)
        if not have:
            continue
        alone, adapted = (judged(held, corpus, protocol, have, how) for how in (False, True))
        one = result[name] = {
            "parts": have,
            "alone": alone.to_dict(),
            "adapted": adapted.to_dict(),
            "risk_coverage": risk_coverage(alone),
            "curve": curve(held, corpus, have, False),
            "curve_one_emotion": curve(held, corpus, have, True),
        }
        print(f"{name} ({len(have)} of {len(parts)} parts)")
        for how in ("alone", "adapted"):
            r = one[how]
            f = {
                k: f"{100 * r[k]['value']:.1f} ({100 * r[k]['low']:.1f} to {100 * r[k]['high']:.1f})"
                for k in ("uar", "accuracy")
            }
            print(f"  {how:8} UAR {f['uar']}  accuracy {f['accuracy']}  ECE {r['calibration']['ece']:.3f}")
        for how in ("curve", "curve_one_emotion"):
            print(
                f"  {how:18}",
                {k: f"{100 * v['uar']:.1f} ({100 * v['gain']:+.1f})" for k, v in one[how].items()},
            )
    ships = held.learn(np.ones(len(held.table), bool))
    print(f"temperature {ships.temperature:.2f}, familiar {ships.familiar:.2f}")
    pooled = strangers(held)
    ece = partial(evaluation.ece, pooled.probabilities, pooled.truth)
    everybody = ece(speakers=held.table.speaker[held.strangers])
    print(f"all speakers never heard: ECE {ece():.3f}; {everybody:.3f} where every speaker counts the same")
    about = {
        "strangers": pooled.to_dict(),
        "ece_by_speaker": everybody,
        "strangers_risk_coverage": risk_coverage(pooled),
    }
    near = about["sensitivity"] = sensitivity(args.folder, list(result))
    worst = max(abs(v) for u in near.values() for v in u.values())
    print(f"half or twice of what was chosen by looking: {100 * worst:.1f} points at most", near)
    about |= {"recipe": held.recipe, "unsure_below": UNSURE, "ships": ships.to_dict()}
    store("unseen", {**about, "figures": result})


if __name__ == "__main__":
    main()
