"Recordings and streams: the same answers however the sound comes, in little memory, and a sentence for what is no good."

import io
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st
from test_light import HEAVY

from ser_nbdev import audio, recording, serving
from ser_nbdev.augmentation import not_speech
from ser_nbdev.recording import GAP, Gate, RecordingError, Walk
from ser_nbdev.serving import Heard, Prediction, Recognizer
from ser_nbdev.timeline import NO_SPEECH, merge

RATE = 16_000
SAMPLES = serving.samples()
SER = [sys.executable, "-c", "import sys; from ser_nbdev.cli import main; sys.exit(main())"]


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer()


@pytest.fixture(scope="module")
def speech():
    "The samples with pauses of several lengths, half a minute of them."
    rng, parts = np.random.default_rng(0), []
    for i, path in enumerate(SAMPLES * 4):
        parts += [audio.load(path), np.zeros(round(RATE * (0.1, 0.4, 0.9, 2.5)[i % 4]), np.float32)]
    x = np.concatenate(parts)
    return x + rng.normal(0, 1e-4, len(x)).astype(np.float32)


def bursts(seed, seconds):
    "Something loud now and then, each sample like no other."
    rng, parts, n = np.random.default_rng(seed), [], 0
    while n < seconds * RATE:
        loud, pause = rng.exponential(2.5), rng.exponential(0.7)
        for length, level in ((loud, 0.1), (pause, 1e-4)):
            parts.append(rng.normal(0, level, round(length * RATE)))
            n += len(parts[-1])
    return np.concatenate(parts)[: round(seconds * RATE)].astype(np.float32)


def syllables(seconds, seed=0):
    "Loud for a quarter of a second, soft for a tenth, and so on."
    x = np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE))
    x[np.arange(len(x)) % (RATE * 35 // 100) >= RATE // 4] *= 1e-3
    return x.astype(np.float32)


class Mock:
    "A recognizer that hears nothing but how loud it is."

    labels = ("loud", "soft")
    bundle = SimpleNamespace(adaptation=None, threshold=0.0, speech=0.0)

    def __init__(self):
        self.heard = []

    def overhear(self, clip, before=None):
        self.heard.append(clip)
        return Heard(np.array([float(np.mean(np.abs(clip)) * 5)]), None, len(clip) / RATE)

    def answer(self, heard):
        p = min(max(float(heard.scores[0]), 0.01), 0.99)
        return Prediction(
            "loud" if p > 0.5 else "soft", max(p, 1 - p), {"loud": p, "soft": 1 - p}, heard.duration
        )


def chunks(x, sizes):
    i = 0
    for n in itertools.cycle(sizes):
        if i >= len(x):
            return
        yield x[i : i + n]
        i += n


# ---- the walk


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**31),
    st.floats(0.05, 30),
    st.floats(0.5, 9),
    st.floats(0.2, 1),
    st.lists(st.integers(1, 60_000), min_size=1, max_size=6),
)
def test_pieces_are_the_same_for_any_chunks_and_cover_everything(seed, seconds, window, overlap, sizes):
    x, hop, told = bursts(seed, seconds), max(0.1, window * overlap), []
    for parts in ([x], chunks(x, [320]) if sizes[0] % 2 else chunks(x, sizes)):
        where = []

        def hear(clip, before):
            assert 0.1 * RATE <= len(clip) <= round(window * RATE)
            place = np.flatnonzero(x == clip[0])  # each sample is like no other
            assert len(place) >= 1 and any(np.array_equal(x[p : p + len(clip)], clip) for p in place)
            where.append((len(clip), clip.tobytes()))
            return len(where)

        walk = Walk(hear, window, hop)
        pieces = [p for part in parts for p in walk.feed(part)] + walk.finish()
        told.append(([(p.start, p.end, p.heard, p.same) for p in pieces], where))
    assert told[0] == told[1]
    edges = [(p.start, p.end) for p in pieces]
    assert edges[0][0] == 0 and edges[-1][1] == len(x) and all(a < b for a, b in edges)
    assert all(a[1] == b[0] for a, b in zip(edges, edges[1:]))


