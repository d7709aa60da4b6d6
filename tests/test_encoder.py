"The encoder and its picture: librosa's and onnxruntime's numbers, filling, precision, and files that are not what they say."

import io
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ser_nbdev.audio import SAMPLE_RATE, load
from ser_nbdev.logmel import encoder_frames, pad_front, speech_part
from ser_nbdev.serving import samples

rng = np.random.default_rng(0)
NOISE = rng.normal(size=2 * SAMPLE_RATE).astype(np.float32)


# --- the picture


def test_frames_equal_the_published_recipe():
    librosa = pytest.importorskip("librosa")
    for clip in [load(p) for p in samples()[:3]] + [NOISE, NOISE[:1761]]:
        y = (clip - clip.mean()) / np.sqrt(clip.var() + 1e-7)
        mel = librosa.feature.melspectrogram(
            y=y, sr=SAMPLE_RATE, n_fft=400, hop_length=160, n_mels=80, pad_mode="reflect"
        )
        x = np.log10(np.maximum(mel[:, :-1], 1e-10))
        x = ((np.maximum(x, x.max() - 8) + 4) / 4).T
        np.testing.assert_allclose(encoder_frames(clip, top_db=None), x[len(x) % 2 :], atol=2e-4)


def test_frames_of_hard_clips():
    for clip in (np.zeros(1600), np.ones(1600), np.eye(1, 40000)[0], 1e-20 * NOISE, 1e3 * NOISE):
        x = encoder_frames(clip.astype(np.float32))
        assert x.shape[1] == 80 and len(x) % 2 == 0 and len(x) >= 10 and np.isfinite(x).all()
        assert x.any(axis=1).all()  # none is taken for filling
    assert len(encoder_frames(np.resize(NOISE, 8 * SAMPLE_RATE))) == 800
    with pytest.raises(ValueError, match="cut a longer clip into windows"):
        encoder_frames(np.resize(NOISE, 8 * SAMPLE_RATE + 160))
    with pytest.raises(ValueError, match="one-dimensional float array"):
        encoder_frames(np.zeros((2, 1600)))


def test_warp_moves_the_formants():
    tone = np.sin(2 * np.pi * 2000 * np.arange(16000) / SAMPLE_RATE).astype(np.float32)
    low, same, high = (encoder_frames(tone, warp=w).mean(axis=0).argmax() for w in (0.85, 1.0, 1.15))
    assert low < same < high


@pytest.mark.parametrize("before, after", [(0, 0), (5000, 0), (0, 7001), (12345, 23456)])
def test_silence_is_cut_off_but_for_32_ms(before, after):
    part = speech_part(np.pad(NOISE, (before, after)))
    assert len(NOISE) - 512 <= len(part) <= len(NOISE) + 2 * 1024
    assert np.abs(part).sum() > 0.99 * np.abs(NOISE).sum()


def test_the_picture_is_quick():
    took = []
    for _ in range(200):
        began = time.perf_counter()
        encoder_frames(NOISE)
        took.append(time.perf_counter() - began)
    assert min(took) < 1.2e-3


def test_the_picture_needs_no_keras():
    code = "import sys, ser_nbdev.logmel; print([m for m in ('keras', 'tensorflow', 'pooch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- the network

keras = pytest.importorskip("keras")
from ser_nbdev import encoder as en  # noqa: E402


@pytest.fixture(scope="module")
def published():
    "The published weights, by this machine's own pip."
    pytest.importorskip("onnx")
    try:
        return en.published_weights()
    except en.WeightsError as e:
        pytest.skip(f"The published weights can't be had here: {e}")


@pytest.fixture(scope="module")
def random_weights():
    return {v.path: v.numpy() for v in en.speech_encoder(normed=True).variables}


