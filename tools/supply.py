"""What is installed, to the letter: locks with hashes, and from them an audit, licences and a bill of materials.

python tools/supply.py lock [--upgrade]   requirements/*.txt from settings.ini; pins that still fit stay where they are
python tools/supply.py audit              asks the advisory database about every pin; needs the internet
python tools/supply.py licences           THIRD_PARTY.md: what the service installs, and under which licences
python tools/supply.py sbom FILE          CycloneDX JSON of an environment made as the image's is
"""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tempfile
from configparser import ConfigParser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"
BIN = Path(sys.executable).parent


#: Extras that CI does without: PortAudio is no Python package, openSMILE is for research only, and fuzzing is no test.
LEFT_OUT = {"listen_requirements", "bench_requirements", "fuzz_requirements"}


def settings() -> dict:
    "settings.ini, as setup.py reads it."
    parser = ConfigParser(delimiters=["="])
    parser.read(ROOT / "settings.ini", encoding="utf-8")
    return parser["DEFAULT"]


def wanted() -> dict:
    "By lock the requirements that it must meet: all that CI uses, and of that what the image runs, a build takes, and this file."
    cfg = settings()

    def lists(*names):
        return [line.strip() for name in names for line in cfg[name].splitlines() if line.strip()]

    build = re.search(r"^requires = (\[.*\])$", (ROOT / "pyproject.toml").read_text("utf-8"), flags=re.M)
    build = json.loads(build[1])
    extras = [key for key in cfg if key.endswith("_requirements") and key not in LEFT_OUT]
    supply = [line for line in lists("dev_requirements") if re.match("uv|pip-audit|cyclonedx-bom", line)]
    return {
        "ci": build + lists("requirements", *extras),
        "image": lists("requirements"),
        "build": build,
        "supply": supply,
    }


def pins(name: str) -> dict:
    "A lock as it stands: by package a list of (requirement with its marker, number of hashes), for it may differ by system."
    found = {}
    text = (LOCKS / f"{name}.txt").read_text("utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            told, *hashes = line.split("--hash=")
            pin = Requirement(told)
            found.setdefault(canonicalize_name(pin.name), []).append((pin, len(hashes)))
    return found


def lock(upgrade: bool = False):
    "Write every lock, for all systems and Python versions at once; only wheels, which need no code run to install."
    LOCKS.mkdir(exist_ok=True)
    for name, requirements in wanted().items():
        command = [BIN / "uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes", "-"]
        command += ["--python-version", settings()["min_python"], "--only-binary", ":all:"]
        command += ["--custom-compile-command", "make lock", "-o", f"requirements/{name}.txt"]
        constraints = ["constraints.in"] + ["ci.txt"] * (name != "ci")  # what ships is what was tested
        command += [part for c in constraints for part in ("-c", f"requirements/{c}")]
        command += ["--annotation-style", "line", "--no-emit-index-url", "--no-emit-find-links"]
        command += ["--upgrade"] * upgrade
        subprocess.run(
            command, cwd=ROOT, input="\n".join(requirements), text=True, check=True, stdout=subprocess.DEVNULL
        )


# How licences are told in packages' metadata, where it is not already an SPDX expression
SPDX = {
    "Apache Software License": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "MIT License": "MIT",
    "BSD License": "BSD",  # of two or three clauses; which one stands in the package
    "BSD": "BSD",
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD 3-Clause": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "Zope Public License": "ZPL-2.1",
}
# What may be installed beside code under Apache-2.0, and why where that is not plain
ALLOWED = {
    "0BSD": "",
    "Apache-2.0": "",
    "Apache-2.0 WITH LLVM-exception": "",
    "BSD": "",
    "BSD-2-Clause": "",
    "BSD-3-Clause": "",
    "CC0-1.0": "",
    "ISC": "",
    "MIT": "",
    "MIT-0": "",
    "MIT-CMU": "",
    "PSF-2.0": "",
    "Zlib": "",
    "ZPL-2.1": "permissive, with a notice",
    "MPL-2.0": "only changed files of the package itself would have to be given away; none is changed",
    "LGPL-2.1-or-later": "a library of its own that is loaded at run time and that anyone may replace",
}
# Packages that declare nothing, or are installed on another system only: read in their own files
READ = {"colorama": "BSD-3-Clause", "namex": "Apache-2.0"}
# The shared libraries that Linux wheels bring along, by folder and name; what they are under stands in no metadata
BUNDLED = {
    "av.libs": {
        "avcodec avdevice avfilter avformat avutil swresample swscale": "LGPL-3.0-or-later",
        "x264 x265": "GPL-2.0-or-later",
        "mp3lame": "LGPL-2.0-or-later",
        "gnutls": "LGPL-2.1-or-later",
        "hogweed nettle gmp unistring": "LGPL-3.0-or-later OR GPL-2.0-or-later",
        "asound": "LGPL-2.1-or-later",
        "SvtAv1Enc": "BSD-3-Clause-Clear",
        "dav1d": "BSD-2-Clause",
        "vpx webp webpmux sharpyuv opus": "BSD-3-Clause",
        "opencore-amrnb opencore-amrwb": "Apache-2.0",
        "Xau xcb xcb-shape xcb-shm xcb-xfixes drm vpl": "MIT",
    },
    "numpy.libs": {
        "scipy_openblas64_": "BSD-3-Clause",
        "gfortran": "GPL-3.0-or-later WITH GCC-exception-3.1",
        "quadmath": "LGPL-2.1-or-later",
    },
    "_soundfile_data": {"sndfile_x86_64 sndfile_arm64": "LGPL-2.1-or-later, as are mpg123 and LAME in it"},
}
HEAD = """# What the service stands on

What a base install and the image bring along, and the licences that the packages declare. Made by `make licences`;
`tests/test_supply.py` fails where one is not on the list in `tools/supply.py`, and looks at the workshop's extras too.
These are facts and no legal advice.

The code of this project is under Apache-2.0. All of this is installed beside it, and none of it is copied in here.
"""
LIBRARIES = """
Some wheels for Linux bring shared libraries of their own:
"""
NOTE = """
Of these, x264 and x265 are video encoders under the GPL. Nothing here calls them, but they come with PyAV: whoever passes on
an image passes them on too, and has to offer their sources as the GPL asks. "Version 2 or later" may be taken as version 3,
beside which code under Apache-2.0 may stand. Whoever wants none of it builds PyAV from source without them.
"""


def licence(name: str) -> str:
    "What an installed package declares, as SPDX where it can be told; empty if it says nothing that is understood."
    if name in READ:
        return READ[name]
    told = importlib.metadata.distribution(name).metadata
    if told["License-Expression"]:
        return told["License-Expression"]
    classifiers = [
        c.rpartition(" :: ")[2] for c in told.get_all("Classifier") or [] if c.startswith("License")
    ]
    plain = (told["License"] or "").strip()
    options = [SPDX.get(told, told) for told in (plain, *classifiers)]
    return next((option for option in options if not unknown(option)), "")


def unknown(expression: str) -> list:
    "The parts of a licence expression that are not allowed; of alternatives one that is allowed suffices."
    if " OR " in expression:
        return min((unknown(part) for part in expression.strip("()").split(" OR ")), key=len)
    return [part for part in re.split(r" AND ", expression.strip("()")) if part.strip("()") not in ALLOWED]


def licences() -> str:
    "THIRD_PARTY.md, from the image's lock and the metadata of the packages as they are installed here."

    def table(*lines):
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)

    rows = []
    for name, found in pins("image").items():
        told = licence(name)
        reasons = {ALLOWED[part] for part in re.split(" AND | OR ", told) if ALLOWED.get(part)}
        versions = ", ".join(str(pin.specifier).removeprefix("==") for pin, _ in found)
        rows.append([name, versions, told, "; ".join(sorted(reasons))])
    libraries = [
        [folder.removesuffix(".libs"), names, told]
        for folder, inside in BUNDLED.items()
        for names, told in inside.items()
    ]
    text = HEAD + "\n" + table(["package", "version", "licence", "why it may be here"], ["---"] * 4, *rows)
    return text + LIBRARIES + "\n" + table(["in", "libraries", "licence"], ["---"] * 3, *libraries) + NOTE