def test_a_window_is_heard_once_and_no_silence_with_it():
    x = np.zeros(20 * RATE, np.float32)
    x[3 * RATE : 9 * RATE] = syllables(6)
    heard = []
    walk = Walk(lambda clip, before: heard.append(len(clip) / RATE) or len(heard), 4.0, 4.0)
    pieces = walk.feed(x) + walk.finish()
    spoken = [p for p in pieces if p.heard]
    assert len(heard) == 2 and 6.0 <= sum(p.end - p.start for p in spoken) / RATE <= 6.4
    assert spoken[0].start == pytest.approx(2.9 * RATE, abs=400) and heard[0] == 4.0
    assert [p.heard for p in pieces if p.end <= spoken[0].start] == [None] * (pieces.index(spoken[0]))


def test_noise_without_end_is_no_speech_and_speech_in_it_is_found():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.01, 30 * RATE).astype(np.float32)
    loud = Gate()(noise)
    assert loud[: Gate.learning].any() and not loud[Gate.learning :].any()
    clip = audio.load(SAMPLES[0])
    noise[20 * RATE : 20 * RATE + len(clip)] += clip / np.abs(clip).max() * 0.3
    found = np.flatnonzero(Gate()(noise)[100:]) + 100
    assert 990 < found.min() and found.max() < 1000 + len(clip) / 320 + 5 and len(found) > 20


def test_a_click_is_no_speech():
    x = np.zeros(5 * RATE, np.float32)
    x[2 * RATE : 2 * RATE + 1200] = np.random.default_rng(0).normal(0, 0.3, 1200)
    walk = Walk(lambda clip, before: pytest.fail("it was heard"), 4.0, 4.0)
    assert {p.heard for p in walk.feed(x) + walk.finish()} == {None}


@pytest.mark.parametrize("window, hop", [(0.4, 0.4), (61, 1), (4, 0.05), (4, 5), (float("nan"), 1), (-1, -1)])
def test_windows_that_cannot_be_are_refused(window, hop):
    with pytest.raises(RecordingError, match="take 0.5 to 60 s"):
        recording.timeline(Mock(), np.ones(RATE), RATE, window=window, hop=hop)


# ---- a stream and a timeline


@pytest.mark.parametrize("hindsight", [True, False])
def test_a_voice_of_one_window_is_answered_as_a_clip_is(recognizer, hindsight):
    for path in SAMPLES[:3]:
        clip = audio.load(path)[: 3 * RATE]
        known = recognizer.timeline(clip, RATE, hindsight=hindsight)
        assert known.to_dict() == recognizer.timeline(clip, RATE, hindsight=hindsight, adapt=False).to_dict()
        spoken = {s.emotion for s in known if s.emotion != NO_SPEECH}
        assert spoken == {recognizer.predict(clip, RATE).emotion}


@pytest.mark.parametrize("adapt", [False, True])
@pytest.mark.parametrize("name", ["speech-encoder", "tess-lstm"])
def test_a_stream_says_what_the_timeline_says(speech, name, adapt):
    recognizer, rng = Recognizer(name), np.random.default_rng(1)
    expected = recognizer.timeline(speech, RATE, hindsight=False, adapt=adapt)
    for sizes in ([160], rng.integers(1, 20_000, 9).tolist(), [len(speech)]):
        stream, live = recognizer.stream(RATE, adapt=adapt), []
        for chunk in chunks(speech, sizes):
            live += stream.feed(chunk)
        live += stream.finish()
        assert tuple(merge(live)) == expected.segments
    assert len(expected) > 3 and any(s.emotion != NO_SPEECH for s in expected)


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from([8_000, 16_000, 22_050, 44_100, 48_000]),
    st.lists(st.integers(1, 30_000), min_size=1, max_size=5),
    st.integers(0, 2**31),
)
def test_any_rate_and_any_chunks(rate, sizes, seed):
    x = (audio.resample(bursts(seed, 6.0), RATE, rate).clip(-1, 1) * 32767).astype(np.int16)
    expected = recording.timeline(Mock(), x, rate, hindsight=False).segments
    for feed in (x, x.tobytes()):
        stream, live = recording.Stream(Mock(), rate), []
        for chunk in chunks(feed, sizes):
            live += stream.feed(chunk)
        assert tuple(merge(live + stream.finish())) == expected


