"What is installed is locked, hashed, listed and licensed; the registry is not asked."

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

packaging = pytest.importorskip("packaging", reason="packaging is in the dev extra")
from packaging.requirements import Requirement  # noqa: E402
from packaging.utils import canonicalize_name  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import supply  # noqa: E402

SITE = Path(importlib.metadata.distribution("numpy").locate_file(""))
MACHINES = [
    {"sys_platform": system, "python_version": python, "python_full_version": f"{python}.1", "extra": ""}
    for system in ("linux", "darwin", "win32")
    for python in ("3.11", "3.12", "3.13")
]


def applies(requirement, machine):
    return requirement.marker is None or requirement.marker.evaluate(machine)


@pytest.mark.parametrize("name", supply.wanted())
def test_the_lock_meets_the_settings(name):
    "On every system: each requirement has one pin there, within its bounds. If not: run `make lock`."
    pins = supply.pins(name)
    for line in supply.wanted()[name]:
        wanted = Requirement(line)
        found = pins.get(canonicalize_name(wanted.name), [])
        for machine in filter(lambda m: applies(wanted, m), MACHINES):
            there = [pin for pin, _ in found if applies(pin, machine)]
            assert len(there) == 1, f"{line} has {len(there)} pins for {machine}: run make lock."
            version = str(there[0].specifier).removeprefix("==")
            assert wanted.specifier.contains(version, prereleases=True), f"{line}: {version}: run make lock."


def test_every_requirement_says_from_which_version_on():
    "Else the lowest that may be installed is one of ten years ago, which nobody tried."
    cfg = supply.settings()
    lists = [key for key in cfg if key.endswith("requirements")]
    assert {"requirements", "train_requirements", "dev_requirements"} <= set(lists)
    for line in filter(None, map(str.strip, "\n".join(cfg[key] for key in lists).splitlines())):
        assert any(s.operator in (">=", "==") for s in Requirement(line).specifier), line


@pytest.mark.parametrize("name", supply.wanted())
def test_every_line_is_an_exact_version_with_hashes_and_names_no_registry(name):
    text = (supply.LOCKS / f"{name}.txt").read_text("utf-8")
    assert "://" not in text and not re.search(r"--(?!hash=sha256:[0-9a-f]{64}\b)", text)
    for package, found in supply.pins(name).items():
        for pin, hashes in found:
            assert hashes and re.fullmatch(r"==[\w.+!]+", str(pin.specifier)) and not pin.url, package


def test_what_ships_is_what_was_tested():
    ci = supply.pins("ci")
    for name in set(supply.wanted()) - {"ci"}:
        for package, found in supply.pins(name).items():
            assert {str(p.specifier) for p, _ in found} <= {str(p.specifier) for p, _ in ci[package]}, package


def test_the_image_brings_all_that_its_packages_ask_for():
    "As their metadata tell it; nothing heavy among it."
    pins = supply.pins("image")
    for package in pins:
        if package in supply.READ or not any(applies(pin, {}) for pin, _ in pins[package]):
            continue
        for line in importlib.metadata.distribution(package).requires or []:
            asked = Requirement(line)
            if applies(asked, {"extra": ""}):
                assert canonicalize_name(asked.name) in pins, (package, line)
    assert not set(pins) & {"tensorflow", "tensorflow-cpu", "keras", "librosa", "numba", "pandas", "scipy"}


def runtime():
    "All that an install with the workshop's extras brings along, as it is installed here."
    found, left = set(), [Requirement("ser_nbdev[train,cloud,ray,listen]")]
    while left:
        asked = left.pop()
        name = canonicalize_name(asked.name)
        try:
            told = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # an extra that is not installed
        extras = {"", *asked.extras}
        if name not in found or asked.extras:
            needs = map(Requirement, told.requires or [])
            left += (
                [r for r in needs if any(applies(r, {"extra": e}) for e in extras)]
                if name not in found
                else []
            )
        found.add(name)
    return sorted(found)


