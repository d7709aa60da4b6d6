"The sync check finds what `nbdev_export && git diff` would miss."

import json
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / ".ci"))
from sync import check  # noqa: E402


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    "A copy of what the check reads."
    copy = tmp_path_factory.mktemp("sync") / "ser_nbdev"
    copy.mkdir()
    for name in ("settings.ini", "README.md"):
        shutil.copy(ROOT / name, copy)
    shutil.copytree(ROOT / "nbs", copy / "nbs", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    library = copy / "ser_nbdev"
    library.mkdir()
    for module in (ROOT / "ser_nbdev").glob("*.py*"):
        shutil.copy(module, library)
    return copy


def test_this_checkout_is_in_step(pristine):
    assert check(pristine) == []


def edit(root):
    with open(root / "ser_nbdev" / "emotions.py", "a") as f:
        f.write("# a late thought\n")


def stale(root):
    (root / "ser_nbdev" / "renamed.py").write_text("x = 1\n")


def missing(root):
    (root / "ser_nbdev" / "emotions.py").unlink()


def old_stub(root):
    with open(root / "ser_nbdev" / "serving.pyi", "a") as f:
        f.write("def forgotten() -> None: ...\n")


def unclean(root):
    notebook = root / "nbs" / "00_emotions.ipynb"
    notebook.write_text(notebook.read_text().replace('"execution_count": null', '"execution_count": 7', 1))


def progress_bar(root):
    notebook = root / "nbs" / "00_emotions.ipynb"
    book = json.loads(notebook.read_text("utf-8"))
    cell = next(cell for cell in book["cells"] if cell["cell_type"] == "code")
    data = {"application/vnd.jupyter.widget-view+json": {"model_id": "0"}, "text/plain": ["steps: 0%"]}
    cell["outputs"].append(dict(output_type="display_data", metadata={}, data=data))
    notebook.write_text(json.dumps(book, sort_keys=True, indent=1, ensure_ascii=False) + "\n")


def old_readme(root):
    (root / "README.md").write_text("# An older page\n")


@pytest.mark.parametrize(
    "harm, sentence",
    [
        (edit, "ser_nbdev/emotions.py: is not what the notebooks make of it"),
        (stale, "ser_nbdev/renamed.py: no notebook exports it any more"),
        (missing, "ser_nbdev/emotions.py: is missing"),
        (old_stub, "ser_nbdev/serving.pyi: is not what the notebooks make of it"),
        (progress_bar, "nbs/00_emotions.ipynb: is not what the notebooks make of it"),
        (unclean, "nbs/00_emotions.ipynb: is not what the notebooks make of it"),
        (old_readme, "ser_nbdev/README.md: is not what the notebooks make of it"),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_harm_is_found(pristine, tmp_path, harm, sentence):
    root = shutil.copytree(pristine, tmp_path / "ser_nbdev")
    harm(root)
    found = check(root)
    assert len(found) == 1 and found[0].startswith(sentence), found
    check(root, write=True)
    assert check(root) == []
