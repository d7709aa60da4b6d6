import numpy as np
from .audio import SAMPLE_RATE as SAMPLE_RATE
from .features import spectrogram as spectrogram
from _typeshed import Incomplete

BLOCK: Incomplete
MARGIN: Incomplete
SHORTEST: Incomplete

def speech_part(clip: np.ndarray, top_db: float = 35.0) -> np.ndarray: ...

HOP: Incomplete
BANDS: Incomplete
MAX_FRAMES: Incomplete

def encoder_frames(clip: np.ndarray, warp: float = 1.0, top_db: float | None = 35.0) -> np.ndarray: ...
def encoder_windows(clip: np.ndarray, warp: float = 1.0, seconds: float = 4.0) -> list: ...
def pad_front(clips: list, frames: int | None = None) -> np.ndarray: ...
