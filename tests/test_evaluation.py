"Metrics against scikit-learn on random cases, and what a report does with odd and hostile input."

import json, subprocess, sys
from pathlib import Path

import numpy as np, pandas as pd, pytest
from hypothesis import given, settings, strategies as st
from sklearn import metrics
from sklearn.preprocessing import label_binarize

from ser_nbdev import evaluation as ev
from ser_nbdev.evaluation import EvaluationError, evaluate, model_card, pool, report_markdown

LABELS = ["angry", "happy", "neutral", "sad"]


def case(seed, n=200, speakers=6, skill=1.0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, n)
    logits = rng.normal(size=(n, 4)) * 2
    logits[np.arange(n), y] += skill
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    who = rng.integers(0, speakers, n)
    table = pd.DataFrame(
        {
            "path": [f"/home/anna/clips/{i}.wav" for i in range(n)],
            "emotion": np.array(LABELS)[y],
            "speaker": [f"s{i}" for i in who],
            "gender": np.where(who % 2, "male", "female"),
        }
    )
    return table, p, y


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(5, 300), st.floats(0, 4))
def test_metrics_equal_scikit_learns(seed, n, skill):
    table, p, y = case(seed, n, skill=skill)
    r = evaluate(table, p, LABELS, protocol="random", n_boot=20)
    assert np.isclose(r.accuracy, metrics.accuracy_score(y, p.argmax(1)))
    present = sorted(set(y))
    assert np.isclose(
        r.uar, metrics.recall_score(y, p.argmax(1), labels=present, average="macro", zero_division=0)
    )
    assert (r.confusion == metrics.confusion_matrix(y, p.argmax(1), labels=range(4))).all()
    expected = np.array(
        metrics.precision_recall_fscore_support(y, p.argmax(1), labels=range(4), zero_division=np.nan)
    ).T
    said = expected[:, 3] > 0
    np.testing.assert_allclose(r.per_class.to_numpy(float)[said], expected[said], atol=1e-12)
    assert np.isclose(ev.nll(p, y), metrics.log_loss(y, p, labels=range(4)))
    assert np.isclose(ev.brier(p, y), ((label_binarize(y, classes=range(4)) - p) ** 2).sum(1).mean())
    assert np.isclose(ev.uar(np.array(LABELS)[y], np.array(LABELS)[p.argmax(1)]), r.uar)


def test_ece_by_hand():
    _, p, y = case(3)
    sure, right, total = p.max(1), p.argmax(1) == y, 0
    for i in range(15):
        inside = (sure > i / 15) & (sure <= (i + 1) / 15)
        if inside.any():
            total += inside.mean() * abs(sure[inside].mean() - right[inside].mean())
    assert np.isclose(ev.ece(p, y), total)
    assert ev.reliability(p, y).n.sum() == len(y)


def test_drawing_speakers_by_hand():
    table, p, y = case(5, speakers=8)
    rng, out = np.random.default_rng(0), []
    rows = [np.flatnonzero(table.speaker == s) for s in table.speaker.unique()]
    for _ in range(3000):
        drawn = np.concatenate([rows[i] for i in rng.integers(0, 8, 8)])
        out.append((p[drawn].argmax(1) == y[drawn]).mean())
    fast = ev.bootstrap(y, p.argmax(1), 4, table.speaker.to_numpy(), n=3000)[0]
    np.testing.assert_allclose(
        np.percentile(fast, [2.5, 50, 97.5]), np.percentile(out, [2.5, 50, 97.5]), atol=0.012
    )


def test_what_is_drawn_is_stated():
    table, p, _ = case(0, speakers=6)
    few = table.assign(speaker=np.where(table.gender == "male", "b", "a"))
    assert evaluate(table, p, LABELS, protocol="x").by == "speaker"
    assert evaluate(few, p, LABELS, protocol="x").by == "clip"
    assert evaluate(table.assign(speaker=""), p, LABELS, protocol="x").by == "clip"
    assert evaluate(few, p, LABELS, protocol="x", by="speaker").by == "speaker"
    assert "nothing about voices" in evaluate(few, p, LABELS, protocol="x").to_markdown()
    with pytest.raises(EvaluationError, match="fewer than two"):
        evaluate(table.drop(columns="speaker"), p, LABELS, protocol="x", by="speaker")


def test_the_same_seed_gives_the_same_report():
    table, p, _ = case(1)
    one, two = (evaluate(table, p, LABELS, protocol="x", seed=s).to_dict() for s in (4, 4))
    assert one == two
    assert one["uar"] != evaluate(table, p, LABELS, protocol="x", seed=5).to_dict()["uar"]


def test_an_emotion_without_clips_is_named_and_not_averaged():
    table, p, y = case(2)
    some = y != 3
    r = evaluate(table[some], p[some], LABELS, protocol="x")
    assert r.absent == ["sad"] and np.isnan(r.per_class.recall["sad"])
    d = json.loads(json.dumps(r.to_dict(), allow_nan=False))
    assert d["per_class"]["sad"]["recall"] is None and "in no average: sad" in r.to_markdown()


