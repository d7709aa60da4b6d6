"The README quotes the stored results, line by line."

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
import tables  # noqa: E402

README = (ROOT / "README.md").read_text(encoding="utf-8")


QUOTED = [
    tables.accuracy,
    tables.published,
    tables.speed,
    tables.unseen,
    tables.adaptation,
    tables.peers,
]


@pytest.mark.parametrize("table", QUOTED, ids=lambda t: t.__name__)
def test_the_readme_quotes_the_results(table):
    for line in table().strip().split("\n"):
        assert line in README


def test_every_link_into_the_repository_leads_somewhere():
    for target in re.findall(r"\]\(([^)#]+)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_the_two_commands_are_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in re.findall(r"^make (\w+)", README, flags=re.M):
        assert re.search(rf"^{command}:", makefile, flags=re.M), command


def test_what_ships_is_small_and_answers_as_it_was_trained():
    "Counted over all clips by benchmarks/encoder_bundle.py; too long for a test."
    told = tables.result("encoder_bundle")
    assert told["megabytes"] <= 12
    assert told["agreement_with_keras"]["same_answer"] >= 0.995
