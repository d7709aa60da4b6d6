"""Corpus tables from the layouts that people really have, each planted in small."""

import hashlib
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from ser_nbdev import corpora
from ser_nbdev.corpora import CORPORA, COLUMNS, CorpusError, demo, parse, scan, synthesise, table, verify
from ser_nbdev.emotions import EMOTIONS, MORE, WORDS

KIDS, DOGS = "Kids are talking by the door", "Dogs are sitting by the door"
TESS = ["OAF_back_angry", "OAF_back_ps", "OA_bite_neutral", "YAF_back_sad"]


def plant(root, *names):
    for name in names:
        path = Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def tone(path, seconds=0.5, pitch=220):
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(int(seconds * 16000)) / 16000
    sf.write(path, 0.3 * np.sin(2 * np.pi * pitch * t), 16000)


# names


@pytest.mark.parametrize(
    "name, corpus, speaker, gender, emotion, text, intensity",
    [
        ("OAF_back_ps.wav", "tess", "tess-OAF", "female", "surprise", "back", None),
        ("OA_bite_neutral.wav", "tess", "tess-OAF", "female", "neutral", "bite", None),
        ("yaf_CHAIR_Fear.WAV", "tess", "tess-YAF", "female", "fear", "chair", None),
        ("03-01-02-01-01-02-07.flac", "ravdess", "ravdess-07", "male", "calm", KIDS, "normal"),
        ("03-01-06-02-02-01-24.mp3", "ravdess", "ravdess-24", "female", "fear", DOGS, "strong"),
        ("16b10Wb.wav", "emodb", "emodb-16", "female", "angry", "b10", None),
        ("03A07LC.ogg", "emodb", "emodb-03", "male", "boredom", "a07", None),
        ("pau-m2-n5.wav", "emovo", "emovo-m2", "male", "fear", "n5", None),
        ("GIO-F3-B1.AIFF", "emovo", "emovo-f3", "female", "happy", "b1", None),
        ("1091_IEO_ANG_HI.wav", "crema-d", "crema-d-1091", "female", "angry", "ieo", "high"),
        ("1001_wsi_neu_xx.mp3", "crema-d", "crema-d-1001", "male", "neutral", "wsi", None),
        ("1040_ITH_SAD_X.wav", "crema-d", "crema-d-1040", "male", "sad", "ith", None),
        ("DC_sa04.wav", "savee", "savee-DC", "male", "sad", "sa04", None),
        ("AudioData/JK/su15.wav", "savee", "savee-JK", "male", "surprise", "su15", None),
    ],
)
def test_names(name, corpus, speaker, gender, emotion, text, intensity):
    got = parse(name)
    assert [got[k] for k in COLUMNS[1:]] == [corpus, speaker, gender, emotion, text, intensity]


@pytest.mark.parametrize(
    "name",
    [
        "OAF_back_angry.txt",
        "OAF_back_angry",
        "OAF_back_joy.wav",
        "XAF_back_angry.wav",
        "._OAF_back_angry.wav",
        "OAF_back_angry.wav.part",
        "03-02-05-01-01-01-01.wav",
        "01-01-05-01-01-01-01.mp4",
        "03-01-09-01-01-01-01.wav",
        "03-01-05-01-01-01-00.wav",
        "03-01-05-01-01-01-25.wav",
        "07a01Fa.wav",
        "03a01Xa.wav",
        "gio-f4-b1.wav",
        "1092_IEO_ANG_HI.wav",
        "1001_IEO_CAL_HI.wav",
        "su15.wav",
        "demo_A_angry_bar_1.flac",
        "speech.wav",
        "",
    ],
)
def test_foreign_names(name):
    assert parse(name) is None


def test_a_folder_name_never_decides():
    assert parse("YAF_sad/OAF_back_angry.wav")["emotion"] == "angry"
    assert parse("DC/JE_a01.wav")["speaker"] == "savee-JE"


