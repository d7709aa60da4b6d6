"Two recognizers on the same clips: what is known of simple cases; and the benchmark that does it with the peers, in small."

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

from ser_nbdev.audio import load  # noqa: E402
from ser_nbdev.comparison import compare, mcnemar, paired_bootstrap  # noqa: E402
from ser_nbdev.evaluation import EvaluationError, bootstrap, evaluate  # noqa: E402

LABELS = ("angry", "happy", "sad")


def report(truth, said, who=None):
    table = pd.DataFrame({"emotion": np.array(LABELS)[truth], "speaker": "one" if who is None else who})
    return evaluate(table, np.eye(3)[said], LABELS, protocol="a test")


def test_mcnemar_is_the_binomial_test_of_the_clips_that_tell_them_apart():
    ours, theirs = np.zeros(100, bool), np.zeros(100, bool)
    ours[:50], theirs[8:50], theirs[98:] = True, True, True  # 8 to 2, and 42 that both have right
    found = mcnemar(ours, theirs)
    assert (found["only_ours"], found["only_theirs"]) == (8, 2)
    assert found["p"] == pytest.approx(2 * (1 + 10 + 45) / 1024)
    assert mcnemar(theirs, ours)["p"] == found["p"]


def test_the_margins_of_the_paired_draws_are_those_of_either_alone():
    rng = np.random.default_rng(0)
    truth, who = rng.integers(3, size=240), np.repeat(np.arange(8), 30).astype(str)
    ours, theirs = (np.where(rng.random(240) < p, truth, rng.integers(3, size=240)) for p in (0.7, 0.4))
    a, b = (bootstrap(truth, said, 3, who) for said in (ours, theirs))
    for d, x, y in zip(paired_bootstrap(truth, ours, theirs, 3, who), a, b):
        assert d == pytest.approx(x - y)  # the same speakers are drawn for both
    for d, x, y in zip(
        paired_bootstrap(truth, ours, theirs, 3),
        bootstrap(truth, ours, 3),
        bootstrap(truth, theirs, 3),
    ):
        assert d.mean() == pytest.approx(x.mean() - y.mean(), abs=0.01)


def test_pairs_tell_apart_what_two_intervals_do_not():
    rng = np.random.default_rng(1)
    who, truth = np.repeat(np.arange(10), 60), rng.integers(3, size=600)
    ours = np.where(rng.random(600) < 0.4 + who / 20, truth, (truth + 1) % 3)  # speakers differ much
    theirs = np.where(rng.random(600) < 0.06, (truth + 2) % 3, ours)
    a, b = report(truth, ours, who.astype(str)), report(truth, theirs, who.astype(str))
    assert a.by == "speaker" and a.intervals["uar"][0] < b.intervals["uar"][1]
    found = compare(a, b)
    assert found["uar"]["low"] > 0 and found["uar"]["p"] < 0.01 and found["mcnemar"]["only_theirs"] == 0
    assert compare(b, a)["uar"]["difference"] == -found["uar"]["difference"]


def test_equals_are_equal_and_chance_is_not_significant():
    truth = np.tile(np.arange(3), 100)
    said = [np.random.default_rng(seed).integers(3, size=300) for seed in (1, 2)]
    found = compare(*(report(truth, s) for s in said))
    assert found["drawn"] == "clip" and found["uar"]["low"] < 0 < found["uar"]["high"]
    assert found["uar"]["p"] > 0.05 and found["mcnemar"]["p"] > 0.05
    same = compare(report(truth, said[0]), report(truth, said[0]))
    assert same["uar"] == {"difference": 0, "low": 0, "high": 0, "p": 1} and same["mcnemar"]["p"] == 1


def test_only_the_same_clips_are_compared():
    truth = np.tile(np.arange(3), 10)
    with pytest.raises(EvaluationError, match="different clips"):
        compare(report(truth, truth), report(truth[::-1], truth))
    with pytest.raises(EvaluationError, match="different clips"):
        compare(report(truth, truth), report(truth[:15], truth[:15]))
    with pytest.raises(EvaluationError, match="the same clips"):
        mcnemar(truth > 0, truth[:5] > 0)


# ---- the peers, in small


@pytest.fixture(scope="module")
def peers(tmp_path_factory):
    "The benchmark's rooms, with a stand-in for the published encoder, whose weights would be fetched."
    pytest.importorskip("tensorflow", reason="the peers are trained with TensorFlow")
    import peer_features
    import peers

    def stand_in(table, folder, frames):
        return [peer_features.cepstra(load(p)).mean(axis=0) for p in table.path]

    had = dict(peer_features.FEATURES), dict(peers.PEERS)
    peer_features.FEATURES["states"] = stand_in
    try:
        import opensmile  # noqa: F401
    except ModuleNotFoundError:  # it is free for research only, and no part of any installation of ours
        del peers.PEERS["egemaps"], peers.PEERS["compare"]
    yield peers
    peer_features.FEATURES.update(had[0]), peers.PEERS.update(had[1])


