"""Every word of the page stands in one file: nothing is missing there, and nothing is left over."""

import json
import re
from pathlib import Path

HERE = Path(__file__).resolve().parents[1] / "webapp"
TEXTS = json.loads((HERE / "static/texts.json").read_text(encoding="utf-8"))
FORMS = {"zero", "one", "other"}  # of one text, for different numbers
SOURCES = {
    p.name: p.read_text(encoding="utf-8") for p in [*HERE.glob("templates/*"), *HERE.glob("static/*.js")]
}


def names(texts, before=""):
    "The path of every text: `clip.title`."
    for key, value in texts.items():
        if isinstance(value, dict) and not FORMS >= set(value):
            yield from names(value, f"{before}{key}.")
        else:
            yield before + key


def used():
    found = set()
    for source in SOURCES.values():
        found |= {n.removesuffix(".format") for n in re.findall(r"(?:\bt|\bTEXTS)\.(\w+(?:\.\w+)*)", source)}
    return found


def test_every_text_that_is_used_is_there():
    there, asked = set(names(TEXTS)), used()
    groups = {".".join(name.split(".")[:n]) for name in there for n in (1, 2)}
    assert asked, "no use of a text was found: the pattern is wrong"
    assert not {u for u in asked if u not in there | groups and u.rpartition(".")[0] not in there}


def test_every_text_is_used():
    asked = used()
    dynamic = re.findall(r"why = \{([^}]*)\}", SOURCES["record.js"])[0]  # the causes that a microphone gives
    asked |= {f"record.{name}" for name in re.findall(r'"(\w+)"', dynamic)} | {"record.busy"}
    spare = {n for n in names(TEXTS) if n not in asked and n.rpartition(".")[0] not in asked}
    assert not spare


def test_no_text_hides_behind_a_method_of_a_dict():
    "In a template `t.list.clear` is the method and not the text."
    assert not [n for n in names(TEXTS) if set(n.split(".")) & set(dir(dict))]


def test_no_words_stand_elsewhere():
    for name, source in SOURCES.items():
        if name.endswith(".html"):
            bare = re.sub(
                r"\{[{%#].*?[}%#]\}|<[^>]*>|ser_nbdev",
                " ",
                re.sub(r"\{[%#].*?[%#]\}", " ", source, flags=re.S),
                flags=re.S,
            )
            assert not re.findall(r"[A-Za-z]{2,}", bare), (name, re.findall(r"[A-Za-z]{2,}", bare))
        for attribute in re.findall(r'(?:aria-label|title|placeholder|alt)="([^"{]+)"', source):
            raise AssertionError((name, attribute))


def test_the_scripts_write_text_and_no_markup():
    for name, source in SOURCES.items():
        if name.endswith(".js"):
            source = source.replace("http://www.w3.org/2000/svg", "")
            assert not re.search(
                r"(inner|outer)HTML|insertAdjacentHTML|document\.write|\beval\(|https?:", source
            ), name
