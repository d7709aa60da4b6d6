"What a user installs has everything that serving needs, and nothing that it must not have; tried far from the checkout."

import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STUBBED = [p.stem for p in (ROOT / "ser_nbdev").glob("*.py") if p.stem != "_modidx"]


def run(*command, cwd, **kw):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, **kw)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    "The source distribution; made from a copy, where no earlier build left anything."
    folder = tmp_path_factory.mktemp("sdist")
    source = folder / "source"
    source.mkdir()
    for name in ("settings.ini", "setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, source)
    for name in ("CHANGELOG.md", "CITATION.cff"):
        shutil.copy(ROOT / name, source)
    for name in ("ser_nbdev", "webapp", "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    code = f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})"
    run(sys.executable, "-c", code, cwd=source)
    return next(folder.glob("*.tar.gz"))


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    "The wheel, built from the source distribution alone, as a release does."
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, sdist, cwd=folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def names(wheel):
    "The names of all files in the wheel."
    with zipfile.ZipFile(wheel) as z:
        assert sum(f.file_size for f in z.infolist()) < 12e6
        return set(z.namelist())


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    "Skips where no package registry can be reached."
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--retries", "0", "--timeout", "10"]
    asked = subprocess.run(
        [*pip, "download", "-q", "--no-deps", "itsdangerous"],
        capture_output=True,
        cwd=tmp_path_factory.mktemp("asked"),
    )
    if asked.returncode:
        pytest.skip("no package registry is reachable from here")


@pytest.fixture(scope="module")
def installed(wheel, registry, tmp_path_factory):
    "The folder of the commands of a clean environment, into which only the wheel and what it asks for was installed."
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, with_pip=True)
    commands = folder / ("Scripts" if sys.platform == "win32" else "bin")
    run(commands / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", wheel, cwd=folder)
    return commands


def test_bundle_page_and_samples_are_inside(names):
    for bundle in (ROOT / "ser_nbdev" / "bundles").iterdir():
        for part in ("model.tflite", "card.json", "card.md"):
            assert f"ser_nbdev/bundles/{bundle.name}/{part}" in names
    assert "ser_nbdev/bundles/tess-lstm/card.json" in names
    assert {"ser_nbdev/webapp/__init__.py", "ser_nbdev/serving.py", "ser_nbdev/_modidx.py"} <= names
    for tracked in [*(ROOT / "webapp").glob("*/*"), *(ROOT / "ser_nbdev" / "samples").iterdir()]:
        if "__pycache__" in tracked.parts:
            continue
        inside = tracked.relative_to(ROOT).as_posix()
        inside = inside if inside.startswith("ser_nbdev") else f"ser_nbdev/{inside}"
        assert inside in names, inside


def test_types_are_inside(names):
    assert {"ser_nbdev/py.typed", *(f"ser_nbdev/{module}.pyi" for module in STUBBED)} <= names


def test_no_top_level_webapp_and_no_corpus(names):
    assert {n.split("/")[0] for n in names if "dist-info" not in n} == {"ser_nbdev"}
    sounds = {n for n in names if n.endswith((".wav", ".flac", ".ogg", ".mp3"))}
    assert sounds == {n for n in sounds if n.startswith("ser_nbdev/samples/")}


def test_no_tests_notebooks_or_benchmarks(names):
    assert not {n for n in names if "test" in n.split("/")[1] or "bench" in n or n.endswith(".ipynb")}


def test_the_source_distribution_builds_by_itself_and_has_a_licence(sdist):
    with tarfile.open(sdist) as tar:
        inside = {n.partition("/")[2] for n in tar.getnames()}
    assert {"settings.ini", "setup.py", "README.md", "LICENSE", "CHANGELOG.md"} <= inside


def test_a_user_gets_an_answer(installed, tmp_path):
    assert run(installed / "ser", "predict", cwd=tmp_path).count(".flac") == 5
    assert "speech-encoder" in run(installed / "ser", "card", cwd=tmp_path)
    code = (
        "import ser_nbdev.webapp as w; print(w.__file__); w.create_app().test_client().get('/').data.decode()"
    )
    assert "site-packages" in run(installed / "python", "-c", code, cwd=tmp_path)
    assert "No broken requirements" in run(installed / "python", "-m", "pip", "check", cwd=tmp_path)


USE = """
from ser_nbdev.serving import Recognizer, Prediction
known: Recognizer = Recognizer().adapt(["a.wav"])
emotion: str = known.predict("x").emotion
heard: Prediction = known.answer(known.hear("x"))
"""
MISUSE = {
    "Recognizer().predict('x').emotoin": '"Prediction" has no attribute "emotoin"',
    "Recognizer().predict('x', max_seconds='long')": 'incompatible type "str"; expected "float | None"',
    "Recognizer().guess('x')": '"Recognizer" has no attribute "guess"',
}


def test_mypy_knows_what_a_user_calls(installed, tmp_path):
    "Methods that came by @patch too; a slip is found, so that nothing is merely Any."
    python = ["--python-executable", installed / "python", "--cache-dir", tmp_path / "cache"]
    (tmp_path / "use.py").write_text(USE)
    assert "Success" in run(sys.executable, "-m", "mypy", "--strict", *python, "use.py", cwd=tmp_path)
    (tmp_path / "misuse.py").write_text(USE + "\n".join(MISUSE))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *python, "misuse.py"], cwd=tmp_path, capture_output=True, text=True
    )
    for sentence in MISUSE.values():
        assert sentence in done.stdout, done.stdout


def test_every_extra_resolves(wheel, registry, tmp_path):
    "All together, beside what is installed here; nothing is downloaded but descriptions."
    parser = ConfigParser(delimiters=["="])
    parser.read(ROOT / "settings.ini", encoding="utf-8")
    extras = [k.removesuffix("_requirements") for k in parser["DEFAULT"] if k.endswith("_requirements")]
    assert {"train", "ray", "docs", "dev"} <= set(extras)
    pip = [sys.executable, "-m", "pip", "install", "--dry-run", "-q", "--disable-pip-version-check"]
    run(*pip, f"{wheel}[{','.join(sorted(extras))}]", cwd=tmp_path)
    with zipfile.ZipFile(wheel) as z:
        told = z.read(next(n for n in z.namelist() if n.endswith("METADATA"))).decode()
    for extra in extras:
        assert f"Provides-Extra: {extra}" in told
