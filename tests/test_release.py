"What a release takes is in step with the version, and the workflows are well-formed and safe."

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import release  # noqa: E402

BIN = Path(sys.executable).parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.fixture
def copy(tmp_path):
    (tmp_path / "ser_nbdev").mkdir()
    for name in ("settings.ini", "CITATION.cff", "CHANGELOG.md", "ser_nbdev/__init__.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def edit(path, old, new):
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_this_checkout_is_in_step():
    assert list(release.findings(ROOT)) == []


def test_an_old_version_is_found_and_mended(copy):
    was = release.version(copy)
    edit(copy / "settings.ini", f"version = {was}", "version = 9.8.7")
    found = list(release.findings(copy))
    assert [f.split()[0] for f in found] == ["CITATION.cff", "ser_nbdev/__init__.py", "CHANGELOG.md"]
    release.write(copy)
    assert not any(f.startswith("CITATION") for f in release.findings(copy))


def test_a_release_needs_its_tag_and_its_date(copy):
    version = release.version(copy)
    text = re.sub(
        rf"^## {version}.*$",
        f"## {version}, not yet released",
        (copy / "CHANGELOG.md").read_text(),
        flags=re.M,
    )
    (copy / "CHANGELOG.md").write_text(text)
    assert any("no date" in f for f in release.findings(copy, f"v{version}"))
    edit(copy / "CHANGELOG.md", ", not yet released", ", 2026-12-31")
    assert list(release.findings(copy, f"v{version}")) == []
    assert list(release.findings(copy, "v0.0.1")) == [f"The tag is v0.0.1, settings.ini says {version}."]


@pytest.mark.parametrize(
    "schema, pattern",
    [
        ("github-workflows", ".github/workflows/*.yml"),
        ("github-issue-forms", ".github/ISSUE_TEMPLATE/[!c]*.yml"),
        ("dependabot", ".github/dependabot.yml"),
        ("citation-file-format", "CITATION.cff"),
    ],
)
def test_files_are_what_their_readers_expect(schema, pattern):
    files = sorted(ROOT.glob(pattern))
    assert files
    command = [BIN / "check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_workflows_are_tidy_and_safe():
    for command in (
        ["yamllint", "--strict", "-c", ROOT / ".yamllint", ROOT / ".github", ROOT / "CITATION.cff"],
        ["zizmor", "--offline", "--quiet", ROOT / ".github"],
    ):
        done = subprocess.run([BIN / command[0], *command[1:]], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda p: p.stem)
def test_actions_are_pinned(workflow):
    used = re.findall(r"uses: (.*)", workflow.read_text("utf-8"))
    assert used
    for action in used:
        assert re.fullmatch(r"[\w/.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_commands_that_are_told_exist():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    told = [ROOT / "CONTRIBUTING.md", ROOT / ".github" / "PULL_REQUEST_TEMPLATE.md", *WORKFLOWS]
    for path in told:
        for line in re.findall(r"\bmake ((?:[a-z]+ ?)+)", re.sub(r"`#.*|#.*", "", path.read_text("utf-8"))):
            first = line.split()[0]
            if path.suffix == ".yml" or f"make {first}`" in path.read_text("utf-8"):
                assert re.search(rf"^{first}:", makefile, flags=re.M), (path.name, first)
    for path in re.findall(
        r"`((?:tools|docs|\.ci|nbs|tests|webapp|benchmarks)/[\w./]*)`", told[0].read_text("utf-8")
    ):
        assert (ROOT / path).exists() or path == "nbs/tutorials/", path
