"Timelines: smoothing, merging, and that every format can be read again by its own rules."

import csv
import io
import itertools
import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_nbdev.timeline import NO_SPEECH, Segment, Timeline, clock, merge, smooth

LABELS = ("angry", "happy", "sad")


def segment(start, end, emotion="happy", confidence=0.6, **more):
    rest = (1 - confidence) / 2
    p = {label: confidence if label == emotion else rest for label in LABELS}
    return Segment(start, end, emotion, confidence, p, **more)


NASTY = 'a,"b"\t<&>\n--> c'
CALL = Timeline(
    (
        segment(0, 3725.5, channel="left"),
        segment(0.25, 2, "sad", unsure=True, channel="right"),
        segment(2, 3, NO_SPEECH, channel="right"),
        Segment(3, 4.0004, NASTY, 1.0, {NASTY: 1.0}, channel="right"),
    ),
    3725.5,
)


def brute(p, keeps):
    "Posteriors by going through every path."
    n, k = p.shape
    total = np.zeros((n, k))
    for path in itertools.product(range(k), repeat=n):
        weight = p[0, path[0]]
        for i in range(1, n):
            move = keeps[i - 1] * (path[i] == path[i - 1]) + (1 - keeps[i - 1]) / k
            weight *= move * p[i, path[i]]
        for i, e in enumerate(path):
            total[i, e] += weight
    return total / total.sum(axis=1, keepdims=True)


def test_smoothing_is_the_forward_backward_algorithm():
    rng = np.random.default_rng(0)
    p, times = rng.dirichlet(np.ones(3), 6), np.cumsum(rng.uniform(0.5, 9, 6))
    expected = brute(p, np.exp(-np.diff(times) / 5.0))
    np.testing.assert_allclose(smooth(p, times, 5.0), expected, atol=1e-12)
    for i in range(6):  # without hindsight each row is that of a recording which ends there
        alone = brute(p[: i + 1], np.exp(-np.diff(times[: i + 1]) / 5.0))[-1]
        np.testing.assert_allclose(smooth(p, times, 5.0, hindsight=False)[i], alone, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 40), st.floats(0, 100), st.booleans(), st.integers(0, 2**31))
def test_smoothing_gives_probabilities_whatever_comes(n, stay, hindsight, seed):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(7, 0.05), n) if n else np.zeros((0, 7))
    p[: n // 2] = np.eye(7)[rng.integers(7, size=n // 2)]  # windows that are certain
    found = smooth(p, np.cumsum(rng.exponential(3, n)), stay, hindsight)
    assert found.shape == p.shape and np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-9)


def test_windows_far_apart_say_nothing_of_each_other():
    p = np.array([[0.9, 0.1], [0.4, 0.6]])
    np.testing.assert_allclose(smooth(p, [0, 1e6]), p, atol=1e-9)
    assert smooth(p, [0, 1])[1, 0] > 0.5


def test_merging_keeps_time_and_weighs_by_it():
    parts = [segment(0, 1, confidence=0.5), segment(1, 4, confidence=0.9, unsure=True), segment(4, 5, "sad")]
    happy, sad = merge(parts)
    assert (happy.start, happy.end, happy.unsure) == (0, 4, True) and sad == parts[2]
    assert happy.confidence == pytest.approx(0.8) and sum(happy.probabilities.values()) == pytest.approx(1)
    assert happy.confidence == pytest.approx(happy.probabilities["happy"])
    assert merge([]) == [] and merge(merge(parts)) == merge(parts)
    assert len(merge([parts[0], replace(parts[1], start=1.5)])) == 2


def test_json_is_the_fields():
    plain = json.loads(CALL.to_json())
    assert set(plain) == {"duration", "segments"} and len(plain["segments"]) == 4
    fields = {"start", "end", "emotion", "confidence", "probabilities", "unsure", "channel"}
    assert set(plain["segments"][0]) == fields and plain["segments"][3]["end"] == 4.0
    assert Timeline((), 1.0, "breaks off.").to_dict() == {
        "duration": 1.0,
        "segments": [],
        "problem": "breaks off.",
    }


def test_csv_survives_what_labels_hold():
    rows = list(csv.reader(io.StringIO(Timeline(CALL[3:], 5).to_csv())))
    assert [len(r) for r in rows] == [7, 7] and rows[1][3] == NASTY and rows[0][6] == NASTY
    rows = list(csv.DictReader(io.StringIO(Timeline(CALL[:3], 5).to_csv())))
    assert [r["channel"] for r in rows] == ["left", "right", "right"] and rows[1]["unsure"] == "1"
    assert float(rows[0]["happy"]) == pytest.approx(0.6)
    assert Timeline((), 1.0).to_csv() == "start,end,channel,emotion,confidence,unsure\n"


def test_audacity_has_three_fields_a_line():
    lines = CALL.to_audacity().splitlines()
    assert len(lines) == 4
    for line, s in zip(lines, CALL):
        start, end, label = line.split("\t")
        assert float(start) == pytest.approx(s.start, abs=1e-6) and float(end) == pytest.approx(
            s.end, abs=1e-6
        )
    assert label.startswith("right: a,")


def test_webvtt_follows_its_grammar():
    text = CALL.to_webvtt()
    head, *cues = re.split(r"\n\n", text.rstrip("\n"))
    assert head == "WEBVTT" and len(cues) == 3
    stamp = r"\d{2,}:[0-5]\d:[0-5]\d\.\d{3}"
    for cue in cues:
        times, *words = cue.split("\n")
        assert re.fullmatch(f"{stamp} --> {stamp}", times)
        assert len(words) == 1 and "-->" not in words[0]
        assert re.fullmatch(r"<v (left|right)>[^<>]*", words[0])
    assert cues[0].startswith("00:00:00.000 --> 01:02:05.500\n<v left>happy")


def test_rttm_has_ten_fields():
    lines = CALL.to_rttm("a call\twith blanks").splitlines()
    assert len(lines) == 3
    for line, channel in zip(lines, "122"):
        fields = line.split(" ")
        assert len(fields) == 10 and fields[:3] == ["SPEAKER", "a_call_with_blanks", channel]
        assert all(fields) and float(fields[4]) > 0 and 0 <= float(fields[8]) <= 1
    assert Timeline((), 1.0).to_rttm("") == ""


def test_the_svg_is_well_formed_and_escapes():
    for story in (CALL, Timeline((), 0.0), Timeline((segment(0, 1, "<b>"),), 1)):
        root = ElementTree.fromstring(story.to_svg())
        drawn = [s for s in story if s.emotion != NO_SPEECH]
        assert len(root.findall(".//{*}rect")) == len(drawn)
    assert story._repr_svg_() == story.to_svg()


def test_a_plot_has_a_panel_for_each_channel():
    pytest.importorskip("matplotlib").use("Agg")
    assert len(Timeline(CALL[:3], 3725.5).plot()) == 2 and len(Timeline((), 1.0).plot()) == 1


def test_a_timeline_is_a_sequence():
    assert len(CALL) == 4 and CALL[-1].emotion == NASTY and list(CALL)[0] is CALL[0] and CALL[0] in CALL
    assert CALL.channels() == ["left", "right"] and Timeline((), 1.0).channels() == [None]
    assert clock(3599.9996) == "1:00:00.000" and clock(0) == "0:00:00.000"
    assert str(CALL[1]) == "0:00:00.250 - 0:00:02.000  right: unsure: sad (60%)"
