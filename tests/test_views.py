"What a notebook shows of a prediction and of a corpus table: plain HTML, complete, and safe whatever the names are."

import subprocess
import sys

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from ser_nbdev import corpora
from ser_nbdev.emotions import COLORS, EMOTIONS
from ser_nbdev.serving import NO_SPEECH, Prediction
from ser_nbdev.timeline import Segment, Timeline

SHARES = dict(zip(EMOTIONS, (0.02, 0.01, 0.08, 0.6, 0.2, 0.06, 0.03)))
NASTY = "<script>alert(1)</script>\" onmouseover='x"


def shown(thing):
    return BeautifulSoup(thing._repr_html_(), "html.parser")


def heard(**more):
    return Prediction(**dict(emotion="happy", confidence=0.6, probabilities=SHARES, duration=2.04) | more)


def widths(page):
    "Label -> width in percent, out of the bars."
    parts = {part["title"].partition(":")[0]: part["style"] for part in page.select("i[title]")}
    return {label: float(style.split("width:")[1].split("%")[0]) for label, style in parts.items()}


def test_a_prediction_shows_every_probability_in_the_colours_of_a_timeline():
    page = shown(heard())
    assert page.b.get_text() == "happy" and COLORS["happy"] in page.b["style"]
    assert "60%" in page.get_text() and "2.0 s" in page.get_text() and "unsure" not in page.get_text()
    assert widths(page) == pytest.approx({label: 100 * p for label, p in SHARES.items()})
    for part in page.select("i[title]"):
        assert COLORS[part["title"].partition(":")[0]] in part["style"]
    line = Timeline((Segment(0, 2, "happy", 0.6, SHARES), Segment(2, 4, "smug", 1.0, {"smug": 1.0})), 4.0)
    assert COLORS["happy"] in line.to_svg()
    other = shown(heard(emotion="smug", probabilities={"smug": 1.0})).b["style"].partition("color:")[2]
    assert f'fill="{other}"' in line.to_svg()


def test_what_is_unsure_is_said_and_pale():
    sure, unsure = shown(heard()), shown(heard(unsure=True))
    assert "unsure: happy" in unsure.get_text()
    assert "opacity:0.3" in str(unsure) and "opacity:0.3" not in str(sure)


def test_no_speech_is_said_and_has_no_bars():
    page = shown(heard(emotion=NO_SPEECH, confidence=0.93))
    assert NO_SPEECH in page.get_text() and "93%" in page.get_text() and not widths(page)


def test_a_label_is_text_whatever_it_is():
    page = shown(heard(emotion=NASTY, probabilities={NASTY: 1.0}))
    assert page.b.get_text() == NASTY and page.script is None
    assert not [tag for tag in page.find_all() if set(tag.attrs) - {"style", "title", "aria-hidden"}]
    table = pd.DataFrame({key: [NASTY] for key in corpora.COLUMNS})
    page = shown(corpora.overview(table))
    assert page.get_text().count(NASTY) >= 3 and page.script is None


def test_showing_a_prediction_takes_nothing_heavy():
    code = (
        "import sys; from ser_nbdev.serving import Prediction\n"
        "Prediction('sad', 1.0, {'sad': 1.0}, 1.0)._repr_html_()\n"
        "print([m for m in ('matplotlib', 'pandas', 'IPython', 'ipywidgets') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.stdout == "[]\n", run.stdout + run.stderr


def rows(*clips):
    "A corpus table of (corpus, speaker, gender, emotion)."
    keys = ["corpus", "speaker", "gender", "emotion"]
    made = pd.DataFrame(clips, columns=keys).assign(path="x.wav", text=None, intensity=None)
    return made[corpora.COLUMNS]


def test_a_corpus_table_is_counted_by_corpus_emotion_and_speaker():
    table = rows(
        *[("two", "two-a", "female", "sad")] * 30,
        *[("two", "two-b", None, "happy")] * 10,
        *[("one", "one-a", "male", "sad")] * 10,
    )
    view = corpora.overview(table)
    assert view.counts.clips.sum() == 50
    assert str(view).splitlines()[1].split() == "one 10 clips, 1 speaker (1 male)".split()
    page = shown(view)
    assert "50 clips, 3 speakers (1 female, 1 unknown, 1 male)" in page.get_text()
    by_corpus, by_emotion, *by_speaker = page.select("div > div, details > div")
    names = [
        [span.get_text() for span in grid.find_all("span", recursive=False)]
        for grid in page.select("div div")
    ]
    assert names[0] == ["two", "", "40", "one", "", "10"]
    assert names[1] == ["happy", "", "10", "sad", "", "40"]
    assert names[2] == ["two-a", "", "30", "two-b", "", "10"]
    assert widths(by_corpus)["sad"] == 25  # the last: ten of forty, beside a bar that is full
    assert widths(by_emotion) == {"happy": 25, "sad": 100}
    assert all("open" in fold.attrs for fold in page.select("details"))


def test_many_speakers_are_folded():
    table = rows(*[("crowd", f"crowd-{i:02}", "female", "fear") for i in range(40)])
    page = shown(corpora.overview(table))
    assert [fold.get("open") for fold in page.select("details")] == [None]
    assert "crowd-39" in page.details.get_text()


def test_a_table_that_lacks_something_is_refused_with_a_sentence():
    with pytest.raises(corpora.CorpusError, match="this one lacks gender"):
        corpora.overview(rows(("a", "b", "male", "sad")).drop(columns="gender"))
    with pytest.raises(corpora.CorpusError, match="has no clips"):
        corpora.overview(rows())