def test_every_peer_learns_and_answers(peers, tmp_path):
    found = peers.quick(tmp_path)
    assert list(found) == list(peers.PEERS)
    assert (
        found["frozen"] > 0.6
    )  # synthetic emotions are easy for what is fitted, not for an epoch of a network
    assert all(0 <= uar <= 1 for uar in found.values())


def test_machines_answer_among_the_emotions_of_the_corpus_and_choose_on_other_speakers(peers):
    from peer_models import held_out, linear_head, support_vectors

    rng = np.random.default_rng(0)
    emotions = np.array(["angry", "fear", "happy", "sad", "calm"])  # in the order of the vocabulary
    y = np.tile(np.arange(5), 40)
    train = pd.DataFrame({"emotion": emotions[y], "speaker": np.repeat([f"s{i}" for i in range(10)], 20)})
    train = train.assign(path=[f"{i:03d}.wav" for i in range(200)], corpus="tiny", text="")
    learnt, other = held_out(train)
    assert not set(train.speaker.iloc[learnt]) & set(train.speaker.iloc[other]) and len(other)
    x = rng.normal(size=(200, 12)) + 3 * np.eye(5, 12)[y]
    for learn in (
        support_vectors("rbf", (1, 3)),
        support_vectors("linear", (0.3,)),
        linear_head((0.01, 0.1)),
    ):
        answers = learn(list(x), train)
        assert np.mean(answers(list(x), [0, 1, 2, 3, 4]).argmax(axis=1) == y) > 0.8
        some = answers(list(x), [4, 0])  # calm or angry, in this order
        assert some.shape == (200, 2)
        assert (
            np.mean(some[y == 4].argmax(axis=1) == 0) > 0.8
            and np.mean(some[y == 0].argmax(axis=1) == 1) > 0.8
        )


def test_a_pair_of_emotions_is_no_special_case(peers):
    from peer_models import support_vectors

    y = np.tile(np.arange(2), 20)
    train = pd.DataFrame({"emotion": np.array(["angry", "sad"])[y], "speaker": np.repeat(list("abcd"), 10)})
    train = train.assign(path=[f"{i}.wav" for i in range(40)], corpus="tiny", text="")
    x = np.random.default_rng(0).normal(size=(40, 4)) + 3 * y[:, None]
    answers = support_vectors("linear", (1,))(list(x), train)
    assert np.mean(answers(list(x), [0, 1]).argmax(axis=1) == y) > 0.9


def test_what_is_there_is_not_made_again_and_other_clips_are_told(peers, tmp_path):
    class Held:
        table = pd.DataFrame({"name": ["a.wav", "b.wav"], "emotion": ["angry", "sad"]})

    one = [([0, 1], ["angry", "sad"], None, None)]
    kept = tmp_path / "egemaps-fold1.npz"
    peers_sides, peers.sides = peers.sides, lambda *args: one
    try:
        assert peers.answered(Held, "tiny", "speaker", ["fold1"], [kept]) is None
        np.savez(kept, **{"tiny/names": ["b.wav", "a.wav"], "tiny/said": ["sad", "sad"]})
        assert peers.answered(Held, "tiny", "speaker", ["fold1"], [kept]).predicted.tolist() == [1, 1]
        np.savez(kept, **{"tiny/names": ["b.wav"], "tiny/said": ["sad"]})
        with pytest.raises(SystemExit, match="other clips"):
            peers.answered(Held, "tiny", "speaker", ["fold1"], [kept])
    finally:
        peers.sides = peers_sides


def test_the_baseline_is_timed_by_a_process_that_stays_open(tmp_path):
    from peer_speed import Asked, rate

    team = [Asked("def answer(path): open(path).close()\n", __file__) for _ in range(2)]
    assert team[0](__file__) > 0 and rate(team, [__file__] * 9) > 9
    [one.close() for one in team]
    with pytest.raises(SystemExit, match="this failed"):
        Asked("def answer(path): raise OSError\n", __file__)


def test_the_command_says_what_it_does():
    run = [sys.executable, ROOT / "benchmarks/peers.py", "--help"]
    said = subprocess.run(run, capture_output=True, text=True, timeout=120)
    assert said.returncode == 0 and "--quick" in said.stdout


def test_another_recipe_is_told_by_what_is_changed_in_it():
    pytest.importorskip("keras", reason="Keras is not installed (it is in the train extra)")
    from tries import differences
    from unseen import changed

    from ser_nbdev.finetuning import Tuning

    other = changed(Tuning(), ["body_rate=4e-5", "disguise.room=0", 'head="lstm"'])
    assert (other.body_rate, other.disguise.room, other.head) == (4e-5, 0, "lstm")
    assert differences(Tuning().to_dict(), other.to_dict()) == "body_rate=4e-05, head=lstm, disguise.room=0"
    older = {k: v for k, v in Tuning().to_dict().items() if k != "head"}  # a field that came later
    assert differences(older, Tuning().to_dict()) == ""
