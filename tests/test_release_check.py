"A figure that got worse stops a release, and is named; made-up results show it."

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "benchmarks")]
import release_check  # noqa: E402
import tables  # noqa: E402
from release_check import Figure  # noqa: E402

UAR = "UAR: RAVDESS, by actor, alone"


@pytest.fixture
def copy(tmp_path):
    "A release of this checkout's figures as 0.0.1, and nothing changed since."
    shutil.copytree(ROOT / "benchmarks" / "results", tmp_path / "benchmarks" / "results")
    settings = (ROOT / "settings.ini").read_text("utf-8")
    (tmp_path / "settings.ini").write_text(settings)
    (tmp_path / "benchmarks" / "released.json").write_text(
        json.dumps({"0.0.1": release_check.measured(ROOT)})
    )
    return tmp_path


def change(root, file, path, value):
    stored = root / "benchmarks" / "results" / f"{file}.json"
    told = json.loads(stored.read_text("utf-8"))
    part = told
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    stored.write_text(json.dumps(told))


def test_every_figure_is_measured_and_named_once():
    now = release_check.measured(ROOT)
    assert len(now) == len(release_check.FIGURES) > 30
    assert all(f.room > 0 and f.better in ("higher", "lower") for f in release_check.FIGURES)
    assert all(told["low"] <= told["value"] <= told["high"] for told in now.values() if "low" in told)


def test_nothing_moved(copy, capsys):
    assert release_check.check(copy) == 0
    assert capsys.readouterr().out == "No figure moved since 0.0.1.\n"


def test_the_first_release_has_nothing_before_it(copy, capsys):
    (copy / "benchmarks" / "released.json").unlink()
    assert release_check.check(copy) == 0 and "nothing to compare" in capsys.readouterr().out


@pytest.mark.parametrize("lost, code", [(-0.05, 0), (0.019, 0), (0.021, 1), (0.2, 1), (float("nan"), 1)])
def test_what_got_worse_is_named(copy, capsys, lost, code):
    was = release_check.measured(copy)[UAR]
    path = ("figures", "RAVDESS, by actor", "alone", "uar", "value")
    change(copy, "unseen", path, was["value"] - lost)
    assert release_check.check(copy) == code
    out = capsys.readouterr().out
    [line] = [line for line in out.splitlines() if UAR in line]
    assert line.startswith("WORSE") == bool(code)
    assert f"{was['value']:.4g} ({was['low']:.4g} to {was['high']:.4g})" in line
    assert f"{was['value'] - lost:.4g}" in line and f">= {was['value'] - 0.02:.4g}" in line
    assert ("1 of" in out) == bool(code)


def test_where_less_is_better(copy, capsys):
    size = release_check.measured(copy)["size of speech-encoder, MB"]["value"]
    change(copy, "encoder_bundle", ("megabytes",), size * 0.5)
    assert release_check.check(copy) == 0
    change(copy, "encoder_bundle", ("megabytes",), size * 1.11)
    assert release_check.check(copy) == 1 and "<= " in capsys.readouterr().out


def test_the_nearer_of_room_and_interval_counts():
    figure = Figure("x", "x", (), 0.25, relative=True)
    assert figure.limit({"value": 4.0}) == 3.0
    assert figure.limit({"value": 4.0, "low": 3.5, "high": 5}) == 3.5
    assert figure.limit({"value": 4.0, "low": 1.0, "high": 5}) == 3.0
    less = Figure("x", "x", (), 1.0, "lower")
    assert less.limit({"value": 4.0}) == 5.0 and less.limit({"value": 4.0, "low": 3, "high": 4.5}) == 4.5
    assert less.worse({"value": 4.0}, {"value": 5.1}) and not less.worse({"value": 4.0}, {"value": 1.0})


def test_the_last_release_is_the_one_that_counts(copy, capsys):
    "By number and not by name, and never this version itself."
    file = copy / "benchmarks" / "released.json"
    old = json.loads(file.read_text())["0.0.1"]
    better = {name: {**told, "value": told["value"] * 2, "low": 0, "high": 9e9} for name, told in old.items()}
    file.write_text(json.dumps({"0.0.10": old, "0.0.9": better, release_check.version(copy): better}))
    assert release_check.check(copy) == 0 and "since 0.0.10" in capsys.readouterr().out


def test_a_release_keeps_its_figures_and_a_tag_asks_for_them(copy, capsys):
    version = release_check.version(copy)
    assert release_check.check(copy, tag=True) == 1 and "--keep" in capsys.readouterr().out
    assert release_check.check(copy, keep=True) == 0
    assert list(release_check.released(copy)) == ["0.0.1", version]
    assert release_check.check(copy, tag=True) == 0
    change(copy, "encoder_bundle", ("megabytes",), 99)
    assert release_check.check(copy, keep=True) == 1  # what got worse is not kept
    assert release_check.released(copy)[version] != release_check.measured(copy)


def test_a_figure_that_was_not_measured_is_a_sentence(copy):
    (copy / "benchmarks" / "results" / "speed.json").unlink()
    with pytest.raises(SystemExit, match="speed.json does not hold it"):
        release_check.measured(copy)


def test_the_command():
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "release_check.py"], capture_output=True, text=True
    )
    assert done.stdout and not done.stderr, done.stderr
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "release_check.py", "--x"], capture_output=True, text=True
    )
    assert done.returncode == 1 and "--x is not understood" in done.stderr


README = (ROOT / "README.md").read_text("utf-8")
INDEX = json.loads((ROOT / "nbs" / "index.ipynb").read_text("utf-8"))
QUOTED = re.findall(
    r"Markdown\(tables\.(\w+)\(\)\)", "".join("".join(cell["source"]) for cell in INDEX["cells"])
)


def results_of(table, monkeypatch):
    "A table, and the names of the stored results that it is made from."
    read, result = set(), tables.result
    with monkeypatch.context() as patched:
        patched.setattr(tables, "result", lambda name: read.add(name) or result(name))
        return getattr(tables, table)(), read


@pytest.mark.parametrize("table", QUOTED)
def test_every_table_of_the_readme_has_a_command_that_makes_it(table, monkeypatch):
    "Each of its figures comes from a stored result, whose command is a script here that `make bench` runs."
    text, read = results_of(table, monkeypatch)
    makefile = (ROOT / "Makefile").read_text("utf-8")
    bench = makefile[makefile.index("\nbench:") : makefile.index("\nfuzz:")]
    assert "$(MAKE) bench-train\n\t$(MAKE) bench-measure\n" in bench
    assert read and text in README
    for name in read:
        script = tables.result(name)["command"].split()[1]
        assert script.startswith("benchmarks/") and (ROOT / script).is_file(), (table, script)
        assert re.search(rf"\b{re.escape(script)}\b", bench), f"make bench does not run {script}"


def test_no_row_of_figures_stands_in_the_readme_by_hand():
    "Every row of a table is one that benchmarks/tables.py makes, or leads to a chapter."
    made = "\n".join(getattr(tables, table)() for table in QUOTED).splitlines()
    for row in re.findall(r"^\|.*\|$", README, flags=re.M):
        assert (
            row in made
            or re.search(r"\]\(nbs/\w+\.ipynb\)", row)
            or row
            in (
                "| chapter | room | what it is about |",
                "| --- | --- | --- |",
            )
        ), row
