"The README's tables, written from the stored results; a test checks that the README quotes these very lines."

import json
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
NAMES = {
    "random": "random: both actresses and every word on both sides",
    "word": "word: words never heard, both actresses known",
    "speaker": "speaker: an actress never heard, TESS alone",
}


def result(name: str) -> dict:
    "A stored result by name."
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def share(figure: dict, key: str = "uar") -> str:
    "A figure with its 95 % interval, in percent."
    low, high = figure["intervals"][key]
    return f"{figure[key]:.1%} ({low:.1%}-{high:.1%})".replace("%-", "-").replace("%", " %")
