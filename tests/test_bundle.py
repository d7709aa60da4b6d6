"The bundles that ship, on real speech; a bundle that is written while the disk fills up or the writer is killed."

import errno
import hashlib
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ser_nbdev.audio import SAMPLE_RATE, load
from ser_nbdev import serving
from ser_nbdev.serving import BUNDLES, DEFAULT_BUNDLE, Bundle, BundleError, Recognizer, write_bundle

real_speech = pytest.mark.skipif(
    not os.environ.get("SER_DATA_DIR"), reason="SER_DATA_DIR is not set: no corpora"
)


@pytest.mark.parametrize("folder", sorted(BUNDLES.iterdir()), ids=lambda p: p.name)
def test_what_ships_is_small_and_says_what_it_is(folder):
    bundle = Bundle(folder.name)
    assert {p.name for p in folder.iterdir()} == {"model.tflite", "card.json", "card.md"}
    assert sum(p.stat().st_size for p in folder.iterdir()) <= 12e6
    assert bundle.card["name"] == folder.name and bundle.card["licence"] and bundle.card["figures"]
    assert bundle.card["training"]["memory"]["clips"] > 1000
    text = (folder / "card.md").read_text()
    for part in ("## What it must not be used for", "## Training data", "## Figures", "## Licence"):
        assert part in text
    if bundle.kind == "encoder":  # the licences of the weights it began with go along
        assert "Copyright (c) 2022 OpenAI" in text and "Daily" in text and "OpenAI" in bundle.card["notice"]


def test_the_default_ships():
    assert (BUNDLES / DEFAULT_BUNDLE).is_dir()


@pytest.fixture(scope="module", params=sorted(p.name for p in BUNDLES.iterdir()))
def recognizer(request):
    return Recognizer(request.param)


def tess(folder=None):
    "TESS clips under `folder`, by file name."
    corpora = pytest.importorskip("ser_nbdev.corpora")
    table = corpora.table(folder, "tess")
    return table.set_index(table.path.map(lambda p: Path(p).stem.lower()))


@real_speech
def test_files_as_distributed_get_the_answer_of_their_resampled_copies(recognizer):
    folder = Path(os.environ["SER_DATA_DIR"], "native")
    if not folder.is_dir():
        pytest.skip("there is no folder native in SER_DATA_DIR")
    copies = tess()
    for name, row in tess(folder).iterrows():
        ours, copy = recognizer.predict(row.path), recognizer.predict(copies.path[name])
        assert ours.emotion == copy.emotion == row.emotion, name
        assert abs(ours.confidence - copy.confidence) < 0.02, name


@real_speech
@pytest.mark.parametrize("gain", [0.01, 0.1, 3.0])
def test_loudness_changes_no_answer(recognizer, gain):
    for path in tess().path.sample(40, random_state=0):
        clip = load(path)
        loud = np.clip(clip * gain, -1, 1)
        assert (
            recognizer.predict(loud, SAMPLE_RATE).emotion == recognizer.predict(clip, SAMPLE_RATE).emotion
        ), path


@real_speech
def test_words_that_it_has_never_heard(recognizer):
    heard = {text for _, _, text in recognizer.bundle.card["training"]["memory"]["said"]}
    unheard = tess()
    unheard = unheard[~unheard.text.isin(heard)]
    if unheard.empty:
        pytest.skip("every TESS word on this disk was in training")
    right = [recognizer.predict(row.path).emotion == row.emotion for row in unheard.itertuples()]
    assert np.mean(right) >= 0.995, f"{sum(right)} of {len(right)}"


@pytest.fixture
def old(tmp_path):
    "A bundle of version `old`, to be replaced."
    shipped = Bundle("tess-lstm")
    return write_bundle(tmp_path / "bundle", shipped._model, {**shipped.card, "version": "old"}, "# Old")


@pytest.mark.parametrize("full", ["model.tflite", "card.md", "card.json"])
def test_a_full_disk_leaves_the_old_bundle_and_nothing_else(old, full, monkeypatch):
    write = Path.write_bytes

    def write_half(path, content):
        if path.name != full:
            return write(path, content)
        write(path, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_half)
    with pytest.raises(OSError, match="No space left on device"):
        write_bundle(old.folder, old._model, {**old.card, "version": "new"}, "# New")
    monkeypatch.undo()
    assert Bundle(old.folder).card == old.card and (old.folder / "card.md").read_text() == "# Old"
    assert [p.name for p in old.folder.parent.iterdir()] == ["bundle"]