def test_an_answer_comes_when_its_window_is_over(recognizer, speech):
    stream = recognizer.stream(RATE)
    for chunk in chunks(speech, [320]):
        for s in stream.feed(chunk):
            if s.emotion != NO_SPEECH:
                assert 0 <= stream.seconds - s.end <= 0.25 and s.end - s.start < stream.delay
            assert stream.seconds - s.start <= stream.delay + 0.1


def test_chunks_of_other_kinds_and_bad_ones(recognizer):
    x = (audio.load(SAMPLES[0]) * 32767).astype(np.int16)
    whole = recognizer.timeline(x, RATE, hindsight=False).segments

    def told(*some):
        stream = recognizer.stream(RATE)
        live = [s for chunk in some for s in stream.feed(chunk)]
        return tuple(merge(live + stream.finish()))

    stereo = np.stack([x, x], axis=1)
    for some in (
        [x],
        [stereo],
        [x / 32768],
        [memoryview(x.tobytes())],
        [b"", x.tobytes()[:7], x.tobytes()[7:], b"\0"],
    ):
        assert told(*some) == whole
    stream = recognizer.stream(RATE)
    for bad, error in (
        ([0.5, float("nan")], audio.NotFinite),
        (np.zeros((2, 3, 4)), audio.BadArray),
        (np.zeros(8, np.int64), audio.BadArray),
        ("words", audio.BadArray),
    ):
        with pytest.raises(error):
            stream.feed(bad)
    assert tuple(merge(stream.feed(x) + stream.finish())) == whole  # as if nothing had been
    with pytest.raises(RecordingError, match="open another"):
        stream.feed(x)
    assert stream.finish() == [] and recognizer.stream(8000).finish() == []
    for rate in (0, 16, "fast", None):
        with pytest.raises(audio.BadRate):
            recognizer.stream(rate)


# ---- voices


def test_the_voice_becomes_known(recognizer, speech):
    windows = []
    walk = Walk(lambda clip, before: windows.append(recognizer.listen(clip)) or windows[-1], 4.0, 4.0)
    pieces = walk.feed(speech) + walk.finish()
    knows = recognizer.adapt(windows)
    assert knows.known_by == len([w for w in windows if w.speech >= recognizer.bundle.speech]) > 5
    told = recognizer.timeline(speech, RATE, stay=0)
    for p in (p for p in pieces if p.heard):
        answer, now = knows.answer(p.heard), (p.start + p.end) / 2 / RATE
        (segment,) = [s for s in told if s.start <= now < s.end]
        assert segment.emotion == answer.emotion
    stranger = recognizer.timeline(speech, RATE, stay=0, adapt=False)
    assert stranger != told and recognizer.known_by == 0


def test_two_channels_are_two_speakers(recognizer, speech):
    left, right = speech, np.roll(speech[::-1], 7 * RATE)
    story = recognizer.timeline(np.stack([left, right], axis=1), RATE)
    assert story.channels() == ["left", "right"]
    for name, x in (("left", left), ("right", right)):
        own = [s.to_dict() | {"channel": None} for s in story if s.channel == name]
        assert own == [s.to_dict() for s in recognizer.timeline(x, RATE)]
    mixed = recognizer.timeline(np.stack([left, right], axis=1), RATE, stereo=False)
    assert mixed.channels() == [None] and mixed.duration == story.duration


