"""Is the library what the notebooks export (its stubs too), are the notebooks clean, and is README.md the home page?

Exports a copy of nbs/ into an empty library and compares: an edited .py, a stale module and a missing one
all show, which `nbdev_export && git diff` does not see. Then cleans the copy and compares that too.

    python .ci/sync.py [--write]    exit 1 and a line per difference; --write mends them instead
"""

import filecmp
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import stubs

ROOT = Path(__file__).resolve().parent.parent
WIDGET = "application/vnd.jupyter.widget-view+json"


def run(command: str, cwd: Path):
    "Run one of nbdev's commands in `cwd`; nbdev_clean only warns when it fails, so anything it says is a failure."
    done = subprocess.run([Path(sys.executable).parent / command], cwd=cwd, capture_output=True, text=True)
    if done.returncode or done.stderr.strip():
        sys.exit(f"{command} failed:\n{done.stdout}{done.stderr}")


def differences(made: Path, kept: Path, pattern: str):
    "The files of `pattern` that differ, are stale or are missing, as sentences."
    made_files, kept_files = ({p.name for p in folder.glob(pattern)} for folder in (made, kept))
    name = kept.name
    yield from (
        f"{name}/{n}: no notebook exports it any more; delete it" for n in sorted(kept_files - made_files)
    )
    yield from (f"{name}/{n}: is missing" for n in sorted(made_files - kept_files))
    for n in sorted(made_files & kept_files):
        if not filecmp.cmp(made / n, kept / n, shallow=False):
            yield f"{name}/{n}: is not what the notebooks make of it"


def drop_widgets(folder: Path):
    "Take out of the notebooks in `folder` what shows nothing without a kernel: progress bars and other widgets."
    for path in folder.rglob("*.ipynb"):
        book = json.loads(path.read_text("utf-8"))
        for cell in book["cells"]:
            if "outputs" in cell:
                cell["outputs"] = [out for out in cell["outputs"] if WIDGET not in out.get("data", {})]
        text = json.dumps(book, sort_keys=True, indent=1, ensure_ascii=False) + "\n"
        if text != path.read_text("utf-8"):
            path.write_text(text, encoding="utf-8")


def readme(notebook: Path) -> str:
    "README.md as nbconvert renders the home page, with links that lead from the top of the repository."
    import nbformat
    from nbconvert import MarkdownExporter
    from nbconvert.preprocessors import TagRemovePreprocessor

    page = nbformat.read(notebook, as_version=4)
    page.metadata["language_info"] = {"name": "python"}
    page.cells = [cell for cell in page.cells if not re.match(r"#\| *hide", cell.source)]
    for cell in page.cells:
        if re.match(r"#\| *echo: *false", cell.source):
            cell.metadata["tags"] = ["remove-input"]
    exporter = MarkdownExporter()
    exporter.register_preprocessor(TagRemovePreprocessor(remove_input_tags={"remove-input"}), enabled=True)
    text, _ = exporter.from_notebook_node(page)
    text = re.sub(r"\]\(((?:\d\d[a-z]?_|tutorials/)\w+\.ipynb)", r"](nbs/\1", text).replace("](../", "](")
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def check(root: Path, write: bool = False) -> list:
    "Compare (or, with `write`, mend) the checkout at `root`; the differences found, as sentences."
    found = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, root.name)
        copy.mkdir()
        shutil.copytree(
            root / "nbs", copy / "nbs", ignore=shutil.ignore_patterns(".ipynb_checkpoints", "_proc")
        )
        shutil.copy(root / "settings.ini", copy)
        (copy / "ser_nbdev").mkdir()
        run("nbdev_export", copy)
        exported = copy / "ser_nbdev"
        stubs.write_stubs(exported)
        found += differences(exported, root / "ser_nbdev", "*.py")
        found += differences(exported, root / "ser_nbdev", "*.pyi")
        run("nbdev_clean", copy)
        drop_widgets(copy / "nbs")
        found += differences(copy / "nbs", root / "nbs", "*.ipynb")
        if (root / "nbs" / "tutorials").is_dir():
            found += differences(copy / "nbs" / "tutorials", root / "nbs" / "tutorials", "*.ipynb")
        (copy / "README.md").write_text(readme(copy / "nbs" / "index.ipynb"), encoding="utf-8")
        found += differences(copy, root, "README.md")
        if write:
            for old in (root / "ser_nbdev").glob("*.py*"):
                if not (exported / old.name).exists():
                    old.unlink()
            for made in [*exported.glob("*.py*"), *(copy / "nbs").rglob("*.ipynb"), copy / "README.md"]:
                target = root / made.relative_to(copy)
                if not target.exists() or not filecmp.cmp(made, target, shallow=False):
                    shutil.copyfile(made, target)
    return found


if __name__ == "__main__":
    write = sys.argv[1:] == ["--write"]
    found = check(ROOT, write)
    print("\n".join(found) or "The library, the notebooks and the README are in step.")
    sys.exit(bool(found) and not write)
