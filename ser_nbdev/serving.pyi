import numpy as np
from .adaptation import Adaptation as Adaptation, STRANGER as STRANGER
from .audio import AUDIO_SUFFIXES as AUDIO_SUFFIXES, SAMPLE_RATE as SAMPLE_RATE, load as load
from .emotions import EMOTIONS as EMOTIONS, bars as bars, color as color
from .features import Frontend as Frontend
from .logmel import BANDS as BANDS, encoder_windows as encoder_windows
from .recording import Stream as Stream, loudest as loudest
from .timeline import NO_SPEECH as NO_SPEECH, Timeline as Timeline
from _typeshed import Incomplete
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from fastcore.basics import patch as patch
from pathlib import Path

BUNDLES: Incomplete
DEFAULT_BUNDLE: str
KINDS: Incomplete
FILES: Incomplete

class BundleError(ValueError):
    def __init__(self, told) -> None: ...

class Bundle:
    adaptation: Incomplete
    threshold: Incomplete
    speech: Incomplete
    folder: Incomplete
    card: Incomplete
    def __init__(self, source: str | Path | None = None) -> None: ...
    def card_md(self) -> str: ...
    def hear(self, clip: np.ndarray) -> tuple: ...

@contextmanager
def hushed() -> Generator[None]: ...
def settle(views: np.ndarray, temperature: float = 1.0) -> np.ndarray: ...

WINDOW: float

def write_bundle(folder: str | Path, model: bytes, card: dict, card_md: str) -> Bundle: ...

@dataclass(frozen=True)
class Prediction:
    emotion: str
    confidence: float
    probabilities: dict
    duration: float
    unsure: bool = ...
    def to_dict(self) -> dict: ...

class Recognizer:
    known_by: int
    bundle: Incomplete
    labels: Incomplete
    def __init__(self, bundle: Bundle | str | Path | None = None, labels=None) -> None: ...
    def hear(self, source, rate: int | None = None, *, max_seconds: float | None = ...) -> Heard: ...
    def listen(self, clip: np.ndarray) -> Heard: ...
    def overhear(self, clip: np.ndarray, before: Heard | None = None) -> Heard: ...
    def answer(self, heard: Heard) -> Prediction: ...
    def predict(self, source, rate: int | None = None, *, max_seconds: float | None = ...) -> Prediction: ...
    def adapt(self, clips, rate: int | None = None, *, max_seconds: float | None = ...) -> Recognizer: ...
    def speaker(self) -> dict: ...
    def with_speaker(self, known: dict) -> Recognizer: ...
    def timeline(self, source, rate: int | None = None, **kwargs) -> Timeline: ...
    def stream(self, rate: int, **kwargs) -> Stream: ...

MAX_SECONDS: float

@dataclass(frozen=True, eq=False)
class Heard:
    scores: np.ndarray
    speech: float | None
    duration: float

def samples() -> list: ...

MOST_KNOWN: int
