"A bundle of an encoder: what is refused, what is answered, and how a speaker becomes known, in the library and the command."

import io
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile as sf
from encoder_stub import ADAPTATION, LABELS, card, encoder_bundle, model

from ser_nbdev import audio, cli, serving
from ser_nbdev.emotions import EMOTIONS
from ser_nbdev.logmel import encoder_windows
from ser_nbdev.serving import Bundle, BundleError, Recognizer, write_bundle

SAMPLES = serving.samples()
SER = [sys.executable, "-c", "import sys; from ser_nbdev.cli import main; sys.exit(main())"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    pytest.importorskip("tensorflow")
    return encoder_bundle(tmp_path_factory.mktemp("bundles") / "small", threshold=0.4)


@pytest.fixture
def recognizer(bundle):
    return Recognizer(bundle)


# ---- what is refused


def spoil(folder, changes):
    "Change the card without a look at what it says."
    kept = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**kept, **changes}))


CARDS = {
    "format 3": {"format": 3},
    "format [2]": {"format": [2]},
    "format None": {"format": None},
    "format 1 is 'lstm'": {"format": 1},
    "kind 'tree'": {"kind": "tree"},
    "kind 'lstm', and format 2": {"kind": "lstm"},
    "features are encoder_windows": {"features": {"kind": "mfcc"}},
    "lacks a proper 'labels'": {"labels": 9},
    "other labels": {"labels": [*LABELS[:-1], "bored"]},
    "described by": {"adaptation": {"labels": list(LABELS)}},
    "means of shape (9, 18)": {"adaptation": {**ADAPTATION.to_dict(), "means": [[1, 2], [3, 4]]}},
    "scatter is no covariance": {"adaptation": {**ADAPTATION.to_dict(), "scatter": (-np.eye(18)).tolist()}},
    "temperatures of [2.0, 1.0, 10000.0]": {"adaptation": {**ADAPTATION.to_dict(), "close": 1e4}},
    "doubt is a positive number": {"adaptation": {**ADAPTATION.to_dict(), "doubt": -1}},
    "threshold of nan": {"calibration": {"threshold": float("nan"), "speech": 0}},
    "inf for speech": {"calibration": {"threshold": 0.5, "speech": float("inf")}},
    "it lacks 'threshold'": {"calibration": {"temperature": 2}},
    "names no model.tflite": {"checksums": {}},
    "model.tflite is not what the card says": {"checksums": {"model.tflite": "0" * 64}},
}


@pytest.mark.parametrize("said", CARDS)
def test_a_card_that_is_not_in_order_is_refused(bundle, tmp_path, said):
    shutil.copytree(bundle.folder, tmp_path / "b")
    spoil(tmp_path / "b", CARDS[said])
    with pytest.raises(BundleError) as e:
        Bundle(tmp_path / "b")
    assert said in str(e.value) and str(e.value).endswith(".") and "\n" not in str(e.value)


