"""The command `ser` as a shell sees it: streams, exit statuses, pipes, signals. The tests start real processes."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf

from ser_nbdev import cli, serving

SER = [sys.executable, "-c", "import sys; from ser_nbdev.cli import main; sys.exit(main())"]
SAMPLES = serving.samples()


def ser(*args, **kw):
    return subprocess.run([*SER, *map(str, args)], capture_output=True, text=True, timeout=120, **kw)


def lines(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def is_one_sentence(text):
    return (
        text.startswith("ser: ")
        and text.count("\n") == 1
        and text.rstrip().endswith((".", "]'"))
        and "Traceback" not in text
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    "Clips at several depths, and some that are none."
    folder = tmp_path_factory.mktemp("clips")
    clip, rate = sf.read(SAMPLES[0])
    for name in ("b.wav", "a/2.flac", "a/1.ogg", "a b/ü.wav", "c.WAV"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        sf.write(path, clip, rate)
    (folder / "notes.txt").write_text("no sound")
    (folder / "bad.mp3").write_text("no sound either")
    (folder / "empty.wav").touch()
    sf.write(folder / "silent.wav", np.zeros(rate), rate)
    sf.write(folder / "short.wav", clip[:100], rate)
    return folder


# ---- start


def test_the_entry_point_is_installed():
    done = subprocess.run([Path(sys.executable).parent / "ser", "--version"], capture_output=True, text=True)
    assert done.returncode == 0 and re.fullmatch(r"ser \d+\.\d+\.\d+\n", done.stdout)


def imported(code, *names):
    code += f"\nimport sys; print([n for n in {names} if n in sys.modules], file=sys.stderr)"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stderr.strip()


def test_a_start_imports_next_to_nothing():
    heavy = ("numpy", "soundfile", "flask", "rich", "pandas", "tensorflow", "ser_nbdev.serving")
    assert imported("import ser_nbdev.cli", *heavy) == "[]"


def test_predict_and_the_page_import_no_workshop():
    heavy = ("tensorflow", "keras", "librosa", "numba", "pandas", "sklearn", "scipy", "matplotlib", "pooch")
    said = imported(
        f"from ser_nbdev.cli import main; main(['predict', {str(SAMPLES[0])!r}])", *heavy, "flask", "rich"
    )
    assert said == "[]"
    assert imported("from ser_nbdev.webapp.server import create_app; create_app()", *heavy) == "[]"


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["sing"],
        ["predict", "--loud"],
        ["predict", "--max-seconds", "ten"],
        ["serve", "--port", "70000"],
        ["audit"],
    ],
)
def test_a_senseless_command_line_is_2(args):
    done = ser(*args)
    assert (
        done.returncode == 2
        and "Usage: ser" in done.stderr
        and "Traceback" not in done.stderr
        and not done.stdout
    )


def test_every_command_has_help():
    for args in (
        "",
        "predict",
        "serve",
        "card",
        "corpora",
        "corpora verify",
        "corpora fetch",
        "audit",
        "train",
        "evaluate",
    ):
        done = ser(*args.split(), "--help")
        assert done.returncode == 0 and "Usage: ser" in done.stdout


# ---- predict


def test_json_lines_hold_what_the_library_says(folder):
    done = ser("predict", "--json", folder / "b.wav", SAMPLES[1])
    assert done.returncode == 0 and not done.stderr
    for line, path in zip(lines(done), [folder / "b.wav", SAMPLES[1]], strict=True):
        assert list(line) == ["path", "emotion", "confidence", "probabilities", "duration", "unsure"]
        assert line == {"path": str(path), **serving.Recognizer().predict(path).to_dict()}
        assert abs(sum(line["probabilities"].values()) - 1) < 1e-6


def test_folders_are_searched_and_named_as_given(folder):
    there = [
        "a/1.ogg",
        "a/2.flac",
        "a b/ü.wav",
        "b.wav",
        "bad.mp3",
        "c.WAV",
        "empty.wav",
        "short.wav",
        "silent.wav",
    ]
    for given in (str(folder), f"{folder}/", os.path.relpath(folder)):
        done = ser("predict", "--json", given)
        assert [line["path"] for line in lines(done)] == [os.path.join(given, name) for name in there]
        broken = {Path(line["path"]).name: line["error"] for line in lines(done) if "error" in line}
        assert set(broken) == {"bad.mp3", "empty.wav", "short.wav", "silent.wav"}
        assert all(error.startswith(given) and error.endswith(".") for error in broken.values())
        assert done.returncode == 1 and done.stderr == "ser: 4 of 9 could not be read.\n"


def test_the_table_is_for_people(folder):
    done = ser("predict", folder, "nowhere.wav")
    assert done.returncode == 1 and "\x1b" not in done.stdout
    rows = done.stdout.splitlines()
    assert len(rows) == 10 and rows[-1].split(maxsplit=1) == [
        "nowhere.wav",
        "does not exist; check the path.",
    ]
    assert re.search(r"b\.wav +(angry|disgust|fear|happy|neutral|sad|surprise)[? ] +\d+\.\d% +█", done.stdout)
    plain = ser("predict", folder / "b.wav", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert plain.returncode == 0 and "##" in plain.stdout


def test_no_path_shows_the_samples():
    done = ser("predict")
    assert done.returncode == 0 and "bundled samples" in done.stderr
    assert [row.split()[0] for row in done.stdout.splitlines()] == [path.name for path in SAMPLES]
    assert [line["path"] for line in lines(ser("predict", "--json"))] == [str(path) for path in SAMPLES]


def test_standard_input():
    with open(SAMPLES[0], "rb") as sound:
        done = ser("predict", "--json", "-", stdin=sound)
    assert done.returncode == 0 and lines(done)[0]["path"] == "-"
    done = ser("predict", "--json", "-", stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and "standard input is empty" in lines(done)[0]["error"]


def test_an_empty_folder_and_a_strange_one(tmp_path):
    done = ser("predict", "--json", tmp_path)
    assert done.returncode == 1 and "holds no audio file" in lines(done)[0]["error"]
    if os.geteuid():
        tmp_path.chmod(0)
        done = ser("predict", "--json", tmp_path)
        tmp_path.chmod(0o700)
        assert done.returncode == 1 and "cannot be opened" in lines(done)[0]["error"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes any bytes as a file name")
def test_names_that_are_no_text(tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff\n.flac"
    Path(os.fsdecode(path)).write_bytes(SAMPLES[0].read_bytes())
    for as_json in (["--json"], []):
        done = ser("predict", *as_json, tmp_path)
        assert done.returncode == 0, done.stderr
    assert os.fsencode(lines(ser("predict", "--json", tmp_path))[0]["path"]) == path


def test_a_name_cannot_break_a_line_or_colour_the_terminal(tmp_path):
    name = "so\nund\x1b[31m \u202e ü.flac"
    (tmp_path / name).write_bytes(SAMPLES[0].read_bytes())
    done = ser("predict", name, "no\nwhere.wav", "", cwd=tmp_path)
    assert done.returncode == 1 and len(done.stdout.splitlines()) == 3 and "\x1b" not in done.stdout
    assert done.stdout.startswith(r"so\nund\x1b[31m \u202e ü.flac ") and "An empty path" in done.stdout
    assert [line["path"] for line in lines(ser("predict", "--json", tmp_path))] == [str(tmp_path / name)]
    assert is_one_sentence(ser("predict", "--bundle", "no\nwhere", SAMPLES[0]).stderr)


def test_files_that_are_no_good_cost_the_others_nothing(tmp_path):
    clip, rate = sf.read(SAMPLES[0], dtype="float32")
    sf.write(tmp_path / "nan.wav", np.where(np.arange(len(clip)) == 9, np.nan, clip), rate, subtype="FLOAT")
    sf.write(tmp_path / "half-an-hour.wav", np.resize(clip, 1800 * rate), rate)
    (tmp_path / "zero.wav").touch()
    with open(tmp_path / "huge.wav", "wb") as huge:
        huge.truncate(3 * 2**30)  # a hole, that takes no room
    (tmp_path / "x.flac").write_bytes(SAMPLES[0].read_bytes())
    said = {Path(x["path"]).stem: x.get("error") for x in lines(ser("predict", "--json", tmp_path))}
    causes = {"nan": "NaN", "half-an-hour": "longer than 600 s", "zero": "no bytes", "huge": "is not audio"}
    assert said.pop("x") is None and said.keys() == causes.keys()
    assert all(causes[name] in said[name] for name in causes)


@pytest.mark.skipif(os.name != "posix", reason="a shell closes the streams")
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_and_devices_are_told(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    done = ser("predict", "--bundle", "tess-lstm", tmp_path / "pipe.wav", "/dev/zero", SAMPLES[0])
    assert done.returncode == 1 and done.stdout.count("is no regular file; give one.") == 2, done.stdout
    assert done.stderr == "ser: 2 of 3 could not be read.\n"


def test_standard_input_without_end(monkeypatch):
    with open("/dev/zero", "rb") as endless:
        monkeypatch.setattr(cli, "_MOST", 100_000)
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=endless))
        ((path, said),) = cli.clips(["-"])
    assert path == "-" and said.endswith("write it to a file and name that.")


def test_closed_streams_and_a_full_disk():
    for close in (">&-", "2>&-", ">&- 2>&-", "<&-"):
        done = subprocess.run(f"{shlex.join([*SER, 'predict', str(SAMPLES[0])])} {close}", shell=True)
        assert done.returncode == 0, close
    if os.path.exists("/dev/full"):
        with open("/dev/full", "w") as full:
            run = subprocess.run([*SER, "card"], stdout=full, stderr=subprocess.PIPE, text=True)
        assert run.returncode == 1 and is_one_sentence(run.stderr)


def broken_card(folder):
    (folder / "card.json").write_text("{")


def no_model(folder):
    (folder / "model.tflite").unlink()


def changed_model(folder):
    with open(folder / "model.tflite", "ab") as model:
        model.write(b"x")


@pytest.mark.parametrize("spoil", [broken_card, no_model, changed_model, shutil.rmtree])
def test_a_broken_bundle_is_one_sentence(tmp_path, spoil):
    bundle = shutil.copytree(serving.Bundle().folder, tmp_path / "mine")
    spoil(bundle)
    for command in (["predict", SAMPLES[0]], ["card"]):
        done = ser(*command, "--bundle", bundle)
        assert done.returncode == 1 and not done.stdout and is_one_sentence(done.stderr), done.stderr


def test_max_seconds():
    done = ser("predict", "--json", "--max-seconds", 0.5, SAMPLES[0])
    assert done.returncode == 1 and "longer than 0.5 s" in lines(done)[0]["error"]


@pytest.mark.parametrize(
    "args",
    [
        ["predict", SAMPLES[0], "--bundle", "nowhere"],
        ["card", "--bundle", "nowhere"],
        ["serve", "--bundle", "nowhere"],
        ["audit", "nowhere.csv"],
        ["corpora", "verify", "/nowhere"],
        ["corpora", "fetch", "savee", "--folder", "."],
    ],
)
def test_errors_are_one_sentence(args):
    done = ser(*args, env={**os.environ, "SER_DATA_DIR": ""})
    assert done.returncode == 1 and not done.stdout and is_one_sentence(done.stderr), done.stderr


def test_the_card_is_printed():
    assert ser("card").stdout.strip() == (serving.Bundle().folder / "card.md").read_text().strip()


def test_a_missing_extra_is_a_sentence():
    code = "import sys; sys.modules['pandas'] = None; from ser_nbdev.cli import main; sys.exit(main())"
    for args in (["corpora"], ["audit", "x.csv"], ["train"], ["evaluate"]):
        done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True)
        assert done.returncode == 1 and is_one_sentence(done.stderr), done.stderr
        assert "pip install 'ser_nbdev[train]'" in done.stderr


# ---- pipes and signals


def start(*args, **kw):
    return subprocess.Popen(
        [*SER, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kw
    )


def test_answers_come_as_they_are_known_and_ctrl_c_is_130():
    run = start("predict", "--json", *SAMPLES * 400)
    assert json.loads(run.stdout.readline())["path"] == str(SAMPLES[0]) and run.poll() is None
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 130 and "Traceback" not in err
    assert all(json.loads(line) for line in out.splitlines())  # no half line


def test_a_reader_that_goes_away_is_no_error():
    run = start("predict", "--json", *SAMPLES * 400)
    run.stdout.readline()
    run.stdout.close()
    assert run.stderr.read() == ""
    assert run.wait(60) in (141, -signal.SIGPIPE)


def serve(*args):
    run = start("serve", *args)
    said = run.stdout.readline()
    return run, re.search(r"http://\S+", said)[0]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_serve_answers_and_stops(how):
    run, where = serve("--port", 0)
    with urllib.request.urlopen(where + "/healthz", timeout=30) as reply:
        assert json.load(reply) == {"status": "ok"}
    with urllib.request.urlopen(where, timeout=30) as reply:
        assert b"What does this voice sound like?" in reply.read()
    run.send_signal(how)
    out, err = run.communicate(timeout=30)
    assert run.returncode == 0 and out == "Stopped.\n" and "Traceback" not in err


def test_serve_says_what_is_in_the_way():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = ser("serve", "--port", port)
    assert (
        done.returncode == 1
        and f"Port {port} on 127.0.0.1 is in use" in done.stderr
        and is_one_sentence(done.stderr)
    )
    for host in ("no.such.host.invalid", "203.0.113.7"):
        done = ser("serve", "--host", host, "--port", 0)
        assert done.returncode == 1 and is_one_sentence(done.stderr) and host in done.stderr


# ---- the workshop


def test_audit(tmp_path):
    pytest.importorskip("pandas")
    rows = ["path,split,speaker,text"]
    for i, (name, speaker, side) in enumerate([("a", "x", "train"), ("b", "y", "test")]):
        (tmp_path / f"{name}.flac").write_bytes(SAMPLES[i].read_bytes())
        rows.append(f"{name}.flac,{side},{speaker},hello")
    table = tmp_path / "mine.csv"
    table.write_text("\n".join(rows))
    assert ser("audit", table).returncode == 0 and ser("audit", table, "-p", "speaker").returncode == 0
    done = ser("audit", table, "--protocol", "word")
    assert done.returncode == 1 and "keeps texts apart" in done.stderr
    (tmp_path / "copy.flac").write_bytes(SAMPLES[0].read_bytes())
    table.write_text("\n".join([*rows, "copy.flac,test,y,bye"]))
    done = ser("audit", table, "--json")
    assert (
        done.returncode == 1
        and "identical recording" in done.stderr
        and len(json.loads(done.stdout)["leaks"]) == 1
    )
    table.write_text("\n".join([*rows, "gone.flac,test,y,bye"]))
    assert ser("audit", table).returncode == 1
    done = ser("audit", table, "--no-sound")
    assert done.returncode == 0 and done.stdout.endswith("is not known: the sound was not compared.\n")


def test_corpora(tmp_path):
    pytest.importorskip("pandas")
    assert (
        "RAVDESS" in ser("corpora").stdout.upper() and ser("corpora").stdout == ser("corpora", "list").stdout
    )
    done = ser("corpora", "demo", tmp_path / "demo")
    assert done.returncode == 0 and "synthetic" in done.stdout
    done = ser("corpora", "verify", tmp_path, "-c", "demo", "--details")
    assert done.returncode == 0 and "demo-A" in done.stdout
    next(tmp_path.rglob("*.flac")).write_bytes(b"")
    done = ser("corpora", "verify", tmp_path, "-c", "demo")
    assert done.returncode == 1 and "1 broken" in done.stdout and "broken: " in done.stderr


def test_train_predict_evaluate(tmp_path):
    pytest.importorskip("tensorflow")
    recipe = {"units": 8, "depth": 1, "augment": None, "frontend": {"n_mfcc": 13}}
    (tmp_path / "small.json").write_text(json.dumps(recipe))
    how = ["--demo", "--epochs", 1, "--recipe", "small.json", "--folder", "run", "--out", "bundle"]
    for _ in range(2):  # the second time there is nothing left to learn
        done = ser("train", *how, "--cache", "cache", cwd=tmp_path)
        assert done.returncode == 0 and "The bundle is in bundle" in done.stdout, done.stderr
        assert "means nothing" in done.stderr
        state = (tmp_path / "run" / "state.npz").stat()
    assert state.st_mtime_ns < (tmp_path / "bundle" / "card.json").stat().st_mtime_ns
    done = ser("predict", "--json", "--bundle", "bundle", SAMPLES[0], cwd=tmp_path)
    assert done.returncode == 0 and lines(done)[0]["emotion"] in serving.Bundle(tmp_path / "bundle").labels
    judge = ["evaluate", "--demo", "--bundle", "bundle", "--cache", "cache"]
    done = ser(*judge, "--report", "report", cwd=tmp_path)
    assert done.returncode == 0 and "140 of these 140 clips" in done.stderr, done.stderr
    assert "`bundle as it is`" in done.stdout and "140 identical recordings" in done.stdout
    assert (
        json.loads((tmp_path / "report" / "report.json").read_text())["audit"]["identical"]["shared"] == 140
    )
    card = json.loads((tmp_path / "bundle" / "card.json").read_text())
    del card["training"]["memory"]
    (tmp_path / "bundle" / "card.json").write_text(json.dumps(card))
    done = ser(*judge, cwd=tmp_path)
    assert done.returncode == 0 and "which does not say what it learnt from`" in done.stdout


def test_what_cannot_be_learnt_from_is_one_sentence(tmp_path):
    pytest.importorskip("tensorflow")
    (tmp_path / "empty").mkdir()
    (tmp_path / "wrong.json").write_text('{"frontend": {"kind": "magic"}}')
    for args in (
        ["train", "nowhere"],
        ["train", "empty"],
        ["train", "--demo", "--recipe", "wrong.json"],
        ["evaluate", "--demo", "--protocol", "leave-one-corpus-out"],
    ):
        done = ser(*args, cwd=tmp_path)
        said = done.stderr.splitlines()
        assert done.returncode == 1 and said[-1].startswith("ser: ") and said[-1].endswith("."), done.stderr
        assert len(said) == 1 + ("--demo" in args)
