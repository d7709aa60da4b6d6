"""Features: equality with librosa over many settings, and a cache that is killed again and again."""

import hashlib, os, signal, subprocess, sys, time
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pytest

from ser_nbdev.audio import SAMPLE_RATE, load
from ser_nbdev import features as ft
from ser_nbdev.augmentation import Disguise

librosa = pytest.importorskip("librosa")


def voice(seconds=1.5, seed=0):
    "A clip that swings over the whole range: a gliding harmonic tone, a hiss, silence at both ends."
    rng, t = np.random.default_rng(seed), np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(150 + 80 * np.sin(3 * t)) / SAMPLE_RATE
    tone = sum(np.sin(k * phase) / k for k in range(1, 20)) * np.clip(np.sin(np.pi * t / seconds), 0.01, 1)
    clip = 0.1 * tone + 1e-3 * rng.standard_normal(len(t))
    clip[:1600] *= 1e-4
    clip[-2400:] *= 1e-4
    return clip.astype(np.float32)


def clips():
    "The synthetic clip, and where there is real speech, some of that."
    root = os.environ.get("SER_DATA_DIR")
    real = (
        [
            sorted(Path(root, corpus).rglob("*.flac"))[7]
            for corpus in ("tess", "ravdess", "emodb", "emovo")
            if Path(root, corpus).is_dir()
        ]
        if root
        else []
    )
    return [pytest.param(voice(), id="synthetic")] + [pytest.param(load(p), id=p.stem) for p in real]


def assert_equal(ours, theirs):
    "Within 1e-4, or the last bits of librosa's float32 where numbers are large."
    assert ours.shape == theirs.shape and ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, rtol=3e-7, atol=1e-4)


@pytest.mark.filterwarnings("ignore:Empty filters")
@pytest.mark.parametrize("pad", ["constant", "reflect"])
@pytest.mark.parametrize("n_mels, n_mfcc", [(40, 13), (64, 20), (80, 40), (128, 40)])
@pytest.mark.parametrize("n_fft, hop", [(400, 160), (512, 256), (1024, 320), (2048, 512)])
@pytest.mark.parametrize("clip", clips())
def test_log_mel_and_mfcc_equal_librosa(clip, n_fft, hop, n_mels, n_mfcc, pad):
    for fmin, fmax, htk in [(0, None, False), (60, 7600, False), (20, 4000, True)]:
        mel = librosa.feature.melspectrogram(
            y=clip,
            sr=SAMPLE_RATE,
            n_fft=n_fft,
            hop_length=hop,
            n_mels=n_mels,
            fmin=fmin,
            fmax=fmax,
            htk=htk,
            pad_mode=pad,
        )
        same = dict(n_fft=n_fft, hop=hop, n_mels=n_mels, fmin=fmin, fmax=fmax, htk=htk, pad=pad)
        for top_db in (80, None):
            assert_equal(ft.log_mel(clip, top_db=top_db, **same), librosa.power_to_db(mel, top_db=top_db).T)
        theirs = librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=n_mfcc).T
        assert_equal(ft.mfcc(clip, n_mfcc, **same), theirs)


