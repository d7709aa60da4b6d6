"Every notebook runs from its first cell to its last, in a process of its own, with or without a corpus."

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted(p for p in (ROOT / "nbs").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
LONGEST = 45  # lines of a cell


def code_cells(notebook):
    "Pairs of an id and a source."
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    return [(cell["id"], "".join(cell["source"])) for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_runs(notebook):
    command = [Path(sys.executable).parent / "nbdev_test", "--path", notebook, "--n_workers", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


def test_cells_are_short():
    long = [
        f"{notebook.name}, cell {name}: {len(source.splitlines())} lines, and {LONGEST} are the most"
        for notebook in NOTEBOOKS
        for name, source in code_cells(notebook)
        if len(source.splitlines()) > LONGEST
    ]
    assert not long, "break them up, a method or a function a cell: " + "; ".join(long)


def test_progress_bars_are_those_of_a_notebook_in_a_notebook():
    "The command alone has a terminal's, whoever calls it."
    plain = [
        f"{notebook.name}, cell {name}"
        for notebook in NOTEBOOKS
        for name, source in code_cells(notebook)
        if re.search(r"^\s*(from tqdm import|import tqdm)", source, flags=re.M)
        and "#| default_exp cli" not in notebook.read_text("utf-8")
    ]
    assert not plain, f"`from tqdm.auto import tqdm`: {plain}"


def test_tutorials_export_nothing_and_stand_on_the_home_page():
    home = (ROOT / "nbs" / "index.ipynb").read_text("utf-8")
    tutorials = [p for p in NOTEBOOKS if p.parent.name == "tutorials"]
    assert {"own_clips", "adapting", "model_card", "serving", "archive"} <= {p.stem for p in tutorials}
    for notebook in tutorials:
        assert f"(tutorials/{notebook.name})" in home, notebook.name
        for name, source in code_cells(notebook):
            assert not re.match(r"#\| *(export|exporti|default_exp)", source), (notebook.name, name)


@pytest.mark.parametrize("name", ["adapting", "model_card"])
def test_figures_of_the_card_are_not_typed(name):
    "They come from the bundle that ships, when the notebook runs."
    card = json.loads((ROOT / "ser_nbdev" / "bundles" / "speech-encoder" / "card.json").read_text("utf-8"))
    cells = json.loads((ROOT / "nbs" / "tutorials" / f"{name}.ipynb").read_text("utf-8"))["cells"]
    written = "\n".join("".join(cell["source"]) for cell in cells)
    for figure in card["figures"].values():
        for value in figure["uar"].values():
            for typed in (f"{100 * value:.1f}", f"{value:.3f}"):
                assert value in (0, 1) or not re.search(rf"(?<![\d.]){typed}(?!\d)", written), typed
    assert "card" in written and re.search(r"\.folder / .card\.md", written)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_what_is_stored_can_be_shown_without_a_kernel(notebook):
    "A widget or a progress bar that was kept would be an error message for whoever opens the notebook."
    book = json.loads(notebook.read_text("utf-8"))
    assert "widgets" not in book["metadata"]
    kinds = {k for cell in book["cells"] for out in cell.get("outputs", []) for k in out.get("data", {})}
    assert not {k for k in kinds if k.startswith("application/vnd.jupyter.widget")}
