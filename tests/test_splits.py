"Splits and the audit on what a notebook cannot hold: random tables, the real corpora, damaged and hostile files."

import json, os
from pathlib import Path

import numpy as np, pandas as pd, pytest, soundfile as sf
from hypothesis import given, settings, strategies as st

from ser_nbdev import corpora, splits
from ser_nbdev.audio import SAMPLE_RATE, AudioError
from ser_nbdev.emotions import EMOTIONS
from ser_nbdev.splits import LeakError, Split, SplitError, audit, audit_table, check, hold_out, split

real = pytest.mark.skipif(not os.environ.get("SER_DATA_DIR"), reason="needs the corpora: set SER_DATA_DIR")


@pytest.fixture(scope="module")
def demo():
    return corpora.demo()


def clip(seed):
    "A synthetic voice with a word and a manner of its own; 16-bit samples."
    word = list(corpora.DEMO_WORDS)[seed % len(corpora.DEMO_WORDS)]
    return np.rint(32767 * corpora.synthesise(word, EMOTIONS[seed % 7], "AB"[seed % 2], seed)).astype(
        np.int16
    )


def write(path, x, rate=SAMPLE_RATE, subtype="PCM_16"):
    sf.write(path, x, rate, subtype=subtype)
    return str(path)


tables = st.builds(
    lambda speakers, texts, emotions, takes: pd.DataFrame(
        [
            dict(
                path=f"/x/{s}_{t}_{e}_{k}.wav",
                corpus="c",
                speaker=f"s{s}",
                gender="female" if s % 2 else "male",
                emotion=f"e{e}",
                text=f"t{t}",
                intensity="",
            )
            for s in range(speakers)
            for t in range(texts)
            for e in range(emotions)
            for k in range(takes)
        ]
    ),
    st.integers(2, 6),
    st.integers(2, 7),
    st.integers(2, 4),
    st.integers(1, 2),
)


@settings(max_examples=40, deadline=None)
@given(
    tables,
    st.sampled_from(("random", "word", "speaker", "leave-one-speaker-out")),
    st.integers(2, 5),
    st.integers(0, 99),
)
def test_a_split_is_a_partition_that_keeps_its_promise(table, protocol, folds, seed):
    try:
        parts = split(table, protocol, folds=folds, seed=seed)
    except SplitError as e:
        assert protocol == "random" and "fewer than" in str(e)
        return
    assert sorted(p for s in parts for p in s.test.path) == sorted(table.path)
    column = {"word": "text", "random": "path"}.get(protocol, "speaker")
    for s in parts:
        assert not set(s.train[column]) & set(s.test[column]) and len(s.train) and len(s.test)
        assert len(s.train) + len(s.test) == len(table)
        check(s, content=False)
    again = split(table.sample(frac=1, random_state=seed), protocol, folds=folds, seed=seed)
    assert [s.test.path.tolist() for s in again] == [s.test.path.tolist() for s in parts]
    assert len({s.name for s in parts}) == len(parts)


@settings(max_examples=30, deadline=None)
@given(tables, st.sampled_from(("word", "speaker", "random")), st.floats(0.05, 0.5), st.integers(0, 99))
def test_validation_comes_out_of_the_training_side(table, by, fraction, seed):
    train, validation = hold_out(table, fraction, by, seed)
    assert sorted([*train.path, *validation.path]) == sorted(table.path) and len(train) and len(validation)
    column = {"word": "text", "speaker": "speaker"}.get(by, "path")
    assert not set(train[column]) & set(validation[column])


def test_the_folder_does_not_matter(demo):
    moved = demo.assign(path=["/elsewhere/" + Path(p).name for p in demo.path])
    names = [[Path(p).name for p in s.test.path] for s in split(demo, "random")]
    assert names == [[Path(p).name for p in s.test.path] for s in split(moved, "random")]


def test_one_text_code_in_two_corpora_is_two_texts():
    table = pd.DataFrame(dict(path=["a", "b"], corpus=["x", "y"], text=["01", "01"], emotion="sad"))
    assert not audit(table[:1], table[1:], content=False).shared("texts")
    assert audit(table[:1].drop(columns="corpus"), table[1:].drop(columns="corpus"), content=False).shared(
        "texts"
    )


def test_copies_are_found_under_any_name_and_format(tmp_path):
    sounds = [clip(i) for i in range(6)]
    train = pd.DataFrame({"path": [write(tmp_path / f"a{i}.wav", x) for i, x in enumerate(sounds)]})
    copies = [
        write(tmp_path / "b0.flac", sounds[0]),
        write(tmp_path / "b1.wav", np.stack([sounds[1]] * 2, 1)),
        write(tmp_path / "b2.ogg", sounds[2], subtype="VORBIS"),
        write(tmp_path / "b3.wav", -sounds[3] // 5),
        write(tmp_path / "b4.wav", np.pad(sounds[4], (1500, 700))),
        write(tmp_path / "b9.wav", clip(9)),
    ]
    found = audit(train, pd.DataFrame({"path": copies}))
    name = lambda pairs: [(Path(p[0]).stem, Path(p[1]).stem) for p in pairs]
    assert name(found.shared("identical")) == [("a0", "b0"), ("a1", "b1")]
    assert name(found.shared("near")) == [("a2", "b2"), ("a3", "b3"), ("a4", "b4")]
    with pytest.raises(LeakError, match="b0.flac"):
        check(found, "random")
    with pytest.raises(LeakError, match="near-identical"):
        check(found, "speaker")
    assert str(tmp_path) not in json.dumps(found.to_dict())


def test_files_that_cannot_be_heard_are_counted(tmp_path):
    good = pd.DataFrame({"path": [write(tmp_path / "good.wav", clip(1))]})
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "empty.wav").touch()
    write(tmp_path / "short.wav", clip(2)[:40])
    bad = pd.DataFrame(
        {"path": [str(tmp_path / n) for n in ("text.wav", "empty.wav", "gone.wav", "short.wav")]}
    )
    for cache in (None, tmp_path / "cache"):
        found = audit(good, bad, cache=cache)
        assert len(found.unreadable) >= 3 and "could not be read" in str(found)
        assert not found.shared("identical")


