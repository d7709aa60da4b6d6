"The bundle that ships, on real speech."

import os
from pathlib import Path

import numpy as np
import pytest

from ser_nbdev.audio import SAMPLE_RATE, load
from ser_nbdev.serving import Recognizer

pytestmark = pytest.mark.skipif(
    not os.environ.get("SER_DATA_DIR"), reason="SER_DATA_DIR is not set: no corpora"
)


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer()


def tess(folder=None):
    "TESS clips under `folder`, by file name."
    corpora = pytest.importorskip("ser_nbdev.corpora")
    table = corpora.table(folder, "tess")
    return table.set_index(table.path.map(lambda p: Path(p).stem.lower()))


def test_files_as_distributed_get_the_answer_of_their_resampled_copies(recognizer):
    folder = Path(os.environ["SER_DATA_DIR"], "native")
    if not folder.is_dir():
        pytest.skip("there is no folder native in SER_DATA_DIR")
    copies = tess()
    for name, row in tess(folder).iterrows():
        ours, copy = recognizer.predict(row.path), recognizer.predict(copies.path[name])
        assert ours.emotion == copy.emotion == row.emotion, name
        assert abs(ours.confidence - copy.confidence) < 0.02, name


@pytest.mark.parametrize("gain", [0.01, 0.1, 3.0])
def test_loudness_changes_no_answer(recognizer, gain):
    for path in tess().path.sample(40, random_state=0):
        clip = load(path)
        loud = np.clip(clip * gain, -1, 1)
        assert (
            recognizer.predict(loud, SAMPLE_RATE).emotion == recognizer.predict(clip, SAMPLE_RATE).emotion
        ), path


def test_words_that_it_has_never_heard(recognizer):
    heard = {text for _, _, text in recognizer.bundle.card["training"]["memory"]["said"]}
    unheard = tess()
    unheard = unheard[~unheard.text.isin(heard)]
    if unheard.empty:
        pytest.skip("every TESS word on this disk was in training")
    right = [recognizer.predict(row.path).emotion == row.emotion for row in unheard.itertuples()]
    assert np.mean(right) >= 0.995, f"{sum(right)} of {len(right)}"
