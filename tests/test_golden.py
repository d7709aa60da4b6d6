"""Nothing drifts unnoticed: fixed clips give the golden numbers, on every platform and with the lowest and newest dependencies.

`make golden` remakes them on purpose; tests/golden says which bundles they belong to.
"""

import copy
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import golden  # noqa: E402

KEPT = json.loads(golden.FILE.read_text("utf-8"))


@pytest.fixture(scope="module")
def now():
    return golden.measure()


def test_the_bundles_are_those_of_the_golden_file(now):
    assert golden.changed_bundles(KEPT, now) == []


def test_no_figure_drifted(now):
    assert golden.changed_bundles(KEPT, now) == []  # else what follows says nothing
    assert golden.drifted(KEPT, now) == []


def test_what_is_listened_to(now):
    assert set(KEPT["bundles"]) == {p.name for p in (ROOT / "ser_nbdev" / "bundles").iterdir()}
    assert KEPT["tolerance"] == golden.TOLERANCE
    windows = KEPT["clips"]["a voice, 9 s"]["stages"]
    assert {"clip", "log-mel", "LSTM's frames", "encoder's window 1", "encoder's window 2"} <= set(windows)
    for name, told in KEPT["clips"].items():
        for bundle, shares in told["probabilities"].items():
            assert sum(shares.values()) == pytest.approx(1, abs=1e-4), (name, bundle)


def test_a_lossless_coding_changes_nothing():
    clips = KEPT["clips"]
    for coding in ("WAV, PCM_16", "FLAC, PCM_24", "AIFF, PCM_16"):
        assert (
            golden.drifted(
                {**KEPT, "clips": {"x": clips["plain.flac"]}}, {"clips": {"x": clips[f"plain as {coding}"]}}
            )
            == []
        )


@pytest.mark.parametrize("share, found", [(0.5, 0), (1.5, 1)])
def test_what_moves_further_than_the_tolerance_is_named(share, found):
    moved = copy.deepcopy(KEPT)
    moved["clips"]["plain.mp3"]["probabilities"]["tess-lstm"]["angry"] += (
        share * golden.TOLERANCE["probability"]
    )
    said = golden.drifted(KEPT, moved)
    assert len(said) == found and all("plain.mp3: tess-lstm gave angry" in s for s in said)
    moved = copy.deepcopy(KEPT)
    moved["clips"]["noise"]["stages"]["log-mel"][1] -= share * golden.TOLERANCE["stage"]
    assert len(golden.drifted(KEPT, moved)) == found


def test_what_is_missing_new_or_no_number_is_named():
    moved = copy.deepcopy(KEPT)
    moved["clips"]["another"] = moved["clips"].pop("noise")
    moved["clips"]["plain.ogg"]["probabilities"]["tess-lstm"]["sad"] = float("nan")
    moved["clips"]["plain.m4a"]["stages"].pop("clip")
    said = " ".join(golden.drifted(KEPT, moved))
    assert all(
        s in said for s in ("another: new", "noise: gone", "tess-lstm gave sad", "plain.m4a: the stages")
    )


def test_another_bundle_is_told_apart_from_drift():
    moved = copy.deepcopy(KEPT)
    moved["bundles"]["speech-encoder"] = "0" * 64
    [sentence] = golden.changed_bundles(KEPT, moved)
    assert "speech-encoder" in sentence and "make golden" in sentence and "tess-lstm" not in sentence