def test_states_are_those_of_onnxruntime(published):
    import onnx

    ort = pytest.importorskip("onnxruntime")
    graph = onnx.load_from_string(en.weights_file())
    normed = [node.output[0] for node in graph.graph.node if node.op_type == "LayerNormalization"][::2]
    graph.graph.output.extend([onnx.ValueInfoProto(name=name) for name in normed])
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    encoder = en.load_published(en.speech_encoder(normed=True), published)
    root = Path(os.environ.get("SER_DATA_DIR", "nowhere"), "ravdess")
    paths = sorted(root.rglob("*.flac"))[::170] or samples()
    alike = []
    for clip in map(load, paths):
        frames = encoder_frames(np.pad(clip, (max(0, 128000 - len(clip)), 0))[-128000:], top_db=None)
        theirs = session.run(normed, {session.get_inputs()[0].name: frames.T[None]})
        *ours, _ = encoder(frames[None])
        alike.append([np.corrcoef(np.array(a).ravel(), b.ravel())[0, 1] for a, b in zip(ours, theirs)])
    first, *rest = np.mean(alike, axis=0)
    real = paths[0].is_relative_to(root)
    assert first > 0.99 and min(rest[:2]) > (0.97 if real else 0.95) and min(rest[2:]) > 0.85


@pytest.mark.parametrize("policy, eps", [("float32", 1e-4), ("mixed_bfloat16", 0.2)])
def test_filling_changes_nothing(policy, eps, random_weights):
    kept = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_global_policy(policy)
    try:
        encoder = en.load_published(en.speech_encoder(normed=True), random_weights)
    finally:
        keras.mixed_precision.set_global_policy(kept)
    clips = [rng.normal(size=(n, 80)).astype(np.float32) for n in (20, 64, 150)]
    *together, sound = encoder(pad_front(clips, 160))
    assert np.array(sound).sum(axis=1).tolist() == [10, 32, 75]
    for i, clip in enumerate(clips):
        *alone, _ = encoder(clip[None])
        for a, b in zip(alone, together):
            a, b = (np.array(keras.ops.cast(x, "float32")) for x in (a, b))
            np.testing.assert_allclose(a[0], b[i, -len(clip) // 2 :], atol=eps)


def head(encoder):
    frames = keras.Input((None, 80))
    *states, sound = encoder(frames)
    pooled = sum(keras.ops.max(keras.ops.cast(x, "float32"), axis=1) for x in states)
    logits = keras.layers.Dense(3, dtype="float32", name="emotion")(pooled)
    return keras.Model(frames, {"emotion": logits, "embedding": pooled})


def test_every_variable_learns_and_a_saved_model_comes_back(tmp_path):
    keras.utils.set_random_seed(0)
    model = head(en.speech_encoder(2, dropout=0.1, normed=True))
    model.compile("adam", {"emotion": keras.losses.SparseCategoricalCrossentropy(from_logits=True)})
    x, before = pad_front([rng.normal(size=(n, 80)).astype(np.float32) for n in (30, 60)]), {}
    for v in model.trainable_variables:
        before[v.path] = v.numpy()
    model.train_on_batch(x, {"emotion": np.array([0, 1])})
    still = [v.path for v in model.trainable_variables if np.array_equal(before[v.path], v)]
    assert still == []
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(x)["emotion"], model(x)["emotion"], atol=1e-5)


# --- weights that are not what they say


def test_weights_are_loaded_whole_or_not_at_all(random_weights):
    encoder = en.speech_encoder(2)
    before = [v.numpy() for v in encoder.variables]
    harm = {
        "is missing": {k: v for k, v in random_weights.items() if k != "stem/bias2"},
        "no part of an encoder": random_weights | {"layer1/query/scale": np.ones(3)},
        "instead of": random_weights | {"layer2/outer/kernel": np.ones((384, 1536))},
        "no numbers": random_weights | {"layer2/norm2/beta": np.full(384, np.nan)},
        "and 32 more": {},
    }
    for sentence, weights in harm.items():
        with pytest.raises(en.WeightsError, match=sentence):
            en.load_published(encoder, weights)
        assert all(np.array_equal(a, b) for a, b in zip(before, encoder.variables))
    en.load_published(encoder, random_weights)
    assert np.array_equal(encoder.get_layer("layer2").outer.kernel, random_weights["layer2/outer/kernel"])


def wheel(name=en.MEMBER, content=b"not the weights"):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as z:
        z.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize("content", [b"", b"PK\3\4cut short", wheel(), wheel("else"), wheel()[:-30]])
def test_other_files_are_refused(tmp_path, monkeypatch, content):
    (tmp_path / "file").write_bytes(content)
    monkeypatch.setenv("SER_ENCODER_WEIGHTS", str(tmp_path / "file"))
    with pytest.raises(en.WeightsError, match="file: "):
        en.published_weights()


def test_without_a_registry_the_way_out_is_named(tmp_path, monkeypatch):
    import pooch

    monkeypatch.setattr(pooch, "os_cache", lambda _: tmp_path)
    monkeypatch.delenv("SER_ENCODER_WEIGHTS", raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(en.WeightsError, match="SER_ENCODER_WEIGHTS"):
        en.weights_file()


def test_a_broken_cache_is_mended(tmp_path, monkeypatch, published):
    import pooch

    whole = en.weights_file()
    monkeypatch.setattr(pooch, "os_cache", lambda _: tmp_path)
    monkeypatch.setattr(en, "_download", lambda: whole)
    (tmp_path / "smart-turn-v3.2-cpu.onnx").write_bytes(whole[:1000])
    assert en.weights_file() == whole == (tmp_path / "smart-turn-v3.2-cpu.onnx").read_bytes()
    assert len(list(tmp_path.iterdir())) == 1


# --- out of Keras


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_litert_gives_the_same_answers(policy, random_weights):
    keras.mixed_precision.set_global_policy(policy)
    try:
        model = head(en.load_published(en.speech_encoder(2, normed=True), random_weights))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    policies = [layer.dtype_policy.name for layer in model._flatten_layers()]
    content = en.export_litert(model, "float32")
    assert [layer.dtype_policy.name for layer in model._flatten_layers()] == policies
    clips = [rng.normal(size=(n, 80)).astype(np.float32) for n in (10, 800, 30)]
    eps = 1e-4 if policy == "float32" else 0.3
    for clip, answer in zip(clips, en.run_litert(content, clips)):
        for name, y in model(clip[None]).items():
            np.testing.assert_allclose(answer[name], np.array(keras.ops.cast(y, "float32"))[0], atol=eps)


def test_rounded_weights_are_what_int8_keeps(random_weights):
    model = en.round_weights(head(en.load_published(en.speech_encoder(3, normed=True), random_weights)))
    clips = [rng.normal(size=(n, 80)).astype(np.float32) for n in (10, 200)]
    sizes, off = [], []
    for exact in (4, 3, 2, 0):
        content = en.export_litert(model, "int8", exact=exact, clips=clips)
        sizes.append(len(content))
        answers = en.run_litert(content, clips)
        off.append(
            max(np.abs(a["embedding"] - model(c[None])["embedding"][0]).max() for a, c in zip(answers, clips))
        )
    assert max(off[:2]) < 1e-4 < off[2] < off[3]
    assert max(sizes) < 0.3 * len(en.export_litert(model, "float32"))


def test_a_wrong_copy_is_never_returned(random_weights, monkeypatch):
    model = head(en.load_published(en.speech_encoder(1), random_weights))
    broken = en.export_litert(head(en.speech_encoder(1)), "float32")
    monkeypatch.setattr(en, "_convert", lambda *_: broken)
    with pytest.raises(ValueError, match="do not ship it"):
        en.export_litert(model, "float32")


@pytest.mark.parametrize("head", ["statistics", "attention", "lstm"])
def test_what_serves_answers_as_what_was_trained(head):
    "Every way to sum up time, a second network after the first: layers count their names up in a process."
    pytest.importorskip("tensorflow")
    from ser_nbdev import finetuning

    recipe = finetuning.Tuning(depth=1, head=head)
    frames = encoder_frames(NOISE)[None]
    inputs = {
        "frames": frames,
        "company": np.zeros((1, 1), np.float32),
        "allowed": np.ones((1, 7), np.float32),
    }
    for _ in range(2):
        training, _ = finetuning.emotion_encoder(recipe, 7)
        serving = finetuning._for_serving(training, recipe, 7)
        for trained, served in zip(training(inputs), serving(frames)):
            np.testing.assert_allclose(trained, served, atol=1e-4)