def test_every_word_of_every_corpus_is_read():
    names = dict(
        tess="OAF_back_{}",
        ravdess="03-01-{}-01-01-01-01",
        emodb="03a01{}a",
        emovo="{}-f1-b1",
        savee="DC_{}01",
    ) | {"crema-d": "1001_IEO_{}_XX"}
    for corpus, words in WORDS.items():
        for word, emotion in words.items():
            assert parse(names[corpus].format(word) + ".wav")["emotion"] == emotion


def test_what_is_known_of_speakers():
    women = {name: sum(g == "female" for g in c.speakers.values()) for name, c in CORPORA.items()}
    assert women == {"tess": 2, "ravdess": 12, "emodb": 5, "emovo": 3, "crema-d": 43, "savee": 0, "demo": 1}
    assert [len(c.speakers) for c in CORPORA.values()] == [2, 24, 10, 6, 91, 4, 2]
    assert CORPORA["emodb"].language == "German"


# trees


def test_kaggle_archive_counts_each_clip_once(tmp_path):
    top = "TESS Toronto emotional speech set data"
    for inner in (top, f"{top.lower()}/{top}"):
        plant(tmp_path, *(f"{inner}/some folder/{n}.wav" for n in TESS))
    assert len(scan(tmp_path)) == 8
    assert scan(tmp_path).duplicate.sum() == 4
    df = table(tmp_path)
    assert len(df) == 4
    assert df.path.str.startswith(str(tmp_path / top)).all()  # the copy nearer to the root


def test_the_misspelt_name_and_its_mended_copy_are_one_clip(tmp_path):
    plant(tmp_path, "OA_bite_neutral.wav", "mended/OAF_bite_neutral.flac")
    assert len(table(tmp_path)) == 1


def test_the_fuller_folder_is_preferred_to_the_nearer_one(tmp_path):
    plant(tmp_path, *(f"deep/down/tess/{n}.flac" for n in TESS), "native/OAF_back_angry.wav")
    assert not table(tmp_path).path.str.contains("native").any()
    assert len(table(tmp_path / "native")) == 1


def test_the_order_does_not_hang_on_the_layout(tmp_path):
    plant(tmp_path / "a", *(f"z{i}/{n}.wav" for i, n in enumerate(TESS)), "03a01Fa.wav", "b/gio-f1-b1.wav")
    plant(
        tmp_path / "b",
        *(f"{9 - i}/{n.upper()}.FLAC" for i, n in enumerate(TESS)),
        "q/03a01Fa.wav",
        "gio-f1-b1.ogg",
    )
    a, b = table(tmp_path / "a"), table(tmp_path / "b")
    pd.testing.assert_frame_equal(a.drop(columns="path"), b.drop(columns="path"))
    assert list(a.index) == list(range(6))
    assert list(a.corpus.unique()) == ["tess", "emodb", "emovo"]


def test_extensions_and_case(tmp_path):
    plant(
        tmp_path,
        "a/OAF_back_angry.WAV",
        "b/oaf_back_fear.flac",
        "c/OAF_BACK_SAD.Mp3",
        "d/OAF_back_ps.m4a",
        "e/OAF_back_happy.xyz",
    )
    assert sorted(table(tmp_path).emotion) == ["angry", "fear", "sad", "surprise"]


