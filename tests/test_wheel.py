"What a user installs has everything that serving needs, and nothing that it must not have."

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    "The names of all files in a freshly built wheel; built from a copy, where no earlier build left anything."
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("settings.ini", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("ser_nbdev", "webapp"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, source]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        assert sum(f.file_size for f in wheel.infolist()) < 12e6
        return set(wheel.namelist())


def test_bundle_page_and_samples_are_inside(names):
    for bundle in (ROOT / "ser_nbdev" / "bundles").iterdir():
        for part in ("model.tflite", "card.json", "card.md"):
            assert f"ser_nbdev/bundles/{bundle.name}/{part}" in names
    assert "ser_nbdev/bundles/tess-lstm/card.json" in names
    assert {"ser_nbdev/webapp/__init__.py", "ser_nbdev/serving.py", "ser_nbdev/_modidx.py"} <= names
    for tracked in [*(ROOT / "webapp").glob("*/*"), *(ROOT / "ser_nbdev" / "samples").iterdir()]:
        inside = tracked.relative_to(ROOT).as_posix()
        inside = inside if inside.startswith("ser_nbdev") else f"ser_nbdev/{inside}"
        assert inside in names, inside


def test_no_top_level_webapp_and_no_corpus(names):
    assert {n.split("/")[0] for n in names if "dist-info" not in n} == {"ser_nbdev"}
    sounds = {n for n in names if n.endswith((".wav", ".flac", ".ogg", ".mp3"))}
    assert sounds == {n for n in sounds if n.startswith("ser_nbdev/samples/")}
