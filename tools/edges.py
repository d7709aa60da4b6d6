"""Run tests where only what the service needs is installed, at one edge of what settings.ini allows.

python tools/edges.py lowest|newest [--python 3.13] [--workshop] [tests/test_audio.py ...]

Each requirement is taken in its lowest, or its newest, version that settings.ini allows; what the tests themselves need is the
newest. If no tests are named, it is the light ones: those that need neither the workshop nor a browser. With --workshop the
extras `train` and `scale` are installed too, and the tests are those of corpora, splits and figures. The environment is made
anew each time, as .venv-<edge>. `uv` does it, and finds the Python by its number or by its path.
"""

import argparse
import os
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = (sys.executable, "-m", "uv")
HOW = {"lowest": "lowest-direct", "newest": "highest"}
LIGHT = """adaptation_serving api audio augmentation bundle cli engine golden light page_texts page_views recording scale
service timeline webapp""".split()
WORKSHOP = "corpora evaluation fetch scale splits".split()
TOOLS = ("pytest", "hypothesis", "psutil", "jsonschema", "pyyaml")


def bounds(*names: str) -> dict:
    "By name the lines of settings.ini's lists."
    parser = ConfigParser(delimiters=["="])
    parser.read(ROOT / "settings.ini", encoding="utf-8")
    lists = [parser["DEFAULT"][name].splitlines() for name in names]
    return {
        line.strip().split(">")[0].split("=")[0]: line.strip()
        for lines in lists
        for line in lines
        if line.strip()
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("edge", choices=HOW)
    parser.add_argument("--python", default=f"{sys.version_info.major}.{sys.version_info.minor}")
    parser.add_argument("--workshop", action="store_true")
    parser.add_argument("tests", nargs="*")
    told = parser.parse_intermixed_args()
    tests = told.tests or [f"tests/test_{name}.py" for name in (WORKSHOP if told.workshop else LIGHT)]
    made = ROOT / f".venv-{told.edge}"
    python = made / ("Scripts" if os.name == "nt" else "bin") / "python"

    def run(*command, **kw):
        return subprocess.run([*map(str, command)], cwd=ROOT, **kw)

    tools = bounds("dev_requirements")
    pip = (*UV, "pip", "install", "-q", "--python", python)
    run(*UV, "venv", "-q", "--clear", "--python", told.python, made, check=True)
    run(*pip, *(tools[name] for name in TOOLS), check=True)
    run(*pip, "--resolution", HOW[told.edge], "-e", ".[train,scale]" if told.workshop else ".", check=True)
    kept = [
        re.sub(r"\[.*", "", name)
        for name in bounds("requirements", "train_requirements", "scale_requirements")
    ]
    listed = run(*UV, "pip", "freeze", "--python", python, capture_output=True, text=True, check=True).stdout
    print(
        "With",
        *(line for line in listed.splitlines() if line.split("==")[0].lower() in kept),
        flush=True,
    )
    return run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests).returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as e:
        sys.exit(e.returncode)  # what went wrong was said
