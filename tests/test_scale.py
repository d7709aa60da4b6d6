"Batches: every file once, through kill -9, full disks, poison, loops and wrong manifests; the same bytes at the end."

import contextlib
import http.server
import json
import os
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import killer
import numpy as np
import pytest
import soundfile as sf
from encoder_stub import encoder_bundle
from fatal import DIE_AT

from ser_nbdev import scale
from ser_nbdev.cli import main
from ser_nbdev.engine import EngineError
from ser_nbdev.scale import BatchError, batch, read_rows, summary
from ser_nbdev.serving import Recognizer, samples

SER = [sys.executable, "-c", "import sys; from ser_nbdev.cli import main; sys.exit(main())"]
CODE = "import sys; from ser_nbdev.scale import batch; batch(*sys.argv[1:], bundle='tess-lstm', workers=2, progress=False)"
QUIET = dict(workers=2, progress=False, bundle="tess-lstm")


def ser(*args, **kw):
    return subprocess.run([*SER, *map(str, args)], capture_output=True, text=True, timeout=120, **kw)


def is_one_sentence(text):
    return text.startswith("ser: ") and text.count("\n") == 1 and "Traceback" not in text


def fill(folder, n, name="{:04d}.flac"):
    "Short clips, hard links of few."
    folder.mkdir(parents=True, exist_ok=True)
    clip, rate = sf.read(samples()[0])
    kept = []
    for i in range(3):
        kept.append(folder.parent / f".source-{folder.name}-{i}.flac")
        sf.write(kept[-1], clip[: rate // 4] * (1 - 0.2 * i), rate)
    for i in range(n):
        path = folder / name.format(i)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(kept[i % 3], path)
    return folder


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    "Clips, and what is none."
    folder = fill(
        tmp_path_factory.mktemp("home") / "archive", 40, "{0:.1}/{0:04d}.flac".replace("{0:.1}", "d")
    )
    sample, rate = sf.read(samples()[1])
    for name in ("a/1.wav", "a b/ü.ogg", "a.wav", ".hidden/x.wav"):
        (folder / name).parent.mkdir(exist_ok=True)
        sf.write(folder / name, sample, rate)
    (folder / "bad.mp3").write_text("no sound")
    (folder / "empty.wav").touch()
    (folder / "notes.txt").write_text("no sound either")
    (folder / ".hidden.wav").touch()
    sf.write(folder / "silent.wav", np.zeros(rate), rate)
    sf.write(folder / "long.wav", np.tile(sample, 12), rate)
    os.symlink("nowhere.wav", folder / "dangling.wav")
    return folder


@pytest.fixture(scope="module")
def whole(archive, tmp_path_factory):
    "What an undisturbed run makes of it."
    out = tmp_path_factory.mktemp("whole") / "table.csv"
    batch(archive, out, **QUIET)
    return out.read_bytes()


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    "A larger one, and what an undisturbed run makes of it."
    home = tmp_path_factory.mktemp("many")
    folder = fill(home / "x", 400)
    batch(folder, home / "whole.csv", **QUIET)
    return folder, (home / "whole.csv").read_bytes()


# ---- answers


def test_a_row_is_what_the_recognizer_says(archive, tmp_path):
    for bundle in ("tess-lstm", None):
        recognizer = Recognizer(bundle)
        done = batch(archive, tmp_path / f"{bundle}.jsonl", **{**QUIET, "bundle": bundle}, max_seconds=10)
        rows = list(read_rows(done.out))
        assert [row["path"] for row in rows] == [os.path.join(archive, name) for name in (
            ".hidden/x.wav", "a/1.wav", "a b/ü.ogg", "a.wav", "bad.mp3", *(f"d/{i:04d}.flac" for i in range(40)),
            "dangling.wav", "empty.wav", "long.wav", "silent.wav")]  # fmt: skip
        errors = {Path(row["path"]).name: row["error"] for row in rows if row["error"]}
        assert set(errors) == {"bad.mp3", "dangling.wav", "empty.wav", "long.wav", "silent.wav"}
        assert all(
            e.startswith(str(archive)) and e.endswith(".") and e.count("\n") == 0 for e in errors.values()
        )
        assert (done.files, done.errors, done.scored) == (49, 5, 49)
        for row in [row for row in rows if not row["error"]][:6]:
            assert list(row) == [
                "path",
                "emotion",
                "confidence",
                "unsure",
                *recognizer.labels,
                "duration",
                "error",
            ]
            one = recognizer.predict(row["path"])
            assert {label: row[label] for label in recognizer.labels} == one.probabilities
            assert (row["emotion"], row["confidence"], row["duration"], row["unsure"]) == (
                one.emotion, one.confidence, one.duration, one.unsure)  # fmt: skip


def test_workers_and_formats_make_no_difference(archive, whole, tmp_path):
    pytest.importorskip("pyarrow")
    batch(archive, tmp_path / "one.csv", **{**QUIET, "workers": 1})
    batch(archive, tmp_path / "five.csv", **{**QUIET, "workers": 5})
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "five.csv").read_bytes() == whole
    tables = []
    for suffix in scale.FORMATS:
        done = batch(archive, tmp_path / f"table{suffix}", **QUIET)
        tables.append(list(read_rows(done.out)))
    assert tables[0] == tables[1] == tables[2]
    assert not list(tmp_path.glob("*.unfinished")) and not list(tmp_path.glob(".*"))


def test_parquet_and_csv_are_read_by_pandas(archive, tmp_path):
    pd, _ = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    batch(archive, tmp_path / "t.parquet", **QUIET), batch(archive, tmp_path / "t.csv", **QUIET)
    a, b = pd.read_parquet(tmp_path / "t.parquet"), pd.read_csv(tmp_path / "t.csv")
    assert list(a.columns) == list(b.columns) and a.confidence.dtype == float and len(a) == 49
    assert a.confidence.equals(b.confidence) and a.error.notna().sum() == 4


def test_speakers_are_those_of_predict(tmp_path):
    pytest.importorskip("keras")  # which makes the small encoder
    bundle = encoder_bundle(tmp_path / "bundle").folder
    folder = tmp_path / "calls"
    folder.mkdir()
    for i, sample in enumerate(samples() * 3):
        (folder / f"{'ann bob'.split()[i % 2] if i else 'nobody'}_{i}{sample.suffix}").write_bytes(
            sample.read_bytes()
        )
    said = ser("predict", "--json", "--bundle", bundle, "--speaker-pattern", "^(ann|bob)_", folder)
    wanted = [json.loads(line) for line in said.stdout.splitlines()]
    pattern = batch(
        folder, tmp_path / "p.jsonl", bundle=bundle, speaker_pattern="^(ann|bob)_", progress=False
    )
    got = list(read_rows(pattern.out))
    for row, one in zip(got, wanted, strict=True):
        assert (row["path"], row["emotion"], row["confidence"]) == (
            one["path"],
            one["emotion"],
            one["confidence"],
        )
        assert {k: row[k] for k in one["probabilities"]} == one["probabilities"]
    assert [row["speaker"] for row in got].count(None) == 1
    rows = ["file,who", *(f"{row['path']},{row['speaker'] or ''}" for row in got)]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    how = dict(bundle=bundle, column="file", speaker_column="who", progress=False)
    column = batch(tmp_path / "list.csv", tmp_path / "c.jsonl", **how)
    assert list(read_rows(column.out)) == got
    assert [g["group"] for g in summary(column.out, "speaker")] == ["-", "ann", "bob"]
    with pytest.raises(ValueError, match="cannot adapt"):
        batch(folder, tmp_path / "x.csv", bundle="tess-lstm", speaker_pattern="^(ann|bob)_")
    assert not (tmp_path / "x.csv.unfinished").exists()


# ---- what is listed


def test_a_folder_that_leads_back_to_itself_ends(tmp_path):
    folder = fill(tmp_path / "x", 2, "in/{}.flac")
    os.symlink(folder, folder / "in" / "round")
    os.symlink(folder / "in", folder / "twice")
    os.symlink("self", folder / "self")
    os.symlink(fill(tmp_path / "elsewhere", 1), folder / "linked")
    rows = list(read_rows(batch(folder, tmp_path / "t.csv", **QUIET).out))
    assert [(os.path.relpath(r["path"], folder), bool(r["error"])) for r in rows] == [
        ("in/0.flac", False), ("in/1.flac", False), ("in/round", True), ("linked/0000.flac", False), ("twice", True)]  # fmt: skip
    assert all("is the same folder as" in row["error"] for row in rows if row["error"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_a_row(tmp_path):
    folder = fill(tmp_path / "x", 3, "{0}/{0}.flac")
    (folder / "1").chmod(0)
    try:
        rows = list(read_rows(batch(folder, tmp_path / "t.csv", **QUIET).out))
    finally:
        (folder / "1").chmod(0o700)
    assert [bool(row["error"]) for row in rows] == [False, True, False]


def test_a_folder_that_cannot_be_opened_is_a_row(tmp_path, monkeypatch):
    folder, scandir = fill(tmp_path / "x", 3, "{0}/{0}.flac"), os.scandir

    def refuse(path):
        if str(path).endswith("/1"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert [e for _, _, e in scale.listing(folder)][
        1
    ] == f"{folder}/1 cannot be opened (Permission denied); allow it."


@pytest.mark.parametrize("suffix", scale.MANIFESTS)
def test_manifests(suffix, tmp_path):
    folder = fill(tmp_path / "x", 3)
    paths = ["x/0002.flac", str(folder / "0000.flac"), "x/0002.flac", "x/gone.flac"]
    file = tmp_path / f"list{suffix}"
    if suffix == ".parquet":
        pa = pytest.importorskip("pyarrow.parquet")
        pa.write_table(__import__("pyarrow").table({"path": paths, "other": [1, 2, 3, 4]}), file)
    elif suffix == ".jsonl":
        file.write_text("\n".join(json.dumps({"path": p, "n": 1}) for p in paths) + "\n\n")
    elif suffix == ".txt":
        file.write_text("\n".join(paths))
    else:
        tab = "\t" if suffix == ".tsv" else ","
        file.write_text("\ufeff" + "\n".join(f"1{tab}{p}" for p in ["path", *paths]))
    rows = list(read_rows(batch(file, tmp_path / "t.csv", **QUIET).out))
    assert [row["path"] for row in rows] == paths
    assert [bool(row["error"]) for row in rows] == [False, False, False, True]
    assert rows[3]["error"] == "x/gone.flac does not exist; check the path."
    if suffix != ".txt":
        done = ser("batch", file, "--out", tmp_path / "u.csv", "--column", "file")
        assert done.returncode == 1 and is_one_sentence(done.stderr) and "no column 'file'" in done.stderr
        assert sorted(p.name for p in tmp_path.glob("u*")) == []


def test_what_is_no_source_is_a_sentence(tmp_path, monkeypatch, capsys):
    def ser(*args):
        return subprocess.CompletedProcess(args, main(list(args)), *capsys.readouterr())

    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name, content in {
        "a.csv": "",
        "b.parquet": "PAR1",
        "c.jsonl": "{",
        "d.jsonl": '"x"',
        "e.xls": "x",
    }.items():
        (tmp_path / name).write_text(content)
    for source in ("folder", "a.csv", "b.parquet", "c.jsonl", "d.jsonl", "e.xls", "none", "", "no://x"):
        done = ser("batch", source, "--out", "t.csv")
        assert done.returncode == 1 and is_one_sentence(done.stderr), (source, done.stderr)
    for out in ("t.xls", "none/t.csv", "folder", "s3://x/t.csv", ""):
        done = ser("batch", "folder", "--out", out)
        assert done.returncode == 1 and is_one_sentence(done.stderr), (out, done.stderr)
    for how in (["--engine", "dask"], ["--address", "auto"], ["--bundle", "none"], ["--labels", "sad"]):
        done = ser("batch", "folder", "--out", "t.csv", *how)
        assert done.returncode == 1 and is_one_sentence(done.stderr), (how, done.stderr)
    assert ser("batch", "folder").returncode == 2
    assert ser("batch", "folder", "--out", "t.csv", "--speaker-pattern", "(").returncode == 2
    assert not list(tmp_path.glob("t.*"))
    fill(tmp_path / "folder", 1)  # what was empty is listed anew
    assert ser("batch", "folder", "--out", "t.csv").returncode == 0


def test_an_archive_without_an_answer_is_status_1(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "bad.wav").write_text("no")
    done = ser("batch", "x", "--out", "t.csv", cwd=tmp_path)
    assert done.returncode == 1 and "1 with an error" in done.stdout and (tmp_path / "t.csv").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes any bytes as a file name")
def test_names_that_are_no_text(tmp_path):
    pytest.importorskip("pyarrow")
    folder = fill(tmp_path / "x", 1)
    path = os.fsencode(folder) + b'/\xff,\n".flac'
    os.link(folder / "0000.flac", path)
    for suffix in scale.FORMATS:
        rows = list(read_rows(batch(folder, tmp_path / f"t{suffix}", **QUIET).out))
        assert [row["error"] for row in rows] == [None, None]
        name = rows[1]["path"]
        assert os.fsencode(name) == path if suffix == ".jsonl" else name.endswith('/\\udcff,\n".flac')


# ---- whatever happens


def test_it_is_killed_at_random_moments(many, tmp_path):
    "BATCH_KILLS=100 makes it a long test."
    (folder, whole), kills = many, int(os.environ.get("BATCH_KILLS", 12))
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", CODE, folder, tmp_path / "t0.csv"], check=True)
    span, chance, cut, table = time.monotonic() - begun, random.Random(0), 0, 1
    for _ in range(kills):
        run = subprocess.Popen([sys.executable, "-c", CODE, folder, tmp_path / f"t{table}.csv"])
        try:
            run.wait(chance.uniform(0.05, 0.9) * span)
            table += 1  # it is there: another one
        except subprocess.TimeoutExpired:
            run.kill()
            run.wait()
            cut += 1
        assert run.returncode in (0, -signal.SIGKILL)
    for i in range(table + 1):
        out = tmp_path / f"t{i}.csv"
        batch(folder, out, **QUIET)
        assert out.read_bytes() == whole
    assert cut >= kills // 3
    assert not [p.name for p in tmp_path.glob("*.unfinished*")]


MOMENTS = [
    ("scale._Ledger", "begin", 1, "before"), ("scale._Ledger", "begin", 1, "after"), ("scale._Ledger", "keep", 30, "after"),
    ("scale._Ledger", "commit", 2, "after"), ("scale.os", "fsync", 1, "before"), ("scale.os", "replace", 1, "before"),
    ("scale.os", "replace", 1, "after"), ("scale.os", "replace", 2, "before"), ("scale.os", "replace", 2, "after"),
    ("scale.Path", "unlink", 1, "after")]  # fmt: skip
FATAL = f"""{DIE_AT}
from ser_nbdev import scale
die_at(eval(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4])
scale.batch(*sys.argv[5:], bundle="tess-lstm", workers=1, progress=False)
"""


def test_it_is_killed_at_every_kind_of_moment(archive, whole, tmp_path):
    for i, (place, name, turn, when) in enumerate(MOMENTS):
        out = tmp_path / f"{i}.csv"
        command = [sys.executable, "-c", FATAL, place, name, str(turn), when, archive, out]
        assert subprocess.run(command).returncode == -signal.SIGKILL, (place, name, turn)
        if out.exists():
            assert out.read_bytes() == whole
        assert batch(archive, out, **QUIET).files == 49
        assert out.read_bytes() == whole, (place, name, turn)
    assert not [p.name for p in tmp_path.glob("*.unfinished*")] + [p.name for p in tmp_path.glob(".*")]


def test_ctrl_c_says_how_to_go_on(tmp_path):
    folder = fill(tmp_path / "x", 3000)
    command = [
        *SER,
        "batch",
        str(folder),
        "--out",
        str(tmp_path / "t.csv"),
        "--bundle",
        "tess-lstm",
        "--workers",
        "1",
    ]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "t.csv.unfinished").exists():
        time.sleep(0.01)
    time.sleep(1.5)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=30)
    assert run.returncode == 130 and not out
    assert err == "Stopped. What was heard is kept: give the same command again, and it goes on from there.\n"
    done = batch(folder, tmp_path / "t.csv", **QUIET)
    assert 0 < done.scored < 3000 == done.files


def test_a_second_run_is_kept_out(tmp_path):
    folder, out = fill(tmp_path / "x", 200, "{:04d}-slow.flac"), tmp_path / "t.csv"
    code = "import killer; from ser_nbdev import scale; scale._Ear = killer.Ear; " + CODE
    run = subprocess.Popen(
        [sys.executable, "-c", code, folder, out],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )
    while not out.with_name("t.csv.unfinished").exists():
        time.sleep(0.01)
    time.sleep(0.5)
    done = ser("batch", folder, "--out", out, "--bundle", "tess-lstm")
    assert done.returncode == 1 and is_one_sentence(done.stderr) and "Another run is at work" in done.stderr
    assert run.wait(60) == 0
    rows = list(read_rows(out))
    assert len(rows) == len({row["path"] for row in rows}) == 200


def test_what_kills_a_worker_twice_is_a_row(tmp_path, monkeypatch):
    folder = fill(tmp_path / "x", 60)
    for name in ("poison.flac", "once.flac"):
        os.link(folder / "0000.flac", folder / name)
    monkeypatch.setattr(scale, "_Ear", killer.Ear)
    rows = list(read_rows(batch(folder, tmp_path / "t.csv", **QUIET).out))
    assert len(rows) == 62 and (folder / "once.flac.seen").exists()
    told = {Path(row["path"]).name: row["error"] for row in rows if row["error"]}
    assert (
        set(told) == {"poison.flac"}
        and "killed the process that worked on it, twice (signal 9)" in told["poison.flac"]
    )


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_workers_are_killed_from_outside(many, tmp_path):
    folder, whole = many
    run = subprocess.Popen([sys.executable, "-c", CODE, folder, tmp_path / "t.csv"])
    from test_engine import children

    killed = 0
    while run.poll() is None:
        time.sleep(0.4)
        for pid in children(run.pid)[:1]:
            os.kill(pid, signal.SIGKILL)
            killed += 1
        if killed > 3:
            break
    assert run.wait(60) == 0 and killed
    assert (tmp_path / "t.csv").read_bytes() == whole


def test_files_that_vanish_while_it_runs(tmp_path):
    folder = fill(tmp_path / "x", 300, "{:04d}-slow.flac")
    batch(folder, tmp_path / "whole.csv", **QUIET)
    code = "import killer; from ser_nbdev import scale; scale._Ear = killer.Ear; " + CODE
    run = subprocess.Popen(
        [sys.executable, "-c", code, folder, tmp_path / "t.csv"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )
    end = time.monotonic() + 60
    while not (tmp_path / "t.csv.unfinished").exists() and time.monotonic() < end:
        time.sleep(0.05)  # a busy machine takes its time to start
    time.sleep(0.5)
    for path in sorted(folder.glob("*.flac"))[-100:]:
        path.unlink()
    assert run.wait(60) == 0
    rows, wanted = list(read_rows(tmp_path / "t.csv")), list(read_rows(tmp_path / "whole.csv"))
    assert [row["path"] for row in rows] == [row["path"] for row in wanted] and rows[:200] == wanted[:200]
    assert all("does not exist" in row["error"] for row in rows[-100:])


def limited(size):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("room", [0, 60_000])
def test_no_room_to_write_is_a_sentence(many, tmp_path, room):
    folder, whole = many
    command = ["batch", folder, "--out", tmp_path / "t.csv", "--bundle", "tess-lstm", "--workers", 2]
    done = ser(*command, preexec_fn=limited(room))
    assert done.returncode == 1 and is_one_sentence(done.stderr), done.stderr
    assert "give the same command again" in done.stderr and not (tmp_path / "t.csv").exists()
    done = ser(*command)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "t.csv").read_bytes() == whole


def test_a_full_disk_is_a_sentence(many, tmp_path):
    folder, whole = many
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80k", "tmpfs", disk], capture_output=True)
    if mount.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        command = ["batch", folder, "--out", disk / "t.csv", "--bundle", "tess-lstm"]
        done = ser(*command)
        assert done.returncode == 1 and is_one_sentence(done.stderr), done.stderr
        assert "full" in done.stderr or "No space left" in done.stderr, done.stderr
        subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
        done = ser(*command)
        assert done.returncode == 0, done.stderr
        assert (disk / "t.csv").read_bytes() == whole
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_file_that_takes_too_long_is_a_row(tmp_path, monkeypatch):
    "A decoder that hangs, tried once; what stands behind it in the same worker's hand is heard."
    folder = fill(tmp_path / "x", 20)
    os.link(folder / "0000.flac", folder / "0000-stuck.flac")
    monkeypatch.setattr(scale, "_Ear", killer.Ear)
    begun = time.monotonic()
    rows = list(read_rows(batch(folder, tmp_path / "t.csv", **QUIET, time_limit=5).out))
    assert time.monotonic() - begun < 60 and len(rows) == 21
    told = {Path(row["path"]).name: row["error"] for row in rows if row["error"]}
    assert (
        list(told) == ["0000-stuck.flac"] and "took more than 5 s and was given up" in told["0000-stuck.flac"]
    )


def test_a_server_that_never_answers_is_a_row(tmp_path):
    pytest.importorskip("fsspec"), pytest.importorskip("aiohttp")
    os.link(fill(tmp_path / "x", 1) / "0000.flac", tmp_path / "good.flac")
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection, and that is all
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/stalled.wav"
        (tmp_path / "list.txt").write_text(f"{url}\ngood.flac\n")
        rows = list(read_rows(batch(tmp_path / "list.txt", tmp_path / "t.csv", **QUIET, time_limit=5).out))
    assert [row["path"] for row in rows] == [url, "good.flac"] and rows[1]["error"] is None
    assert "took more than 5 s and was given up" in rows[0]["error"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_and_devices_are_rows_and_no_manifests(tmp_path):
    folder = fill(tmp_path / "x", 2)
    os.mkfifo(folder / "pipe.wav")
    os.symlink("/dev/zero", folder / "endless.wav")
    rows = list(read_rows(batch(folder, tmp_path / "t.csv", **QUIET).out))
    told = {Path(row["path"]).name: row["error"] for row in rows if row["error"]}
    assert set(told) == {"pipe.wav", "endless.wav"}
    assert all(why.endswith("is no regular file; give one.") for why in told.values()), told
    os.mkfifo(tmp_path / "pipe.csv")
    os.symlink("/dev/zero", tmp_path / "endless.txt")
    for name in ("pipe.csv", "endless.txt"):
        done = ser("batch", tmp_path / name, "--out", tmp_path / "u.csv")
        assert done.returncode == 1 and is_one_sentence(done.stderr) and "no regular file" in done.stderr
        assert not list(tmp_path.glob("u.csv*"))


@pytest.mark.parametrize("limit", [0, -1])
def test_a_time_limit_that_is_none(limit, tmp_path):
    with pytest.raises(EngineError, match="above 0"):
        batch(fill(tmp_path / "x", 1), tmp_path / "t.csv", **QUIET, time_limit=limit)


# ---- what is not to be mixed


def interrupted(folder, out, **how):
    "A ledger with a few answers in it."
    with pytest.MonkeyPatch.context() as m:
        keep, calls = scale._Ledger.keep, []

        def stop(self, *args, **kw):
            calls.append(keep(self, *args, **kw))
            if len(calls) == 20:
                raise KeyboardInterrupt

        m.setattr(scale._Ledger, "keep", stop)
        with pytest.raises(KeyboardInterrupt):
            batch(folder, out, **{**QUIET, **how})


@pytest.mark.parametrize(
    "change",
    [{"bundle": None}, {"labels": ["sad", "happy"]}, {"max_seconds": 5}, {"column": "x"}, {"source": ".."}],
)
def test_another_run_does_not_go_on_with_it(archive, whole, tmp_path, change):
    interrupted(archive, tmp_path / "t.csv")
    source, how = change.get("source", archive), {k: v for k, v in change.items() if k != "source"}
    for _ in range(2):
        with pytest.raises(BatchError, match=f"unfinished was begun with other settings .{list(change)[0]}."):
            batch(source, tmp_path / "t.csv", **{**QUIET, **how})
    assert batch(archive, tmp_path / "t.csv", **QUIET).scored < 49
    with pytest.raises(BatchError, match=f"t.csv was begun with other settings .{list(change)[0]}."):
        batch(source, tmp_path / "t.csv", **{**QUIET, **how})
    assert (tmp_path / "t.csv").read_bytes() == whole


def test_what_happened_to_the_folder_since_does_not_matter(tmp_path, monkeypatch):
    folder = fill(tmp_path / "x", 60)
    monkeypatch.chdir(tmp_path)
    interrupted("x", "t.csv")
    os.link(folder / "0000.flac", folder / "0000-new.flac")
    (tmp_path / "y").mkdir()
    monkeypatch.chdir(tmp_path / "y")
    done = batch("../x", "../t.csv", **QUIET)  # from elsewhere
    assert [row["path"] for row in read_rows(done.out)] == [f"x/{i:04d}.flac" for i in range(60)]
    assert done.errors == 0 and done.scored <= 60 - 19


def test_somebody_elses_files_are_left_alone(archive, tmp_path):
    for name in ("t.csv", "u.csv.unfinished"):
        (tmp_path / name).write_text("precious " * 100)
        done = ser("batch", archive, "--out", tmp_path / name[:5], "--bundle", "tess-lstm")
        assert done.returncode == 1 and is_one_sentence(done.stderr), done.stderr
        assert (tmp_path / name).read_text() == "precious " * 100
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.csv", "u.csv.unfinished"]


def test_the_base_install_is_enough_for_csv_and_says_what_parquet_needs(tmp_path):
    fill(tmp_path / "x", 2)
    code = (
        "import sys; sys.modules.update({'pyarrow': None, 'pyarrow.parquet': None, 'fsspec': None, 'ray': None, 'ray.data': None})\n"
        + SER[2]
    )
    run = lambda *args: subprocess.run(
        [sys.executable, "-c", code, "batch", *args], capture_output=True, text=True, cwd=tmp_path
    )  # noqa: E731
    assert run("x", "--out", "t.csv").returncode == 0 and run("x", "--out", "t.jsonl").returncode == 0
    (tmp_path / "x.parquet").touch()
    for extra, *args in (
        ("scale", "x", "--out", "t.parquet"),
        ("scale", "x.parquet", "--out", "u.csv"),
        ("scale", "https://x", "--out", "u.csv"),
        ("cloud", "s3://x", "--out", "u.csv"),
    ):
        done = run(*args)
        assert (
            done.returncode == 1
            and is_one_sentence(done.stderr)
            and f"pip install 'ser_nbdev[{extra}]'" in done.stderr
        )
    done = run("x", "--out", "u.csv", "--engine", "ray")
    assert (
        done.returncode == 1
        and is_one_sentence(done.stderr)
        and "pip install 'ser_nbdev[ray]'" in done.stderr
    )


def test_neither_ray_nor_arrow_nor_pandas_is_imported_for_a_table_of_text(tmp_path):
    fill(tmp_path / "x", 2)
    code = "import sys; from ser_nbdev.cli import main; main(['batch', 'x', '--out', 't.csv', '--report', 'r.html', '--by', 'folder'])\n"
    code += "print([m for m in ('ray', 'pyarrow', 'fsspec', 'pandas', 'tensorflow', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr


# ---- over the network


class Web(http.server.SimpleHTTPRequestHandler):
    "Files, some of them not as they should be."

    def log_message(self, *args):
        pass

    def do_GET(self):
        if "truncated" in self.path:
            data = samples()[0].read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
        elif "endless" in self.path:
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                for _ in range(200):
                    self.wfile.write(b"x" * 100_000)
        elif "forbidden" in self.path:
            self.send_error(403)
        else:
            super().do_GET()

    def do_HEAD(self):
        self.send_error(403) if "forbidden" in self.path else super().do_HEAD()


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    pytest.importorskip("fsspec"), pytest.importorskip("aiohttp")
    folder = tmp_path_factory.mktemp("web")
    for i in (0, 1):
        (folder / "calls").mkdir(exist_ok=True)
        (folder / "calls" / f"{i}.flac").write_bytes(samples()[i].read_bytes())
    (folder / "list.csv").write_text("path\ncalls/1.flac\ncalls/0.flac\n")
    handler = lambda *a, **kw: Web(*a, directory=str(folder), **kw)  # noqa: E731
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_files_on_the_web(web, tmp_path):
    names = ["calls/0.flac", "none.flac", "truncated.flac", "endless.flac", "forbidden.flac", "calls/1.flac"]
    (tmp_path / "list.txt").write_text("\n".join(f"{web}/{name}" for name in names))
    rows = list(read_rows(batch(tmp_path / "list.txt", tmp_path / "t.csv", **QUIET, max_bytes=500_000).out))
    assert [row["path"] for row in rows] == [f"{web}/{name}" for name in names]
    told = [row["error"] and re.sub(r"\(.*\)", "", row["error"].partition(" ")[2]) for row in rows]
    assert told == [None, "does not exist; check the address.", "cannot be fetched ; try again later.",
        "is larger than 0.476837 MiB, the limit here; cut it into pieces.", "cannot be fetched ; try again later.", None]  # fmt: skip
    for i, row in enumerate((rows[0], rows[5])):
        one = Recognizer("tess-lstm").predict(samples()[i])
        assert (row["emotion"], row["confidence"]) == (one.emotion, one.confidence)


def test_a_manifest_and_a_folder_on_the_web(web, tmp_path):
    rows = list(read_rows(batch(f"{web}/list.csv", tmp_path / "t.csv", **QUIET).out))
    assert [(row["path"], row["error"]) for row in rows] == [("calls/1.flac", None), ("calls/0.flac", None)]
    rows = list(read_rows(batch(f"{web}/calls/", tmp_path / "u.csv", **QUIET).out))
    assert [(row["path"], row["error"]) for row in rows] == [(f"{web}/calls/{i}.flac", None) for i in (0, 1)]


# ---- what is made of it


def test_summaries_count_every_row_once(archive, tmp_path):
    done = batch(archive, tmp_path / "t.csv", **QUIET)
    for by in (None, "folder", r"\.\w+$", "nothing like it"):
        groups = summary(done.out, by)
        assert sum(g["files"] for g in groups) == 49 and sum(g["errors"] for g in groups) == done.errors
        assert [g["group"] for g in groups] == sorted(g["group"] for g in groups)
        for g in groups:
            shares = sum(g[label] for label in Recognizer("tess-lstm").labels)
            assert shares == pytest.approx(1) or (shares == 0 and g["errors"] == g["files"])
    said = ser("batch", archive, "--out", tmp_path / "t.csv", "--bundle", "tess-lstm", "--by", "folder")
    assert said.returncode == 0 and "/archive/d" in said.stdout and "Traceback" not in said.stderr


def test_the_report_needs_nothing_else(archive, tmp_path):
    how = ["--bundle", "tess-lstm", "--report", tmp_path / "r.html"]
    for _ in range(2):  # the second time from a table that is there already
        done = ser("batch", archive, "--out", tmp_path / "t.csv", *how)
        assert done.returncode == 0 and done.stdout.endswith("r.html\n")
        page = (tmp_path / "r.html").read_text()
        (tmp_path / "r.html").unlink()
    assert "<script" not in page and not re.search(r"(src|href)=|url\(|http", page)
    assert "is silent from start to end" in page and ">49<" in page
