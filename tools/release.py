"""The version stands in settings.ini; this carries it into CITATION.cff, or says what a release still lacks.

python tools/release.py                  writes
python tools/release.py --check v0.1.0   exit 1 and a line per finding; the tag may be left out
"""

import re
import sys
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def version(root: Path) -> str:
    parser = ConfigParser(delimiters=["="])
    parser.read(root / "settings.ini", encoding="utf-8")
    return parser["DEFAULT"]["version"]


def findings(root: Path, tag: str | None = None):
    "What is not in step with the version, as sentences; with a tag, what a release lacks too."
    wanted = version(root)
    cited = re.search(r"^version: (.*)$", (root / "CITATION.cff").read_text("utf-8"), flags=re.M)[1]
    if cited != wanted:
        yield f"CITATION.cff says {cited}, settings.ini {wanted}: run python tools/release.py."
    module = (root / "ser_nbdev" / "__init__.py").read_text("utf-8")
    if f'"{wanted}"' not in module:
        yield f"ser_nbdev/__init__.py is not {wanted}: run make export."
    title = re.search(
        rf"^## {re.escape(wanted)}\b(.*)$", (root / "CHANGELOG.md").read_text("utf-8"), flags=re.M
    )
    if not title:
        yield f"CHANGELOG.md has no section {wanted}."
    elif tag and not re.fullmatch(r", \d{4}-\d\d-\d\d", title[1]):
        yield f"CHANGELOG.md gives {wanted} no date: write ## {wanted}, and the day as 2026-12-31."
    if tag and tag != f"v{wanted}":
        yield f"The tag is {tag}, settings.ini says {wanted}."


def write(root: Path):
    file = root / "CITATION.cff"
    text = re.sub(r"^version: .*$", f"version: {version(root)}", file.read_text("utf-8"), flags=re.M)
    file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if "--check" not in sys.argv:
        write(ROOT)
    found = list(findings(ROOT, (sys.argv[2:] or [None])[0] if "--check" in sys.argv else None))
    print("\n".join(found) or f"All says {version(ROOT)}.")
    sys.exit(bool(found))