def test_hidden_and_system_folders_are_left_alone(tmp_path):
    plant(
        tmp_path, ".tess-download/unpacked/OAF_back_angry.wav", "__MACOSX/OAF_back_sad.wav", "OAF_back_ps.wav"
    )
    assert list(table(tmp_path).emotion) == ["surprise"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_are_followed_and_loops_end(tmp_path):
    plant(tmp_path / "disk", "OAF_back_angry.wav")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tess").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "loop").symlink_to(tmp_path / "data")
    assert len(table(tmp_path / "data")) == 1


def test_one_corpus_several_corpora(tmp_path):
    plant(tmp_path, "OAF_back_angry.wav", "03a01Fa.wav", "gio-f1-b1.wav", "demo_A_sad_bar_1.flac")
    assert list(table(tmp_path).corpus) == ["tess", "emodb", "emovo"]  # a synthetic clip never slips in
    assert list(table(tmp_path, "EmoDB").corpus) == ["emodb"]
    assert list(table(tmp_path, ["tess", "emovo"]).corpus) == ["tess", "emovo"]
    assert list(table(tmp_path, "demo").corpus) == ["demo"]


def test_what_is_not_there_is_said(tmp_path, monkeypatch):
    with pytest.raises(CorpusError, match="holds no clip of tess .OAF_back_angry.wav.*fetch"):
        table(tmp_path)
    with pytest.raises(CorpusError, match="is no folder"):
        table(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match="known ones are tess, ravdess"):
        table(tmp_path, "iemocap")
    monkeypatch.delenv("SER_DATA_DIR", raising=False)
    with pytest.raises(CorpusError, match="set SER_DATA_DIR to the folder"):
        table()
    monkeypatch.setenv("SER_DATA_DIR", str(tmp_path))
    plant(tmp_path, "OAF_back_angry.wav")
    assert len(table()) == 1


def test_paths_are_absolute(tmp_path, monkeypatch):
    plant(tmp_path, "here/OAF_back_angry.wav")
    monkeypatch.chdir(tmp_path)
    assert list(table("here").path) == [str(tmp_path / "here" / "OAF_back_angry.wav")]


def test_five_thousand_files_in_a_second(tmp_path):
    for i in range(50):
        folder = chr(97 + i % 26) + chr(97 + i // 26)
        plant(tmp_path / folder, *(f"OAF_{a}{b}{folder}_sad.wav" for a in "abcdefghij" for b in "klmnopqrst"))
    start = time.process_time()
    assert len(table(tmp_path)) == 5000
    assert time.process_time() - start < 1


# verify


def test_verify_reports_and_goes_on(tmp_path):
    tone(tmp_path / "OAF_back_angry.wav", pitch=200)
    tone(tmp_path / "OAF_bar_angry.wav", pitch=300)
    tone(tmp_path / "again" / "OAF_bar_angry.wav", pitch=300)
    tone(tmp_path / "YAF_bar_sad.wav", pitch=300)  # another name for the same sound
    (tmp_path / "YAF_back_sad.wav").write_bytes(b"RIFF, and nothing more")
    report = verify(tmp_path, progress=False)
    assert list(report.counts.columns) == "corpus speaker emotion expected found broken duplicate".split()
    rows = report.counts.set_index(["speaker", "emotion"])
    assert rows.loc[("tess-OAF", "angry"), "expected":].tolist() == [200, 2, 0, 1]
    assert rows.loc[("tess-YAF", "sad"), "expected":].tolist() == [200, 2, 1, 0]
    assert rows.loc[("tess-YAF", "fear"), "expected":].tolist() == [200, 0, 0, 0]
    assert sorted(report.problems.problem) == ["broken", "duplicate", "same sound"]
    broken = report.problems[report.problems.problem == "broken"].iloc[0]
    assert broken.path.endswith("YAF_back_sad.wav") and "YAF_back_sad.wav" in broken.detail
    assert "4 of 2800 clips found (2796 missing), 1 broken, 1 duplicates" in str(report)
    assert "not opened" in str(verify(tmp_path, decode=False))


def test_verify_of_nothing(tmp_path):
    assert str(verify(tmp_path)) == ""
    report = verify(tmp_path, "savee")
    assert report.counts.expected.sum() == 480 and report.counts.found.sum() == 0


def test_verify_checks_a_manifest(tmp_path):
    tone(tmp_path / "t" / "OAF_back_angry.wav")
    tone(tmp_path / "t" / "OAF_back_sad.wav")
    right = hashlib.sha256((tmp_path / "t" / "OAF_back_angry.wav").read_bytes()).hexdigest()
    lines = [
        right + "  t/OAF_back_angry.wav",
        "0" * 64 + "  t/OAF_back_sad.wav",
        "0" * 64 + "  t/OAF_back_ps.wav",
    ]
    (tmp_path / "MANIFEST.sha256").write_text("\n".join(lines))
    problems = verify(tmp_path, checksums=True, decode=False, progress=False).problems
    assert [(os.path.basename(p), q) for p, q in problems[["path", "problem"]].values] == [
        ("OAF_back_sad.wav", "changed"),
        ("OAF_back_ps.wav", "lost"),
    ]


@pytest.mark.skipif(os.name != "posix", reason="names of files are text on this system")
def test_names_in_another_encoding_are_told(tmp_path):
    "As of folders that come from an old disk, in Latin-1."
    folder = os.fsencode(tmp_path) + b"/Gef\xfchle"
    os.mkdir(folder)
    open(folder + b"/03a01Fa.wav", "wb").close()
    for look in (table, scan, verify):
        with pytest.raises(CorpusError, match=r"Gef\\\\xfchle.*is not UTF-8; rename"):
            look(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_manifest_that_lists_what_is_no_file(tmp_path):
    (tmp_path / "03a01Fa.wav").touch()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    names = [b"folder", b"pipe", b"/dev/zero", b"../" * 30 + b"dev/zero", b"\xff", b"nul\0", b"x" * 5000, b""]
    (tmp_path / "MANIFEST.sha256").write_bytes(b"".join(b"0  %s\n" % name for name in names))
    found = verify(tmp_path, decode=False, checksums=True, progress=False)
    assert set(found.problems.problem) == {"lost"} and len(found.problems) == len(names)


def test_published_totals():
    totals = {name: sum(corpora._expected(c).values()) for name, c in CORPORA.items()}
    assert totals == {
        "tess": 2800,
        "ravdess": 1440,
        "emodb": 535,
        "emovo": 588,
        "crema-d": 7462,
        "savee": 480,
        "demo": 140,
    }


def test_a_complete_corpus_is_called_complete(tmp_path):
    plant(
        tmp_path,
        *(
            f"{e}-{s}-{t}.wav"
            for e in WORDS["emovo"]
            for s in CORPORA["emovo"].speakers
            for t in "b1 b2 b3 d1 d2 l1 l2 l3 l4 n1 n2 n3 n4 n5".split()
        ),
    )
    report = verify(tmp_path, decode=False)
    assert (report.counts.found == report.counts.expected).all()
    assert "588 of 588 clips found (complete)" in str(report)


# the demo corpus


def test_demo_is_whole_deterministic_and_marked(tmp_path):
    start = time.process_time()
    df = demo(tmp_path / "a", words=["bar", "mood"])
    assert time.process_time() - start < 3
    assert len(df) == 28 and list(df.columns) == COLUMNS and set(df.corpus) == {"demo"}
    assert set(df.speaker) == {"demo-A", "demo-B"} and set(df.emotion) == set(EMOTIONS)
    assert df.groupby("speaker").gender.first().to_dict() == {"demo-A": "female", "demo-B": "male"}
    assert all(os.path.basename(p).startswith("demo_") for p in df.path)
    assert "No human speech" in demo.__doc__
    again = demo(tmp_path / "b", words=["mood", "bar"])
    for a, b in zip(df.path, again.path):
        assert Path(a).read_bytes() == Path(b).read_bytes()
    x, rate = sf.read(df.path[0])
    assert rate == 16000 and x.ndim == 1 and 0.3 < len(x) / rate < 2 and 0.01 < np.abs(x).max() < 1


def test_demo_makes_only_what_is_missing_and_takes_stand_side_by_side(tmp_path):
    first = demo(tmp_path, words=["bar"])
    before = {p: os.stat(p).st_mtime_ns for p in first.path}
    os.unlink(first.path[3])
    second = demo(tmp_path, words=["bar"], seed=1)
    again = demo(tmp_path, words=["bar"])
    assert list(again.path) == list(first.path) and not set(first.path) & set(second.path)
    assert [p for p in again.path if os.stat(p).st_mtime_ns != before[p]] == [first.path[3]]
    assert not [n for n in os.listdir(tmp_path) if n.startswith(".")]


def test_demo_killed_half_way_leaves_no_half_file(tmp_path, monkeypatch):
    def die(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr(corpora.os, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            demo(tmp_path, words=["bar"])
    assert os.listdir(tmp_path) == []
    assert len(demo(tmp_path, words=["bar"])) == 14


def test_demo_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CorpusError, match="cannot be written.*give another folder"):
        demo(tmp_path / "file")
    with pytest.raises(CorpusError, match="they know bar"):
        demo(tmp_path, words=["otter"])


def test_demo_emotions_can_be_told_apart_on_new_words():
    """Plain statistics do it, or the corpus would teach nothing; such a figure is worth nothing else."""
    from sklearn.model_selection import GroupKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    X, y, words = [], [], []
    for word in corpora.DEMO_WORDS:
        for voice in "AB":
            for emotion in EMOTIONS:
                x = synthesise(word, emotion, voice)
                frames = np.lib.stride_tricks.sliding_window_view(x, 400)[::160] * np.hanning(400)
                power = np.abs(np.fft.rfft(frames, 512)) ** 2
                bands = np.stack([b.mean(axis=1) for b in np.array_split(power, 26, axis=1)], axis=1)
                cosines = np.cos(np.pi / 26 * np.outer(np.arange(26) + 0.5, np.arange(13)))
                cepstrum = np.log(bands + 1e-6) @ cosines
                X.append(np.r_[cepstrum.mean(axis=0), cepstrum.std(axis=0), len(x) / 16000])
                y.append(emotion)
                words.append(word)
    model = make_pipeline(StandardScaler(), SVC(C=10))
    assert cross_val_score(model, np.array(X), y, groups=words, cv=GroupKFold(5)).mean() > 0.9


# the corpora themselves, where they are

real = pytest.mark.skipif(not os.environ.get("SER_DATA_DIR"), reason="SER_DATA_DIR is not set: no corpora")


@real
def test_real_corpora():
    df = table()
    assert df.corpus.value_counts().to_dict().items() >= {"emodb": 535, "emovo": 588}.items()
    assert set(df.emotion) == {*EMOTIONS, *MORE}
    assert df.path.is_unique and df.path.map(os.path.exists).all()
    assert not df.path.str.contains("/native/").any()
    assert df.notna()[COLUMNS[:-1]].all(axis=None)
    counts = verify(decode=False).counts
    assert (counts.found <= counts.expected).all()
    emodb = counts[counts.corpus == "emodb"]
    assert (emodb.found == emodb.expected).all()


@real
def test_real_native_files_are_a_corpus_of_their_own():
    root = Path(os.environ["SER_DATA_DIR"], "native")
    if not root.is_dir():
        pytest.skip("there is no folder native in SER_DATA_DIR")
    report = verify(root, progress=False)
    assert report.counts.broken.sum() == 0 and report.problems.empty
    assert {"tess-OAF", "tess-YAF", "ravdess-20"} <= set(table(root).speaker)


@real
def test_the_pair_of_one_recording_is_reported(tmp_path):
    df = table(corpus="ravdess")
    report = verify(Path(df.path[df.speaker == "ravdess-07"].iloc[0]).parent, progress=False)
    assert report.problems.problem.tolist() == ["same sound"]
    assert report.problems.path[0].rsplit(".", 1)[0].endswith("03-01-03-01-02-02-07")