def test_a_file_that_changes_is_heard_again(tmp_path):
    file = write(tmp_path / "a.wav", clip(1))
    before = splits.hear(file).digest
    os.utime(write(file, clip(2)), ns=(1, 1))
    assert splits.hear(file).digest != before


def test_the_cache_holds_nothing_half(tmp_path, monkeypatch):
    file, cache = write(tmp_path / "a.wav", clip(3)), tmp_path / "cache"

    def full(f, **_):
        f.write(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as m:
        m.setattr(np, "savez", full)
        with pytest.warns(UserWarning, match="can't be kept"):
            assert splits._stored(file, cache).digest == splits.hear(file).digest
    assert not list(cache.glob("*"))
    assert splits._stored(file, cache).digest == splits.hear(file).digest
    assert [p.suffix for p in cache.iterdir()] == [".npz"]


def test_silence_is_like_nothing():
    silent = splits.fingerprint(np.zeros(8000, np.float32))
    assert not silent.any() and splits.likeness(silent[None], silent[None])[0, 0] == 0
    assert splits.correlation(np.zeros(10), np.zeros(10)) == 0


def test_the_demo_corpus_has_no_copies(demo):
    assert splits.duplicates(demo).empty


def test_a_table_of_ones_own(tmp_path):
    for i in range(4):
        write(tmp_path / f"{i}.wav", clip(i))
    write(tmp_path / "4.flac", clip(0))
    csv = tmp_path / "mine.csv"
    csv.write_bytes(
        "\ufeffPath, Split, speaker\n0.wav,train,anna\n1.wav,Train,NA\n2.wav,val,anna\n"
        "3.wav,TEST,bob\n4.flac,test,bob\nlost.wav,test,bob\n".encode()
    )
    own = audit_table(csv)
    assert own.sides == {"train": 2, "validation": 1, "test": 3} and len(own.unreadable) == 1
    assert own.audits["train/validation"].shared("speakers") == ["anna"]
    assert len(own.leaks) == 1 and "4.flac" in own.leaks[0] and "lost.wav" in str(own)
    assert json.loads(json.dumps(own.to_dict()))["leaks"] == own.leaks


@real
def test_ravdess_and_emovo_each_hold_one_recording_twice():
    pairs = splits.duplicates(corpora.table(corpus="ravdess"))
    assert [(Path(a).stem, Path(b).stem) for a, b in zip(pairs.path, pairs.twin)] == [
        ("03-01-03-01-02-01-07", "03-01-03-01-02-02-07")
    ]
    pairs = splits.duplicates(corpora.table(corpus="emovo"))
    assert [(Path(a).stem, Path(b).stem) for a, b in zip(pairs.path, pairs.twin)] == [
        ("tri-f3-n1", "tri-f3-n2")
    ]


@real
def test_chance_can_part_the_copies_and_dropping_them_helps():
    table = corpora.table(corpus="ravdess")
    a, b = (table[table.path.str.contains(n)] for n in ("03-01-03-01-02-01-07", "03-01-03-01-02-02-07"))
    bad = Split("bad", "random", table.drop(b.index), b)
    with pytest.raises(LeakError, match="drop_duplicates"):
        check(bad)
    clean = splits.drop_duplicates(table)
    assert len(clean) == len(table) - 1 and a.path.iloc[0] in set(clean.path)
    for s in split(clean, "random", folds=3):
        check(s)


@real
def test_files_as_distributed_are_known_again():
    table = corpora.table()
    native = [str(p) for p in sorted((Path(os.environ["SER_DATA_DIR"]) / "native").iterdir())]
    near = table[
        table.path.str.contains("_dog_|_food_|_neat_|-02-01-01-02-01|-03-01-02-01-20|-05-02-01-01-12")
    ]
    near = near[~near.path.isin(native)]
    found = audit(near, pd.DataFrame({"path": native}))
    pairs = {(Path(p[0]).stem, Path(p[1]).stem) for what in ("identical", "near") for p in found.shared(what)}
    assert pairs == {(Path(p).stem,) * 2 for p in native}


@real
def test_no_take_is_mistaken_for_another():
    table = corpora.table(corpus="tess")
    some = table[(table.speaker == table.speaker.iloc[-1]) & table.emotion.isin(["sad", "neutral"])]
    assert splits.duplicates(some).empty


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(AudioError, match="no regular file"):
        splits.hear(tmp_path / "pipe.wav", tmp_path)