WRITER = """
import sys
from ser_nbdev.serving import Bundle, write_bundle
old = Bundle(sys.argv[1])
print("ready", flush=True)
write_bundle(old.folder, old._model, {**old.card, "version": "new"}, "# New")
"""


def test_a_killed_writer_leaves_the_old_bundle_or_the_new_one(old):
    for wait in (0, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.1):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, old.folder], stdout=subprocess.PIPE)
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(wait)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        now = Bundle(old.folder)  # whole, or this raises
        title = (now.folder / "card.md").read_text()
        assert (now.card["version"], title) in {("old", "# Old"), ("new", "# New")}


# ---- hostile


@pytest.fixture
def copy(tmp_path):
    "A bundle to be spoilt, and what writes its card with changes."
    folder = tmp_path / "copy"
    shutil.copytree(BUNDLES / "tess-lstm", folder)
    card = json.loads((folder / "card.json").read_text())
    return folder, lambda **changes: (folder / "card.json").write_text(json.dumps({**card, **changes}))


@pytest.mark.parametrize(
    "name", ["../evil.txt", "/tmp/evil.txt", "model.pkl", "sub/model.tflite", "..", "", "card.json"]
)
def test_a_card_names_no_other_files(copy, tmp_path, name):
    "Neither are they read, nor copied to other machines, nor do they get anywhere near a pickle."
    folder, spoil = copy
    (tmp_path / "evil.txt").write_bytes(b"x")
    (folder / "model.pkl").write_bytes(pickle.dumps(Path))
    sums = Bundle(folder).card["checksums"]
    spoil(checksums={**sums, name: hashlib.sha256(b"x").hexdigest()})
    with pytest.raises(
        BundleError, match="get it again|has no such file; do not trust it|is not what the card says"
    ):
        Bundle(folder)


def test_other_files_in_the_folder_are_not_opened(copy, monkeypatch):
    folder, _ = copy
    for name in ("model.pkl", "card.md.py", "weights.h5", "__init__.py"):
        (folder / name).write_bytes(b"raise SystemExit")
    opened = []
    monkeypatch.setattr(
        serving, "_content", lambda f, n, read=serving._content: opened.append(n) or read(f, n)
    )
    Recognizer(Bundle(folder))
    assert set(opened) == {"card.json", "card.md", "model.tflite"}


@pytest.mark.parametrize("name", ["card.json", "card.md", "model.tflite"])
def test_what_is_no_file_or_too_large_is_refused_unread(copy, name):
    folder, _ = copy
    for make in (os.mkfifo, lambda path: os.symlink("/dev/zero", path), os.mkdir):
        (folder / name).unlink(missing_ok=True)
        make(folder / name)
        with pytest.raises(BundleError, match=f"{name} is no regular file"):
            Bundle(folder)
        (folder / name).rmdir() if (folder / name).is_dir() else (folder / name).unlink()
    with open(folder / name, "wb") as file:
        file.truncate(2**40)  # a hole, which takes no room
    with pytest.raises(BundleError, match=f"{name} is larger than"):
        Bundle(folder)


@pytest.mark.parametrize(
    "card",
    [
        b"[" * 100_000,
        b"\xff\xfe",
        b"NaN",
        b'{"format": true}',
        b'{"format": 1.0}',
        b'{"format": "' + b"x" * 10_000 + b'"}',
    ],
    ids=["deep", "no text", "nan", "true", "1.0", "long"],
)
def test_cards_that_are_none(copy, card):
    folder, _ = copy
    (folder / "card.json").write_bytes(card)
    with pytest.raises(BundleError) as told:
        Bundle(folder)
    assert len(str(told.value)) < 1_000 and "\n" not in str(told.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": []},
        {"labels": ["a", "a", "b", "c", "d", "e", "f"]},
        {"labels": [1, 2, 3, 4, 5, 6, 7]},
        {"calibration": {"temperature": 1e-300}},
        {"calibration": {"temperature": float("nan")}},
        {"features": {"n_fft": 2**40}},
        {"features": {"n_mels": True}},
        {"features": {"fmin": 100.0, "fmax": 100.0000001}},
        {"features": {"trim": 0}},
        {"features": {"warps": [1.5] * 100_000}},
        {"features": {"warps": []}},
    ],
    ids=lambda changes: str(changes)[:60],
)
def test_cards_that_ask_for_the_impossible(copy, changes):
    folder, spoil = copy
    spoil(**changes)
    with pytest.raises(BundleError, match="get (it|the bundle) again"):
        Bundle(folder)