def test_a_model_that_does_not_fit_is_refused(bundle, tmp_path):
    lstm = Bundle("tess-lstm")
    whole = bundle._model
    models = {
        "and 9 labels need own": model(own=9, relative=9),
        "own (1, 7)": model(own=7, relative=7, speech=1),
        "speech (1, 2)": model(own=9, relative=9, speech=2),
        "are no numbers": model("log", own=9, relative=9, speech=1),
        "not a LiteRT model": b"",
    }
    for said, content in models.items():
        with pytest.raises(BundleError) as e:
            write_bundle(tmp_path / "b", content, card(), "")
        assert said in str(e.value), (said, str(e.value))
    for content in (lstm._model, whole[: len(whole) // 2], b"TFL3" * 100):
        with pytest.raises(BundleError):
            write_bundle(tmp_path / "b", content, card(), "")
    with pytest.raises(BundleError):  # and the other way round
        write_bundle(tmp_path / "b", whole, lstm.card, "")
    assert not list(tmp_path.iterdir())


# ---- what is answered


def test_the_answer_is_what_the_scores_and_the_adaptation_say(bundle):
    clip = audio.load(SAMPLES[0])
    found = bundle._run(frames=encoder_windows(clip)[0][None])
    scores = np.stack([found["own"][0], found["relative"][0]])[:, :7]
    expected = ADAPTATION.only(EMOTIONS).probabilities(scores)
    answer = Recognizer(bundle).predict(SAMPLES[0])
    np.testing.assert_allclose(list(answer.probabilities.values()), expected, atol=1e-9)
    assert list(answer.probabilities) == list(EMOTIONS) and answer.emotion == EMOTIONS[expected.argmax()]
    assert answer.duration == len(clip) / 16000


def test_a_long_clip_is_the_mean_of_its_windows(bundle):
    clip = np.tile(audio.load(SAMPLES[0]), 30)
    each = [bundle._run(frames=w[None]) for w in encoder_windows(clip)]
    scores, speech = bundle.hear(clip)
    assert len(each) > 3
    np.testing.assert_allclose(scores[0], np.mean([e["own"][0] for e in each], axis=0), atol=1e-5)
    assert speech == pytest.approx(np.mean([e["speech"] for e in each]), abs=1e-5)


def test_labels_are_chosen(bundle):
    assert Recognizer(bundle).labels == EMOTIONS
    assert Recognizer(bundle, ["calm", "sad", "calm"]).labels == ("sad", "calm")
    answer = Recognizer(bundle, {"boredom", "calm"}).predict(SAMPLES[0])
    assert list(answer.probabilities) == ["calm", "boredom"]
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    for wrong in (["sad"], [], "sad", ["sad", "sad"], ["sad", "bored"], "calm,sad", [1, 2]):
        for any_bundle in (bundle, "tess-lstm"):
            with pytest.raises(BundleError, match="the bundle has angry"):
                Recognizer(any_bundle, wrong)


def test_unsure_and_no_speech(tmp_path, bundle):
    one = Recognizer(bundle).hear(SAMPLES[0])
    sure = Recognizer(bundle).answer(one)
    above, below = np.nextafter(sure.confidence, 1), sure.confidence
    for threshold, unsure in ((above, True), (below, False)):
        answer = Recognizer(encoder_bundle(tmp_path / "b", threshold=threshold)).answer(one)
        assert answer.unsure is unsure and answer.emotion == sure.emotion
        assert str(answer).startswith("unsure: ") is unsure
    none = Recognizer(encoder_bundle(tmp_path / "b", threshold=1, speech=one.speech + 0.1)).answer(one)
    assert (none.emotion, none.unsure, none.probabilities) == ("no speech", False, sure.probabilities)
    assert none.confidence == pytest.approx(1 / (1 + np.exp(one.speech))) and str(none).startswith("no sp")
    assert json.loads(json.dumps(none.to_dict()))["unsure"] is False
    lstm = Recognizer("tess-lstm").predict(SAMPLES[2])
    assert lstm.unsure is False and lstm.emotion in EMOTIONS


def test_threads_share_a_bundle(bundle):
    recognizer = Recognizer(bundle).adapt(SAMPLES)
    alone = [recognizer.predict(path) for path in SAMPLES]
    with ThreadPoolExecutor(8) as pool:
        for i, answer in enumerate(pool.map(recognizer.predict, SAMPLES * 20)):
            assert answer == alone[i % len(SAMPLES)]


# ---- a speaker becomes known


def test_clips_of_any_shape_make_a_speaker_known(recognizer):
    clips = [audio.load(path) for path in SAMPLES[:3]]
    with open(SAMPLES[0], "rb") as file:
        ways = [
            recognizer.adapt(SAMPLES[:3]),
            recognizer.adapt(str(path) for path in SAMPLES[:3]),
            recognizer.adapt([path.read_bytes() for path in SAMPLES[:3]]),
            recognizer.adapt(clips, 16000),
            recognizer.adapt(map(recognizer.hear, SAMPLES[:3])),
            recognizer.adapt(SAMPLES[2]).adapt(clips[1], 16000).adapt(file),
        ]
    voice = ADAPTATION.only(EMOTIONS).voice([recognizer.bundle.hear(c)[0][:, :7] for c in clips])
    for one in ways:
        assert one.known_by == 3 and one.bundle is recognizer.bundle and one.labels == recognizer.labels
        np.testing.assert_allclose(one._voice.offset, voice.offset, atol=1e-9)
        assert one._voice.share == pytest.approx(voice.share, abs=1e-9)
    assert np.abs(voice.offset).max() > 0.01 and recognizer.known_by == 0


def test_nothing_changes_where_nothing_can_be_learnt(recognizer, tmp_path):
    known, before = recognizer.adapt(SAMPLES[:2]), recognizer.predict(SAMPLES[0])
    with pytest.raises(audio.MissingAudio):
        known.adapt([SAMPLES[2], "nowhere.wav"])
    with pytest.raises(audio.BadRate):
        known.adapt([audio.load(SAMPLES[0])])
    with pytest.raises(audio.TooLong):
        known.adapt(SAMPLES, max_seconds=0.5)
    assert known.known_by == 2 and recognizer.predict(SAMPLES[0]) == before
    assert recognizer.adapt([]).predict(SAMPLES[0]) == before
    deaf = Recognizer(encoder_bundle(tmp_path / "b", speech=99.0)).adapt(SAMPLES)
    assert deaf.known_by == 0 and deaf.adapt(SAMPLES[:1]).known_by == 0
    with pytest.raises(BundleError, match="tess-lstm is an LSTM and cannot adapt"):
        Recognizer("tess-lstm").adapt(SAMPLES)


# ---- the command


def ser(*args, **kw):
    done = subprocess.run([*SER, *map(str, args)], capture_output=True, text=True, timeout=120, **kw)
    return done, [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.fixture
def folder(tmp_path):
    "Clips of two speakers, of nobody, and one that is no clip."
    for i, path in enumerate(SAMPLES[:4]):
        shutil.copy(path, tmp_path / f"{'AB'[i // 2]}_{i}.flac")
    shutil.copy(SAMPLES[4], tmp_path / "other.flac")
    (tmp_path / "A_bad.wav").write_text("no sound")
    return tmp_path


def test_adapt_makes_one_speaker_of_all_paths(bundle, folder):
    done, said = ser("predict", "--json", "--adapt", "--bundle", bundle.folder, folder)
    assert done.returncode == 1 and done.stderr == "ser: 1 of 6 could not be read.\n"
    names = ["A_0.flac", "A_1.flac", "A_bad.wav", "B_2.flac", "B_3.flac", "other.flac"]
    assert [line["path"] for line in said] == [str(folder / name) for name in names]
    assert "is not audio" in said[2]["error"]
    knows = Recognizer(bundle).adapt([folder / name for name in names if name != "A_bad.wav"])
    for line in said[:2] + said[3:]:
        assert line == {"path": line["path"], **knows.predict(line["path"]).to_dict()}


@pytest.mark.parametrize("pattern", ["^[AB](?=_)", "^([AB])_"])
def test_a_pattern_finds_the_speakers(bundle, folder, pattern):
    done, said = ser("predict", "--json", "--speaker-pattern", pattern, "-b", bundle.folder, folder)
    assert done.returncode == 1
    first = "The pattern finds no speaker in 1 names, which are answered unadapted: other.flac."
    assert done.stderr.splitlines() == [first, "ser: 1 of 6 could not be read."]
    stranger = Recognizer(bundle)
    of = {name: stranger.adapt(sorted(folder.glob(f"{name}_*.flac"))) for name in "AB"}
    for line in said:
        if "error" not in line:
            who = of.get(line["path"][len(str(folder)) + 1], stranger)
            assert line == {"path": line["path"], **who.predict(line["path"]).to_dict()}


def test_each_clip_is_decoded_once(bundle, monkeypatch):
    seen, load = [], serving.load
    monkeypatch.setattr(serving, "load", lambda source, *args, **kw: seen.append(source) or load(source))
    given = list(cli.answers(cli.clips(SAMPLES), Recognizer(bundle), 600, lambda path: "she"))
    assert seen == SAMPLES and [path for path, _, _ in given] == [str(path) for path in SAMPLES]


def test_the_table_marks_what_is_unsure_and_what_is_no_speech(bundle, tmp_path):
    done, _ = ser("predict", "--bundle", bundle.folder, *SAMPLES)
    marked = [row.split()[1].endswith("?") for row in done.stdout.splitlines()]
    assert marked == [Recognizer(bundle).predict(path).unsure for path in SAMPLES]
    assert any(marked) and "less than 40% confidence" in done.stderr
    deaf = encoder_bundle(tmp_path / "deaf", speech=99.0)
    done, _ = ser("predict", "--bundle", deaf.folder, SAMPLES[0])
    assert done.returncode == 0 and "  no speech  " in done.stdout and not done.stderr


@pytest.mark.parametrize(
    "args, status, said",
    [
        (["--adapt", "--bundle", "tess-lstm"], 1, "cannot adapt"),
        (["--speaker-pattern", "x", "--bundle", "tess-lstm"], 1, "cannot adapt"),
        (["--adapt", "--speaker-pattern", "x"], 2, "not both"),
        (["--speaker-pattern", "("], 2, "no regular expression"),
        (["--speaker-pattern", "a{99999999999999999999}"], 2, "no regular expression"),
        (["--labels", "happy,bored", "--bundle", "tess-lstm"], 1, "no label 'bored'"),
        (["--labels", "", "--bundle", "tess-lstm"], 1, "two labels at least"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(args, status, said):
    done, _ = ser("predict", *args, SAMPLES[0])
    assert done.returncode == status and not done.stdout and "Traceback" not in done.stderr
    assert said in done.stderr.splitlines()[-1] and done.stderr.endswith(".\n"), done.stderr


def test_labels_from_the_command_line(bundle):
    done, (said,) = ser("predict", "--json", "--labels", "calm, sad", "-b", bundle.folder, SAMPLES[0])
    assert done.returncode == 0 and list(said["probabilities"]) == ["sad", "calm"]


def test_standard_input_can_be_adapted_to(bundle):
    run = [*SER, "predict", "--json", "--adapt", "--bundle", bundle.folder, "-"]
    done = subprocess.run(run, input=SAMPLES[0].read_bytes(), capture_output=True)
    expected = Recognizer(bundle).adapt(SAMPLES[0]).predict(SAMPLES[0])
    assert json.loads(done.stdout) == {"path": "-", **expected.to_dict()}


def test_evaluate_says_how_speakers_became_known(bundle, tmp_path):
    pytest.importorskip("pandas")
    judge = ["evaluate", "--demo", "--bundle", bundle.folder, "--cache", tmp_path]
    done, _ = ser(*judge, "--adapt", "--report", tmp_path / "report")
    assert done.returncode == 0 and "used to each speaker by these very clips, unlabelled" in done.stdout
    assert len(json.loads((tmp_path / "report" / "report.json").read_text())["labels"]) == 7
    plain, _ = ser(*judge)
    assert plain.returncode == 0 and "unlabelled" not in plain.stdout
    done, _ = ser("evaluate", "--demo", "--bundle", "tess-lstm", "--adapt", "--cache", tmp_path)
    assert done.returncode == 1 and "cannot adapt" in done.stderr
    done, _ = ser("evaluate", "--demo", "--protocol", "word", "--adapt")
    assert done.returncode == 2 and "not with --protocol" in done.stderr


# ---- light, and on the page


def test_nothing_heavy_is_imported(bundle):
    heavy = ("tensorflow", "keras", "librosa", "numba", "pandas", "scipy", "sklearn", "matplotlib", "pooch")
    code = (
        "import sys\nfrom ser_nbdev.serving import Recognizer, samples\n"
        "Recognizer(sys.argv[1]).adapt(samples()).predict(samples()[0])\n"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code, bundle.folder], capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "[]\n", "")


def test_the_page_answers_with_an_encoder(bundle, tmp_path):
    from ser_nbdev.webapp import create_app

    client = create_app(Recognizer(bundle)).test_client()
    for path in SAMPLES:
        said = client.post("/predict", data={"file": (io.BytesIO(path.read_bytes()), "a.flac")}).json
        assert said == Recognizer(bundle).predict(path).to_dict()
    words = client.get("/").text
    assert 'class="e-angry"' in words and "boredom" not in words.split('class="words"')[1].split("</ul>")[0]
    deaf = create_app(Recognizer(encoder_bundle(tmp_path / "deaf", speech=99.0))).test_client()
    sf.write(tmp_path / "noise.wav", np.random.default_rng(0).normal(0, 0.1, 16000), 16000)
    page = deaf.post("/", data={"file": (open(tmp_path / "noise.wav", "rb"), "a.wav")}).text
    assert '<p class="word">no speech</p>' in page
