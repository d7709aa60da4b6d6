"A small encoder: what goes in and what comes out are as in a real one, and next to nothing is within."

from functools import cache

import numpy as np

from ser_nbdev.adaptation import Adaptation
from ser_nbdev.emotions import EMOTIONS, MORE
from ser_nbdev.logmel import BANDS
from ser_nbdev.serving import Bundle, write_bundle

LABELS = (*EMOTIONS, *MORE)
ADAPTATION = Adaptation(LABELS, np.tile(np.eye(9), 2), np.eye(18), doubt=1.0, temperature=2.0)


@cache
def model(change: str = "relu", **sizes) -> bytes:
    "A LiteRT model with outputs of these names and sizes, each linear in the changed mean of the frames."
    import keras

    from ser_nbdev.encoder import export_litert

    keras.utils.set_random_seed(0)
    frames = keras.Input((None, BANDS), name="frames")
    mean = getattr(keras.ops, change)(keras.ops.mean(frames, axis=1))
    outputs = [keras.layers.Dense(n, name=name)(mean) for name, n in sizes.items()]
    return export_litert(keras.Model(frames, outputs), "float32", clips=[np.full((20, BANDS), 2)])


def card(threshold: float = 0.2, speech: float = -9.0, **changes) -> dict:
    "What the bundle of a small encoder says of itself, with changes."
    return {
        "kind": "encoder",
        "name": "small",
        "version": "0",
        "labels": list(LABELS),
        "features": {"frames": "encoder_windows"},
        "adaptation": ADAPTATION.to_dict(),
        "calibration": {"threshold": threshold, "speech": speech, "fitted": "On nothing."},
        **changes,
    }


def encoder_bundle(folder, **changes) -> Bundle:
    "The bundle of a small encoder, written to `folder`; `changes` are those of `card`."
    made = model(own=9, relative=9, speech=1)
    return write_bundle(folder, made, card(**changes), "# small 0\n\nA stand-in.\n")