def test_no_error_is_no_proof():
    table, _, y = case(2, n=60)
    r = evaluate(table, np.eye(4)[y], LABELS, protocol="x")
    assert r.uar == 1 and "up to 5 %" in r.to_markdown()


@pytest.mark.parametrize(
    "spoil, says",
    [
        (lambda t, p: (t, p[:-1]), "give one a clip"),
        (lambda t, p: (t, p[:, :3]), "3 probabilities a clip for 4 labels"),
        (lambda t, p: (t, p * 2), "is no distribution"),
        (lambda t, p: (t, np.log(p)), "is no distribution"),
        (lambda t, p: (t, np.where(p > 0.9, np.nan, p)), "NaN"),
        (lambda t, p: (t[:0], p[:0]), "table is empty"),
        (lambda t, p: (t.assign(emotion="bored"), p), "does not know"),
        (lambda t, p: (t, p[0]), "one row a clip"),
        (lambda t, p: (t.drop(columns="emotion"), p), "no column 'emotion'"),
    ],
)
def test_bad_input_is_a_sentence(spoil, says):
    table, p, _ = case(7, skill=4)
    with pytest.raises(EvaluationError, match=says):
        evaluate(*spoil(table, p), LABELS, protocol="x")


def test_float32_softmax_is_welcome():
    table, p, _ = case(7)
    assert (
        abs(evaluate(table, p.astype(np.float32), LABELS, protocol="x").probabilities.sum(1) - 1).max()
        < 1e-12
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0.6, 8))
def test_temperature_keeps_the_order_and_lowers_the_loss(seed, t):
    _, p, y = case(seed)
    spoilt = ev.apply_temperature(p, t)
    assert (spoilt.argmax(1) == p.argmax(1)).all() and np.allclose(spoilt.sum(1), 1)
    fitted = ev.fit_temperature(spoilt, y)
    assert 0.5 <= fitted <= 10
    if 0.55 < fitted < 9:
        assert ev.nll(ev.apply_temperature(spoilt, fitted), y) <= ev.nll(spoilt, y) + 1e-6


def test_temperature_of_certain_rows():
    p = np.array([[1.0, 0, 0], [0, 1, 0]], np.float32)
    assert np.isfinite(ev.apply_temperature(p, 0.01)).all() and np.isfinite(ev.fit_temperature(p, [0, 2]))
    for t in (0, -1, np.nan, np.inf):
        with pytest.raises(EvaluationError):
            ev.apply_temperature(p, t)


def test_pooled_folds_are_each_clip_once():
    table, p, y = case(9)
    order = np.random.default_rng(0).permutation(200)
    pooled, q = pool([(table.iloc[i], p[i]) for i in np.array_split(order, 5)])
    r = evaluate(pooled, q, LABELS, protocol="random")
    assert np.isclose(r.accuracy, (p.argmax(1) == y).mean()) and len(r.to_dict()["by"]["fold"]) == 5
    assert "UAR of the folds" in r.to_markdown()


def test_a_stored_report_reads_the_same_and_names_no_folder(tmp_path):
    table, p, _ = case(4)
    r = evaluate(table, p, LABELS, protocol="word", audit={"speakers": {"shared": 2}})
    r.save(tmp_path / "deep" / "er")
    text = (tmp_path / "deep/er/report.json").read_text()
    assert "anna" not in text and report_markdown(json.loads(text)) == r.to_markdown()
    assert sorted(f.name for f in (tmp_path / "deep/er").iterdir()) == [
        "confusion.png",
        "reliability.png",
        "report.json",
        "report.md",
    ]
    assert "2 speakers" in r.to_markdown()


def test_a_disk_that_fills_up_leaves_the_old_report(tmp_path, monkeypatch):
    table, p, _ = case(4)
    evaluate(table, p, LABELS, protocol="word").save(tmp_path)
    before = {f.name: f.read_bytes() for f in tmp_path.iterdir()}

    def full(self, text, **_):
        self.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError):
        evaluate(table, p, LABELS, protocol="random").save(tmp_path)
    after = {f.name: f.read_bytes() for f in tmp_path.iterdir()}
    assert set(after) == set(before) and all(after[n] == before[n] for n in ("report.md", "report.json"))


def test_a_card_from_stored_reports():
    table, p, _ = case(6)
    stored = json.loads(json.dumps(evaluate(table, p, LABELS, protocol="speaker").to_dict()))
    facts = {k: "something" for k in ev.FACTS} | {
        "training": [{"corpus": "tess", "licence": "CC BY-NC-ND 4.0"}]
    }
    card = model_card(facts, {"TESS": stored})
    for part in (
        "Hiring",
        "Policing",
        "Diagnosis",
        "Covert",
        "`speaker`",
        "CC BY-NC-ND 4.0",
        "female",
        "No audit was made",
    ):
        assert part in card
    for key in ev.FACTS:
        with pytest.raises(EvaluationError, match=f"lacks '{key}'"):
            model_card({**facts, key: None}, {"TESS": stored})


def test_importing_it_draws_nothing():
    code = (
        "import sys, ser_nbdev.evaluation; "
        "print([m for m in ('matplotlib', 'seaborn', 'sklearn', 'tensorflow', 'librosa') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