def bill(python: str | Path, target: str | Path):
    "A bill of materials in `target` of what is installed for `python`, as that on which this project stands; checked against its schema."
    cfg = settings()
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "pyproject.toml")
        project.write_text(
            f"[project]\nname = {json.dumps(cfg['lib_name'])}\nversion = {json.dumps(cfg['version'])}\n"
            f"description = {json.dumps(cfg['description'])}\nlicense = 'Apache-2.0'\n"
            f"dependencies = {json.dumps(wanted()['image'])}\n",
            encoding="utf-8",
        )
        command = [BIN / "cyclonedx-py", "environment", "--pyproject", project, "--mc-type", "application"]
        command += ["--output-reproducible", "--validate", "--of", "JSON", "-o", target, python]
        subprocess.run(command, check=True)


def sbom(target: str):
    "The bill of materials of the image: its lock, installed into an environment of its own."
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "made")
        python = made / ("Scripts" if os.name == "nt" else "bin") / "python"
        subprocess.run([BIN / "uv", "venv", "-q", "--python", sys.executable, made], check=True)
        install = [BIN / "uv", "pip", "install", "-q", "--python", python, "--require-hashes"]
        subprocess.run([*install, "-r", LOCKS / "image.txt"], check=True)
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        bill(python, target)


def audit() -> int:
    "0 if the advisory database knows nothing against any pin; a pin that it could not be asked about counts as a finding."
    files = [part for name in wanted() for part in ("-r", LOCKS / f"{name}.txt")]
    return subprocess.run(
        [BIN / "pip-audit", "--strict", "--disable-pip", "--require-hashes", *files]
    ).returncode


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["lock", *rest]:
            lock("--upgrade" in rest)
        case ["licences"]:
            (ROOT / "THIRD_PARTY.md").write_text(licences(), encoding="utf-8")
        case ["sbom", target]:
            sbom(target)
        case ["audit"]:
            sys.exit(audit())
        case _:
            sys.exit(__doc__)