def test_a_model_with_code_of_its_own_is_refused(copy):
    "LiteRT knows its own operators; what a model brings along, or would run in TensorFlow, is not run."
    tf = pytest.importorskip("tensorflow")
    folder, spoil = copy

    @tf.function(input_signature=[tf.TensorSpec([1, 4], tf.float32)])
    def f(x):
        return tf.raw_ops.Betainc(a=x, b=x, x=x)

    converter = tf.lite.TFLiteConverter.from_concrete_functions([f.get_concrete_function()])
    converter.allow_custom_ops = True
    model = converter.convert()
    (folder / "model.tflite").write_bytes(model)
    spoil(checksums={"model.tflite": hashlib.sha256(model).hexdigest()})
    with pytest.raises(BundleError, match="not a LiteRT model of its kind"):
        Bundle(folder)


def test_a_model_that_asks_for_gigabytes_gets_none(copy):
    "One byte of the smallest model makes its input a gigabyte and a half, as fuzzing has found."
    resource, folder = pytest.importorskip("resource"), copy[0]
    card, _, model = (
        (Path(__file__).parent / "fuzz_corpus/bundle/smallest-lstm").read_bytes().partition(b"\n--model--\n")
    )
    at = model.index(b"\x01\0\0\0\x01\0\0\0\x04\0\0\0") + 8  # the shape 1, 1, 4
    for byte in (1, 2, 3):
        spoilt = model[: at + byte] + b"\x17" + model[at + byte + 1 :]
        (folder / "model.tflite").write_bytes(spoilt)
        sums = {"model.tflite": hashlib.sha256(spoilt).hexdigest()}
        (folder / "card.json").write_text(json.dumps({**json.loads(card), "checksums": sums}))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(BundleError, match="do not trust it" if byte == 3 else "."):
            Bundle(folder)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 300_000, f"{grown} kB"


def test_a_model_that_kills_kills_another_process(copy, monkeypatch):
    "LiteRT takes the place of its first table from the eighth byte, unseen."
    folder, spoil = copy
    model = bytearray((folder / "model.tflite").read_bytes())
    model[8] = 8
    (folder / "model.tflite").write_bytes(model)
    spoil(checksums={"model.tflite": hashlib.sha256(model).hexdigest()})
    for _ in range(2):
        with pytest.raises(BundleError, match="brings down the process that opens it .-11.: do not trust it"):
            Bundle(folder)


def test_a_bundle_is_tried_out_once_for_this_process_and_its_children(copy, monkeypatch):
    folder, spoil = copy
    sums = json.loads((folder / "card.json").read_text())["checksums"]
    spoil(name="mine", checksums=sums)
    run, runs = subprocess.run, []
    monkeypatch.setattr(subprocess, "run", lambda *args, **kw: runs.append(args) or run(*args, **kw))
    monkeypatch.setenv("SER_TRIED", "")
    for _ in range(3):
        Bundle(folder)
    Bundle("tess-lstm")
    assert len(runs) == 1
    code = "import subprocess, sys; subprocess.run = None; from ser_nbdev.serving import Bundle; Bundle(sys.argv[1])"
    assert run([sys.executable, "-c", code, folder]).returncode == 0


def test_a_card_for_people_that_is_no_text_is_shown_all_the_same(copy):
    folder, spoil = copy
    (folder / "card.md").write_bytes(b"# \xff card")
    sums = json.loads((folder / "card.json").read_text())["checksums"]
    spoil(checksums={"model.tflite": sums["model.tflite"]})
    assert Bundle(folder).card_md() == "# \ufffd card"