def test_every_licence_is_known_and_allowed():
    names = {*runtime(), *supply.pins("image")}
    assert {"numpy", "av", "flask", "soxr", "werkzeug"} <= names
    told = {name: supply.licence(name) for name in names}
    assert [n for n, words in told.items() if not words] == []
    assert {n: supply.unknown(words) for n, words in told.items() if supply.unknown(words)} == {}


@pytest.mark.parametrize(
    "words", ["GPL-3.0-only", "MIT AND AGPL-3.0-only", "Proprietary", "GPL-2.0-only OR SSPL-1.0", ""]
)
def test_other_licences_are_not(words):
    assert supply.unknown(words)


def test_of_alternatives_one_suffices():
    assert not supply.unknown("Apache-2.0 OR GPL-3.0-only") and not supply.unknown("(MIT OR GPL-2.0-only)")


def test_a_package_that_says_nothing_is_found(tmp_path, monkeypatch):
    (tmp_path / "odd-1.0.dist-info").mkdir()
    (tmp_path / "odd-1.0.dist-info" / "METADATA").write_text(
        "Name: odd\nVersion: 1.0\nLicense: see the web\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert supply.licence("odd") == ""


def test_the_table_is_what_is_locked():
    "Made by `make licences`; versions change with the lock, licences seldom."
    assert (ROOT / "THIRD_PARTY.md").read_text("utf-8") == supply.licences(), "run make licences"


@pytest.mark.skipif(sys.platform != "linux", reason="the libraries are those of the wheels for Linux")
def test_every_library_inside_a_wheel_is_listed():
    for folder, inside in supply.BUNDLED.items():
        listed = {f"lib{name}" for names in inside for name in names.split()}
        found = {re.split(r"-[0-9a-f]{8}|\.so", path.name)[0] for path in (SITE / folder).glob("*.so*")}
        assert found and found <= listed, (folder, found - listed)
    import av._core

    assert {told["license"] for told in av._core.library_meta.values()} == {"LGPL version 3 or later"}


def test_the_bill_of_materials_is_valid_and_complete(tmp_path):
    "Of an environment that claims to hold what the image does, for nothing must be downloaded here."
    made = tmp_path / "made"
    venv.create(made)
    python = made / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    [site] = made.glob("Lib/site-packages" if sys.platform == "win32" else "lib/*/site-packages")
    here = [name for name, found in supply.pins("image").items() if any(applies(pin, {}) for pin, _ in found)]
    for told in map(importlib.metadata.distribution, here):
        shutil.copytree(told._path, site / told._path.name)

    supply.bill(python, tmp_path / "sbom.json")  # checks it against the schema
    told = json.loads((tmp_path / "sbom.json").read_text("utf-8"))
    assert told["bomFormat"] == "CycloneDX"
    root = told["metadata"]["component"]
    assert (root["name"], root["version"]) == ("ser_nbdev", supply.settings()["version"])
    listed = {canonicalize_name(part["name"]): part for part in told["components"]}
    assert {n: part["version"] for n, part in listed.items()} == {
        n: importlib.metadata.version(n) for n in here
    }
    assert (
        all(part["purl"].startswith("pkg:pypi/") for part in listed.values()) and listed["flask"]["licenses"]
    )
    asked = {part["ref"]: part.get("dependsOn", []) for part in told["dependencies"]}
    assert listed["flask"]["bom-ref"] in asked[root["bom-ref"]]
    assert listed["werkzeug"]["bom-ref"] in asked[listed["flask"]["bom-ref"]]


def test_an_audit_that_could_not_ask_is_no_clean_one(monkeypatch):
    "pip-audit passes over what its database does not answer for, unless it is told to be strict."
    asked = []
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda command, **_: asked.append(command) or subprocess.CompletedProcess(command, 1),
    )
    assert supply.audit() == 1
    assert "--strict" in asked[0] and {supply.LOCKS / f"{n}.txt" for n in supply.wanted()} <= set(asked[0])