@pytest.mark.parametrize("clip", clips())
def test_deltas_equal_librosa(clip):
    x = ft.mfcc(clip)
    for width in (3, 5, 9, 15):
        for order in (1, 2):
            # from float64: librosa fits the ends in the type it is given, and float32 costs it up to 4e-4
            theirs = librosa.feature.delta(x.T.astype(float), width=width, order=order).T
            np.testing.assert_allclose(ft.deltas(x, width, order), theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("clip", clips())
def test_trim_and_preemphasis_equal_librosa(clip):
    for top_db in (10, 25, 40, 60, 80):
        for frame, hop in [(2048, 512), (1024, 256), (400, 160)]:
            theirs = librosa.effects.trim(clip, top_db=top_db, frame_length=frame, hop_length=hop)[0]
            np.testing.assert_array_equal(ft.trim(clip, top_db, frame, hop), theirs)
    np.testing.assert_allclose(ft.preemphasis(clip), librosa.effects.preemphasis(clip), atol=1e-6)


@pytest.mark.parametrize("seconds", [0.6, 1.5, 3.2, 5.0])
def test_baseline_features_equal_the_baselines(tmp_path, seconds):
    sf = pytest.importorskip("soundfile")
    path = tmp_path / "clip.wav"
    sf.write(path, voice(seconds), SAMPLE_RATE, subtype="FLOAT")
    y, rate = librosa.load(path, duration=3, offset=0.5)
    theirs = librosa.feature.mfcc(y=y, sr=rate, n_mfcc=40).T.mean(axis=0)
    np.testing.assert_allclose(ft.baseline_features(load(path)), theirs, rtol=3e-7, atol=1e-4)


@pytest.mark.parametrize("clip", clips())
def test_pitch_agrees_with_pyin(clip):
    contour, voiced = ft.pitch_contour(clip, hop=256).T
    theirs, flag, _ = librosa.pyin(clip, fmin=70, fmax=600, sr=SAMPLE_RATE, hop_length=256, frame_length=1024)
    both = flag & (voiced > 0.6)
    octaves = np.abs(contour[both] - np.log2(theirs[both]))
    assert both.sum() > 20 and np.median(octaves) < 0.03 and np.mean(octaves > 0.2) < 0.1


@pytest.mark.parametrize("n", [1, 2, 159, 400, 1600, 4095])
def test_clips_shorter_than_a_window(n):
    clip = voice()[8000 : 8000 + n]
    every = ft.Frontend(
        n_fft=2048,
        deltas=2,
        pitch="both",
        average=2,
        trim=30,
        normalise="meanvar",
        preemphasis=0.97 if n > 1 else 0,
    )
    x = every(clip)
    assert x.shape[1] == every.n_features and len(x) and np.isfinite(x).all()


def test_silence_gives_finite_features():
    silent = np.zeros(SAMPLE_RATE, np.float32)
    assert np.isfinite(ft.Frontend(deltas=2, trim=30, normalise="meanvar", pitch="both")(silent)).all()


def test_serving_features_need_no_workshop():
    code = """import sys, numpy as np
from ser_nbdev.features import Frontend
Frontend(deltas=1)(np.ones(16000, 'f4'))
workshop = {'pandas', 'librosa', 'scipy', 'tensorflow', 'keras', 'numba', 'sklearn', 'matplotlib'}
assert not workshop & set(sys.modules), workshop & set(sys.modules)"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("pitch", ["none", "relative", "both"])
@pytest.mark.parametrize("n", [1, 400, 1600, 16000])
def test_augmented_analyses_stay_finite(n, pitch):
    frontend = ft.Frontend(hop=256, normalise="mean", pitch=pitch, average=2, deltas=1)
    augment, clip = ft.Augment(), voice()[8000 : 8000 + n]
    for clip in (clip, np.zeros_like(clip)):
        for seed, factor in enumerate(augment.factors):
            rng = np.random.default_rng(seed)
            analysis = augment(ft.Analyser(frontend, factor)(clip), frontend, rng, factor)
            x = augment.mask(frontend.finish(analysis), rng)
            assert len(x) and x.shape[1] == frontend.n_features and x.dtype == np.float32
            assert np.isfinite(x).all()


WRITER = """
import sys, numpy as np
from ser_nbdev.features import FeatureCache, Frontend
cache, rng = FeatureCache(sys.argv[1]), np.random.default_rng(int(sys.argv[2]))
print("ready", flush=True)
while True: cache(rng.standard_normal(4000).astype(np.float32), Frontend(kind="logmel"))
"""


def test_a_killed_writer_leaves_only_whole_entries(tmp_path):
    for round in range(20):
        command = [sys.executable, "-c", WRITER, tmp_path, str(round)]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(0.02 + 0.007 * round)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
    entries = list(tmp_path.glob("*/*.npy"))
    assert len(entries) > 20
    for entry in entries:
        data = entry.read_bytes()
        assert hashlib.sha256(data[:-32]).digest() == data[-32:]
        assert np.load(entry).shape == (26, 64)
    # what the killed ones left is found again, and is right
    cache, frontend = ft.FeatureCache(tmp_path), ft.Frontend(kind="logmel")
    for round in range(20):
        clip = np.random.default_rng(round).standard_normal(4000).astype(np.float32)
        assert cache.path(clip, frontend) in entries
        np.testing.assert_array_equal(cache(clip, frontend), frontend(clip))


def test_leftovers_of_killed_writers_are_swept_up_later(tmp_path):
    (tmp_path / "ab").mkdir()
    old, new = tmp_path / "ab" / "old.part", tmp_path / "ab" / "new.part"
    for part in (old, new):
        part.write_bytes(b"half")
    os.utime(old, (0, 0))
    ft.FeatureCache(tmp_path)
    assert not old.exists() and new.exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: b"",
        lambda d: d[:10],
        lambda d: d[:-1],
        lambda d: d + b"x",
        lambda d: d[:300] + bytes([d[300] ^ 1]) + d[301:],
    ],
)
def test_a_damaged_entry_is_computed_anew(tmp_path, damage):
    cache, frontend, clip = ft.FeatureCache(tmp_path), ft.Frontend(), voice()
    right, entry = cache(clip, frontend), cache.path(clip, frontend)
    whole = entry.read_bytes()
    entry.write_bytes(damage(whole))
    np.testing.assert_array_equal(cache(clip, frontend), right)
    assert entry.read_bytes() == whole


def test_full_disk_costs_one_warning_and_no_result(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ft.os, "replace", full)
    cache, clip = ft.FeatureCache(tmp_path), voice()
    with pytest.warns(UserWarning, match="No space left on device") as said:
        for frontend in (ft.Frontend(), ft.Frontend(hop=320)):
            np.testing.assert_array_equal(cache(clip, frontend), frontend(clip))
    assert len(said) == 1
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    from ser_nbdev.audio import UnreadableAudio

    os.mkfifo(tmp_path / "pipe.wav")
    for source in (tmp_path / "pipe.wav", "/dev/zero"):
        with pytest.raises(UnreadableAudio, match="no regular file"):
            ft.FeatureCache(tmp_path)(source, ft.Frontend())


def test_settings_content_and_version_are_all_in_the_key(tmp_path, monkeypatch):
    cache, clip = ft.FeatureCache(tmp_path), voice()
    several = (ft.Frontend(), ft.Frontend(hop=320), ft.Frontend(fmin=1.0), ft.baseline_features)
    keys = {cache.path(clip, frontend) for frontend in several}
    keys |= {cache.path(clip[:-1], ft.Frontend()), cache.path(clip.astype(float), ft.Frontend())}
    monkeypatch.setattr(ft, "FEATURES_VERSION", ft.FEATURES_VERSION + 1)
    keys.add(cache.path(clip, ft.Frontend()))
    assert len(keys) == 7


def test_extract_in_processes_equals_extract_in_one(tmp_path):
    sf = pytest.importorskip("soundfile")
    paths = [tmp_path / f"{i}.wav" for i in range(5)]
    for i, path in enumerate(paths):
        sf.write(path, voice(0.5, i), SAMPLE_RATE)
    cache = ft.FeatureCache(tmp_path / "cache")
    one = ft.extract(paths, ft.Frontend(), progress=False)
    two = ft.extract(paths, ft.Frontend(), cache, workers=2, progress=False)
    for x, y in zip(one, two, strict=True):
        np.testing.assert_array_equal(x, y)
    assert len(list((tmp_path / "cache").glob("*/*.npy"))) == 5


def test_extract_names_the_file_that_cannot_be_read(tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"this is no sound")
    cache = ft.FeatureCache(tmp_path / "cache")
    for workers in (1, 2):
        with pytest.raises(ValueError, match="bad.wav"):
            ft.extract([bad], ft.Frontend(), cache, workers=workers, progress=False)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "settings", [{"n_fft": 400}, {"kind": "logmel", "normalise": "mean"}, {"trim": 30.0, "deltas": 2}]
)
def test_settings_survive_json(settings):
    import json

    frontend = ft.Frontend(**settings)
    assert ft.Frontend.from_dict(json.loads(json.dumps(frontend.to_dict()))) == frontend


@pytest.mark.parametrize("made", [ft.Frontend(), ft.Augment(colour=1.0), Disguise(room=0.25)])
def test_settings_are_described_in_one_way(made):
    "The form is stored with every model: the fields by name, tuples as lists once they were JSON."
    import json

    told = made.to_dict()
    assert told == asdict(made) and list(told) == [f.name for f in fields(made)]
    assert type(made).from_dict(json.loads(json.dumps(told))) == made
    with pytest.raises(ValueError, match=f"{type(made).__name__} has no setting called echo, reverb; it has"):
        type(made).from_dict(told | {"reverb": 1, "echo": 2})
    for name in ("to_dict", "from_dict"):
        assert name not in vars(type(made)), "one for all of them"


def test_a_clip_of_two_seconds_takes_two_milliseconds():
    clip, taken = np.resize(voice(), 2 * SAMPLE_RATE), []
    for _ in range(50):
        start = time.perf_counter()
        ft.mfcc(clip)
        taken.append(time.perf_counter() - start)
    assert min(taken) < 0.002