def test_the_same_sound_twice_is_one_speaker(recognizer, speech, tmp_path):
    alone = recognizer.timeline(speech, RATE)
    assert recognizer.timeline(np.stack([speech, speech], axis=1), RATE) == alone
    noise = np.random.default_rng(0).normal(0, 1e-5, len(speech))
    twice = recognizer.timeline(np.stack([speech, speech + noise], axis=1), RATE)
    assert twice.channels() == [None]
    at = lambda story, t: next(s.emotion for s in story if s.start <= t < s.end)  # noqa: E731
    same = [at(twice, t) == at(alone, t) for t in np.arange(0, alone.duration, 0.1)]
    assert np.mean(same) > 0.9  # where two emotions are equally likely, the noise decides
    later = np.stack([speech, speech], axis=1)
    later[20 * RATE :, 1] = 0  # they part after twenty seconds
    sf.write(tmp_path / "call.wav", later, RATE, "FLOAT")
    story = recognizer.timeline(tmp_path / "call.wav")
    assert story.channels() == ["left", "right"]
    ends = {name: max(s.end for s in story if s.channel == name) for name in story.channels()}
    assert set(ends.values()) == {story.duration}
    six = np.tile(speech[:, None], 6)
    assert recognizer.timeline(six, RATE).channels() == [None]


@pytest.mark.parametrize("name", ["speech-encoder", "tess-lstm"])
def test_music_and_tones_are_no_speech(name):
    rng, clip = np.random.default_rng(0), audio.load(SAMPLES[0])
    for kind in ("chords", "ring tone", "drums"):
        sound = not_speech(kind, rng, 9.0)
        x = np.concatenate([sound / np.abs(sound).max() * 0.3, np.zeros(2 * RATE), np.tile(clip, 3)])
        story = Recognizer(name).timeline(x.astype(np.float32), RATE)
        wrong = sum(min(s.end, 9) - s.start for s in story if s.emotion != NO_SPEECH and s.start < 9)
        assert wrong == 0, (kind, str(story))
        assert story[-1].emotion != NO_SPEECH and story[-1].end == story.duration


# ---- long ones


def quiet_hour(path, minutes):
    with sf.SoundFile(path, "w", RATE, 1, format="FLAC") as f:
        for i in range(minutes):
            f.write(bursts(i % 3, 60.0))


def test_memory_does_not_grow_with_the_length(tmp_path):
    peaks = {}
    for minutes in (1, 15):  # longer than what `predict` takes
        quiet_hour(tmp_path / "a.flac", minutes)
        mock = Mock()
        mock.overhear = lambda clip, before=None: Heard(np.array([0.4]), None, len(clip) / RATE)
        tracemalloc.start()
        story = recording.timeline(mock, tmp_path / "a.flac")
        peaks[minutes] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert story.duration == minutes * 60
    assert peaks[15] < peaks[1] * 1.1 + 1e6, peaks  # the second of them are scores and segments


def test_progress_and_a_limit(tmp_path):
    quiet_hour(tmp_path / "a.flac", 1)
    seen = []
    recording.timeline(Mock(), tmp_path / "a.flac", progress=lambda *at: seen.append(at), max_seconds=60)
    assert seen[-1] == (60.0, 60.0) and [s for s, _ in seen] == sorted(s for s, _ in seen) and len(seen) > 2
    with pytest.raises(audio.TooLong, match="longer than 59 s"):
        recording.timeline(Mock(), tmp_path / "a.flac", max_seconds=59)


# ---- what is no good


def file_of(x, **how):
    file = io.BytesIO()
    sf.write(file, x, RATE, **how)
    return file.getvalue()


