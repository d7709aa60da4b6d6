"""What the page makes of an answer, apart from any browser."""

import html
import io
import json
import re
from types import SimpleNamespace

import pytest
from page_stub import SHARES, Acted, Stub, Two, segment

from ser_nbdev import serving
from ser_nbdev.webapp import create_app, views

SAMPLE = serving.samples()[0].read_bytes()
EVEN = dict.fromkeys(SHARES, 0.1) | {"sad": 0.4}


class Parts(Acted):
    "Hears the parts that it is told: from, to, and the probabilities, or None for no speech."

    def __init__(self, *parts, **answer):
        super().__init__(**answer)
        self.parts = parts

    def timeline(self, source, *, max_seconds=None):
        whole = self.predict(source, max_seconds=max_seconds)
        for start, end, shares in self.parts:
            heard = SimpleNamespace(probabilities=shares or SHARES, duration=whole.duration)
            best = max(shares, key=shares.get) if shares else serving.NO_SPEECH
            yield segment(heard, start, end, best, max(shares.values()) if shares else 1.0, False)


def page(recognizer, **form):
    client = create_app(recognizer).test_client()
    return client.post("/", data={"file": (io.BytesIO(SAMPLE), "clip"), **form})


def said(reply):
    "The answer that the page hands to its scripts."
    return json.loads(html.unescape(re.search(r'data-answer="([^"]*)"', reply.text)[1]))


def test_one_part_is_what_the_model_says_of_the_whole():
    answer = said(page(Parts((0, 0.9, EVEN), (0.9, 1, None))))
    assert answer["emotion"] == "happy" and answer["probabilities"] == SHARES and answer["known"] == 0


def test_several_parts_are_averaged_by_their_duration():
    reply = page(Parts((0, 0.1, SHARES), (0.1, 0.2, None), (0.2, 1, EVEN)))
    answer = said(reply)
    mean = {label: (0.1 * SHARES[label] + 0.8 * EVEN[label]) / 0.9 for label in SHARES}
    assert answer["emotion"] == "sad" and answer["probabilities"] == pytest.approx(mean)
    assert answer["confidence"] == pytest.approx(mean["sad"]) and answer["unsure"] is True
    assert "sounds mostly" in reply.text and "its parts, below, say more" in reply.text


def test_where_somebody_speaks_now_and_then_the_page_says_how():
    answer = said(page(Parts((0, 0.8, None), (0.8, 1, SHARES), emotion=serving.NO_SPEECH, confidence=0.9)))
    assert answer["emotion"] == "happy"
    answer = said(page(Parts((0, 1, None), emotion=serving.NO_SPEECH, confidence=0.9)))
    assert answer["emotion"] == serving.NO_SPEECH


def test_a_confidence_just_below_the_threshold_is_told_apart_from_it():
    shares = dict.fromkeys(SHARES, 0.504 / 6) | {"sad": 0.496}
    assert "49.6\xa0% is less than the 50\xa0%" in page(Acted(shares, unsure=True)).text


def test_the_page_judges_by_a_voice_that_is_sent_along():
    reply = page(Acted(), adaptation=json.dumps({"model": "acted", "scores": [], "clips": 3}))
    assert said(reply)["emotion"] == "fear" and "knows this voice from 3 clips" in reply.text
    reply = page(Acted(), adaptation="{")
    assert reply.status_code == 400 and 'id="error" role="alert">The adaptation' in reply.text


def test_the_list_of_parts():
    rows = re.findall(r'data-say="(0:[^"]*)"', page(Two()).text)
    assert rows[0] == "0:00.0 to 0:00.7: happy, 80 %" and len(rows) == 3
    assert '<details class="segments" hidden>' in page(Stub()).text  # one part is no list


def test_the_model_that_cannot_adapt_is_not_asked_to():
    client = create_app(Stub()).test_client()
    assert 'id="voice"' not in client.get("/").text
    assert 'id="voice"' in create_app(Acted()).test_client().get("/").text


def test_the_words_for_scripts_are_those_for_templates():
    client = create_app(Stub()).test_client()
    reply = client.get("/texts.js")
    assert reply.mimetype == "text/javascript"
    assert json.loads(reply.text.removeprefix("export default ").rstrip(";\n")) == views.TEXTS
    again = client.get("/texts.js", headers={"If-None-Match": reply.headers["ETag"]})
    assert again.status_code == 304


def test_every_label_has_a_word_and_a_colour():
    css = create_app(Stub()).test_client().get("/emotions.css").text
    for label in serving.Bundle().labels:
        assert label in views.TEXTS["emotions"] and css.count(f".e-{label} ") == 2


@pytest.mark.parametrize(
    "seconds, coarse, fine",
    [
        (0, "0:00", "0:00.0"),
        (7.96, "0:07", "0:08.0"),
        (61.25, "1:01", "1:01.3"),
        (3723.1, "1:02:03", "1:02:03.1"),
    ],
)
def test_times(seconds, coarse, fine):
    assert views.clock(seconds) == coarse and views.clock(seconds, True) == fine


def test_the_fonts_are_there_with_their_licence():
    client = create_app(Stub()).test_client()
    css = client.get("/static/page.css").text
    fonts = re.findall(r'url\("([^"]+)"\)', css)
    assert len(fonts) == 2
    for font in fonts:
        assert client.get(f"/static/{font}").data[:4] == b"wOF2"
        assert font in client.get("/static/fonts-licence.txt").text
