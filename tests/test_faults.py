"What is killed at random moments, or finds the disk full or read-only. `benchmarks/faults.py` does the first a hundred times each."

import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from disks import disk, full
from fatal import DIE_AT

from ser_nbdev import features, serving
from ser_nbdev.cli import main
from ser_nbdev.serving import Bundle, write_bundle

ROOT = Path(__file__).parent.parent
linux = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")


@linux
@pytest.mark.parametrize(
    "case, kills", [("cache", 8), ("bundle", 8), ("download", 8), ("weights", 4), ("training", 3)]
)
def test_killed_at_random_moments(case, kills):
    if case != "bundle" and case != "cache":
        pytest.importorskip("tensorflow")
    command = [
        sys.executable,
        ROOT / "benchmarks" / "faults.py",
        "--dry",
        "--kills",
        str(kills),
        "--only",
        case,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"{case} {{" in done.stdout and f"'kills': {kills}" in done.stdout


FATAL = f"""{DIE_AT}
from ser_nbdev import serving
die_at(serving if sys.argv[1] == "_swap" else serving.os, sys.argv[1], int(sys.argv[2]), sys.argv[3])
old = serving.Bundle(sys.argv[4])
serving.write_bundle(old.folder, old._model, {{**old.card, "version": "new"}}, "# new")
"""


@linux
def test_between_the_old_bundle_and_the_new_one_there_is_always_one(tmp_path):
    shipped, folder = Bundle("tess-lstm"), tmp_path / "bundle"
    write_bundle(folder, shipped._model, {**shipped.card, "version": "old"}, "# old")
    if not serving._swap(
        write_bundle(tmp_path / "other", shipped._model, shipped.card, "").folder, tmp_path / "other"
    ):
        pytest.skip("this file system cannot exchange two folders")
    for call, turn, when, version in (
        ("_swap", 1, "before", "old"), ("_swap", 1, "after", "new"), ("replace", 1, "before", None), ("replace", 1, "after", None),
    ):  # fmt: skip
        write_bundle(folder, shipped._model, {**shipped.card, "version": "old"}, "# old")
        done = subprocess.run(
            [sys.executable, "-c", FATAL, call, str(turn), when, folder], capture_output=True
        )
        found = Bundle(folder)  # there, and whole
        if version:
            assert done.returncode == -signal.SIGKILL and found.card["version"] == version
        else:  # nothing is moved away for a moment
            assert done.returncode == 0 and found.card["version"] == "new"


def test_what_killed_writers_of_a_bundle_leave_is_swept_up_an_hour_later(tmp_path):
    shipped = Bundle("tess-lstm")
    old, new, mine = (tmp_path / n for n in (".b.1.unfinished-bundle", ".b.2.unfinished-bundle", ".b.bak"))
    for left in (old, new, mine):
        (left / "new").mkdir(parents=True)
    for left in (old, mine):
        os.utime(left, (0, 0))
    write_bundle(tmp_path / "b", shipped._model, shipped.card, "")
    assert not old.exists() and new.exists() and mine.exists()


# ---- disks


def test_a_cache_on_a_full_disk_and_on_one_that_may_not_be_written_to(tmp_path):
    frontend = features.Frontend()
    first, second = (np.random.default_rng(i).standard_normal(8_000).astype(np.float32) for i in (0, 1))
    with disk(tmp_path / "disk") as lock:
        kept = features.FeatureCache(tmp_path / "disk")(first, frontend)
        full(tmp_path / "disk")
        for why in ("No space left", "Read-only"):
            cache = features.FeatureCache(tmp_path / "disk")
            with pytest.warns(UserWarning, match=f"can't be written .{why}.*features are computed each time"):
                np.testing.assert_array_equal(cache(second, frontend), frontend(second))
            lock()
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what was kept before is read
            np.testing.assert_array_equal(features.FeatureCache(tmp_path / "disk")(first, frontend), kept)
        assert not list((tmp_path / "disk").rglob("*.part"))


def test_a_bundle_on_a_full_disk_leaves_the_older_one(tmp_path):
    shipped = Bundle("tess-lstm")
    with disk(tmp_path / "disk", "2m"):
        folder = tmp_path / "disk" / "bundle"
        write_bundle(folder, shipped._model, {**shipped.card, "version": "old"}, "")
        full(tmp_path / "disk")
        with pytest.raises(OSError, match="No space left"):
            write_bundle(folder, shipped._model, {**shipped.card, "version": "new"}, "")
        assert Bundle(folder).card["version"] == "old"
        assert {p.name for p in folder.parent.iterdir()} == {"bundle", "ballast"}


def test_a_batch_where_nothing_may_be_written(tmp_path, capsys):
    with disk(tmp_path / "disk") as lock:
        lock()
        status = main(
            [
                "batch",
                str(serving.samples()[0].parent),
                "--out",
                str(tmp_path / "disk" / "t.csv"),
                "--bundle",
                "tess-lstm",
            ]
        )
    said = capsys.readouterr().err
    assert status == 1 and said.startswith("ser: ") and said.count("\n") == 1 and "t.csv" in said, said


def test_what_an_audit_hears_is_told_where_it_cannot_be_kept(tmp_path):
    splits = pytest.importorskip("ser_nbdev.splits")
    clip = serving.samples()[0]
    with disk(tmp_path / "disk") as lock:
        lock()
        with pytest.warns(UserWarning, match="can't be kept.*heard anew"):
            heard = splits.hear(clip, tmp_path / "disk" / "heard")
    splits._memory.clear()
    assert heard.digest == splits.hear(clip).digest


def test_a_training_that_finds_the_disk_full_says_how_it_goes_on(tmp_path):
    training = pytest.importorskip("ser_nbdev.training")

    class Nothing:
        variables, optimizer = [], type("Optimizer", (), {"variables": []})

    with disk(tmp_path / "disk"):
        state = tmp_path / "disk" / "state.npz"
        training._save_state(state, "x", Nothing, [], [np.zeros(10_000)])
        before = state.read_bytes()
        with pytest.raises(training.TrainingError, match="No space left.*goes on after the last epoch"):
            training._save_state(state, "x", Nothing, [], [np.zeros(200_000)])
        assert state.read_bytes() == before and os.listdir(state.parent) == ["state.npz"]


def test_the_weights_are_used_where_they_cannot_be_kept(tmp_path, monkeypatch):
    encoder = pytest.importorskip("ser_nbdev.encoder")
    import pooch

    content = bytes(2_000_000)
    monkeypatch.delenv("SER_ENCODER_WEIGHTS", raising=False)
    monkeypatch.setattr(encoder, "_download", lambda: content)
    with disk(tmp_path / "disk"):
        monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "disk")
        assert encoder.weights_file() == content
        assert os.listdir(tmp_path / "disk") == []