@pytest.mark.parametrize("format", ["WAV", "FLAC", "MP3"])
def test_what_breaks_off_is_told_as_far_as_it_goes(recognizer, speech, format):
    data = file_of(speech, format=format)
    part = recognizer.timeline(data[: len(data) // 2], adapt=False, stay=0)
    assert 0.35 < part.duration / (len(speech) / RATE) < 0.65
    assert part[-1].end == part.duration
    if format != "MP3":  # without a header that says more
        assert "of the 44.3 s that it announces" in part.problem and part.problem.endswith(".")
        assert part.to_dict()["problem"] == part.problem
    whole = recognizer.timeline(data, adapt=False, stay=0)
    assert whole.problem is None and "problem" not in whole.to_dict()
    if format == "FLAC":
        n = [s for s in part if s.end < part.duration - 5]
        assert len(n) > 3 and [s.to_dict() for s in n[:-1]] == [s.to_dict() for s in whole[: len(n) - 1]]


def test_damage_in_the_middle_costs_the_middle(recognizer, speech):
    data = bytearray(file_of(speech, format="FLAC"))
    third = len(data) // 3
    data[third : third + 3000] = os.urandom(3000)
    story = recognizer.timeline(bytes(data))
    assert story.problem and story.duration > 0.6 * len(speech) / RATE
    assert any(s.emotion != NO_SPEECH for s in story)


@pytest.mark.parametrize(
    "source, error, said",
    [
        ((np.zeros(RATE * 3), RATE), audio.SilentAudio, "silent"),
        ((np.zeros(0), RATE), audio.EmptyAudio, "no samples"),
        ((np.ones(800), RATE), audio.TooShort, "0.050 s"),
        ((np.r_[np.ones(RATE * 40), np.nan], RATE), audio.NotFinite, "NaN"),
        ((np.ones(RATE), None), audio.BadRate, "no sample rate"),
        ((np.ones(RATE), 5), audio.BadRate, "sample rate 5"),
        ((b"",), audio.EmptyAudio, "no bytes"),
        ((b"Dear diary, " * 500,), audio.NotAudio, "not audio"),
        (("nowhere.wav",), audio.MissingAudio, "does not exist"),
        (("nowhere.wav", RATE), audio.BadRate, "own sample rate"),
        ((os.curdir,), audio.UnreadableAudio, "folder"),
    ],
)
def test_what_cannot_be_heard_is_one_sentence(recognizer, source, error, said):
    with pytest.raises(error) as e:
        recognizer.timeline(*source)
    assert said in str(e.value) and str(e.value).endswith(".") and "\n" not in str(e.value)


def test_shorter_than_a_window(recognizer):
    clip = audio.load(SAMPLES[0])
    story = recognizer.timeline(SAMPLES[0])
    assert [s.emotion != NO_SPEECH for s in story] == [True] and story.duration == len(clip) / RATE
    assert recognizer.timeline(clip[: RATE // 5], RATE).duration == 0.2


def test_rates_that_change_half_way(speech):
    x8 = audio.resample(speech, RATE, 8_000)
    reader = audio.Reader(b"x")
    reader._raw = lambda: iter(
        [(speech[:, None], RATE), (x8[:, None], 8_000), (np.stack([speech, speech], 1), RATE)]
    )
    x = np.concatenate(list(reader))
    assert x.ndim == 1 and len(x) == 3 * len(speech)
    np.testing.assert_allclose(x[2 * len(speech) :], speech, atol=1e-6)
    assert reader.seconds == pytest.approx(3 * len(speech) / RATE)


def test_a_disk_that_fails_half_way(recognizer, speech, tmp_path, monkeypatch):
    sf.write(tmp_path / "a.wav", speech, RATE)
    blocks = audio._by_soundfile

    def failing(file):
        for i, block in enumerate(blocks(file)):
            if i == 1:
                raise OSError(5, "Input/output error")
            yield block

    monkeypatch.setattr(audio, "_by_soundfile", failing)
    story = recognizer.timeline(tmp_path / "a.wav")
    assert "cannot be read beyond" in story.problem and "Input/output error" in story.problem
    assert 0 < story.duration < len(speech) / RATE


# ---- the commands


def ser(*args, **kw):
    return subprocess.run([*SER, *map(str, args)], capture_output=True, timeout=120, **kw)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, speech):
    folder = tmp_path_factory.mktemp("calls")
    sf.write(folder / "a.flac", speech, RATE)
    (folder / "b.flac").write_bytes(
        (folder / "a.flac").read_bytes()[: (folder / "a.flac").stat().st_size // 2]
    )
    (folder / "c.wav").write_text("no sound")
    return folder


def test_timelines_of_a_folder(folder, recognizer):
    done = ser("timeline", "--format", "json", folder)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1 and [os.path.basename(x["path"]) for x in lines] == [
        "a.flac",
        "b.flac",
        "c.wav",
    ]
    assert lines[0] == {"path": str(folder / "a.flac"), **recognizer.timeline(folder / "a.flac").to_dict()}
    assert "that it announces" in lines[1]["problem"] and lines[1]["segments"]
    assert "is not audio" in lines[2]["error"]
    assert done.stderr.decode().count("\n") == 1 and "b.flac gives only" in done.stderr.decode()


@pytest.mark.parametrize(
    "form, suffix", [("text", "txt"), ("csv", "csv"), ("webvtt", "vtt"), ("rttm", "rttm")]
)
def test_files_are_written_whole(folder, recognizer, tmp_path, form, suffix):
    done = ser("timeline", "-f", form, "--out", tmp_path / "out", folder / "a.flac", folder / "c.wav")
    assert done.returncode == 1 and not done.stdout
    assert [p.name for p in (tmp_path / "out").iterdir()] == [f"a.{suffix}"]
    text = (tmp_path / "out" / f"a.{suffix}").read_text()
    one = ser("timeline", "-f", form, "--out", tmp_path / "one", folder / "a.flac")
    assert one.returncode == 0 and (tmp_path / "one").read_text() == text
    assert ser("timeline", "-f", form, folder / "a.flac").stdout.decode() == text
    assert len(text.splitlines()) > 3


@pytest.mark.parametrize(
    "args, status, said",
    [
        (["timeline", "-f", "opera", "{a}"], 2, "no format"),
        (["timeline", "-f", "csv", "{folder}"], 2, "--out FOLDER"),
        (["timeline", "--window", "0.1", "{a}"], 1, "take 0.5 to 60 s"),
        (["timeline", "--max-seconds", "3", "{a}"], 1, "longer than 3 s"),
        (["timeline", "--out", "{folder}/nowhere/x.txt", "{a}"], 1, "No such file"),
        (["timeline", "--out", "{out}", "{a}", "{folder}/../calls0/a.flac", "{a}"], 2, "same name"),
        (["timeline", "-"], 1, "is empty"),
        (["predict", "--timeline", "{a}"], 2, "goes with --json"),
        (["listen", "x.wav"], 2, "is no stream"),
        (["listen", "-"], 2, "give --rate"),
        (["listen", "--rate", "7", "-"], 1, "sample rate 7"),
        (["listen", "--window", "99", "--rate", "8000", "-"], 1, "take 0.5 to 60 s"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(folder, tmp_path, args, status, said):
    names = dict(a=folder / "a.flac", folder=folder, out=tmp_path / "out")
    done = ser(*(a.format(**names) for a in args), stdin=subprocess.DEVNULL)
    error = " ".join(done.stderr.decode().split())
    assert done.returncode == status and said in error and "Traceback" not in error, error


def test_predict_adds_a_timeline(folder, recognizer):
    done = ser("predict", "--timeline", "--json", SAMPLES[0], folder / "c.wav")
    first, second = map(json.loads, done.stdout.splitlines())
    assert first.pop("timeline") == recognizer.timeline(SAMPLES[0]).to_dict()["segments"]
    assert first == {"path": str(SAMPLES[0]), **recognizer.predict(SAMPLES[0]).to_dict()}
    assert set(second) == {"path", "error"} and done.returncode == 1


def test_listen_to_standard_input(recognizer, speech):
    x = (speech * 32767).astype("<i2")
    stream = recognizer.stream(RATE)
    expected = [s.to_dict() for s in stream.feed(x) + stream.finish()]
    done = ser("listen", "--json", "--rate", RATE, "-", input=x.tobytes())
    assert [json.loads(line) for line in done.stdout.splitlines()] == expected
    assert (done.returncode, done.stderr) == (0, b"")
    words = ser("listen", "--rate", RATE, "-", input=x.tobytes()).stdout.decode().splitlines()
    assert len(words) == len(expected) and words[0].startswith("0:00:00.000 - ")
    done = ser("listen", "--rate", RATE, "-", input=file_of(speech, format="WAV"))
    assert done.returncode == 1 and b"no stream of samples" in done.stderr
    assert ser("listen", "--rate", RATE, "-", stdin=subprocess.DEVNULL).returncode == 0


def test_answers_come_while_it_is_spoken_and_ctrl_c_says_the_rest(speech):
    x = (speech[: 12 * RATE] * 32767).astype("<i2").tobytes()
    run = [*SER, "listen", "--json", "--rate", str(RATE), "-"]
    with subprocess.Popen(
        run, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdin.write(x)
        process.stdin.flush()
        first = json.loads(process.stdout.readline())  # the pipe is still open
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0  # what it says meanwhile has room in the pipe
        rest, errors = process.stdout.read(), process.stderr.read()
        assert errors == b""
    segments = [first, *map(json.loads, rest.splitlines())]
    assert segments[0]["start"] == 0 and segments[-1]["end"] > 10


MICROPHONE = """
import numpy as np, soundfile as sf
class PortAudioError(Exception): pass
def query_devices(device, kind):
    if device == "none": raise ValueError("No input device matching 'none'")
    return {"default_samplerate": 16000.0}
class InputStream:
    def __init__(self, samplerate, device, channels, dtype):
        self.x, self.i = sf.read(%r, dtype=dtype)[0][:, None], 0
    def __enter__(self): return self
    def __exit__(self, *e): pass
    def read(self, n):
        self.i += n
        if self.i > len(self.x): raise KeyboardInterrupt
        return self.x[self.i - n : self.i], False
"""


def test_listen_to_a_microphone(folder, tmp_path):
    there = {**os.environ, "PYTHONPATH": str(tmp_path)}
    (tmp_path / "sounddevice.py").write_text(MICROPHONE % str(folder / "a.flac"))
    done = ser("listen", "--json", env=there)
    assert done.returncode == 0 and len(done.stdout.splitlines()) > 3 and not done.stderr
    done = ser("listen", "--device", "none", env=there)
    assert done.returncode == 1 and b"choose another by --device" in done.stderr
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    done = ser("listen", env=there)
    assert done.returncode == 1 and b"install libportaudio2" in done.stderr
    (tmp_path / "sounddevice.py").write_text("raise ModuleNotFoundError(name='sounddevice')")
    done = ser("listen", env=there)
    assert done.returncode == 1 and b"pip install 'ser_nbdev[listen]'" in done.stderr
    assert done.stderr.count(b"\n") == 1


# ---- light


def test_nothing_heavy_is_imported():
    heavy = (*HEAVY, "av", "sounddevice")
    code = (
        "import sys\nfrom ser_nbdev.serving import Recognizer, samples\n"
        "story = Recognizer().timeline(samples()[0])\nstory.to_svg(), story.to_csv()\n"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "[]\n", "")


def test_short_pauses_belong_to_what_follows():
    x = np.zeros(9 * RATE, np.float32)
    for start, end in ((0.0, 2.0), (2.6, 4.5), (7.0, 9.0)):
        x[round(start * RATE) : round(end * RATE)] = syllables(end - start)[: round((end - start) * RATE)]
    story = recording.timeline(Mock(), x, RATE)
    silent = [s for s in story if s.emotion == NO_SPEECH]
    assert len(silent) == 1 and silent[0].end - silent[0].start >= GAP and silent[0].start > 4.4
