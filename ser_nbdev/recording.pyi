import numpy as np
from .audio import BadArray as BadArray, NotFinite as NotFinite, QUALITY as QUALITY, Reader as Reader, SAMPLE_RATE as SAMPLE_RATE
from .timeline import NO_SPEECH as NO_SPEECH, STAY as STAY, Segment as Segment, Timeline as Timeline, merge as merge, smooth as smooth, step as step
from _typeshed import Incomplete
from dataclasses import dataclass
from fastcore.basics import patch as patch

FRAME: int
EDGES: Incomplete

class Gate:
    quietest: float
    above: float
    memory: int
    learning: int
    def __init__(self) -> None: ...
    def __call__(self, x: np.ndarray) -> np.ndarray: ...

def loudest(clip: np.ndarray, seconds: float = 0.7) -> np.ndarray: ...

PAUSE: float
GAP: float
PAD: float
ONSET: int
VOICED: int
LEAST: float
REST: float
TRUST: float

class RecordingError(ValueError): ...

@dataclass(frozen=True, eq=False)
class Piece:
    start: int
    end: int
    heard: object = ...
    same: bool = ...

class Walk:
    def __init__(self, hear, window: float, hop: float) -> None: ...
    def feed(self, block: np.ndarray) -> list: ...
    def finish(self) -> list: ...
    def fork(self): ...

KNOWN: int
FIRST: int

class Live:
    def __init__(self, recognizer, adapt: bool, stay: float, channel: str | None = None) -> None: ...
    def __call__(self, piece: Piece) -> Segment: ...

def answered(recognizer, pieces: list, adapt: bool = True, hindsight: bool = True, stay: float = ..., channel: str | None = None) -> list: ...

ALIKE: float

class Voices:
    def __init__(self, hear, window, hop) -> None: ...
    def feed(self, block: np.ndarray): ...
    def finish(self) -> None: ...

WINDOW: float

def timeline(recognizer, source, rate: int | None = None, *, window: float = ..., hop: float | None = None, adapt: bool = True, hindsight: bool = True, stay: float = ..., stereo: bool = True, max_seconds: float | None = None, progress=None) -> Timeline: ...

class Stream:
    delay: Incomplete
    def __init__(self, recognizer, rate: int, *, window: float = ..., hop: float | None = None, adapt: bool = True, stay: float = ...) -> None: ...
    def feed(self, chunk) -> list: ...
    def finish(self) -> list: ...
