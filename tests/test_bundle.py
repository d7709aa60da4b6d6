"The bundles that ship, on real speech; a bundle that is written while the disk fills up or the writer is killed."

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ser_nbdev.audio import SAMPLE_RATE, load
from ser_nbdev.serving import BUNDLES, DEFAULT_BUNDLE, Bundle, Recognizer, write_bundle

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
