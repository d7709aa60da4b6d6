from _typeshed import Incomplete
from typing import NamedTuple

EMOTIONS: Incomplete
MORE: Incomplete
COLORS: Incomplete

class Affect(NamedTuple):
    arousal: float
    valence: float

AROUSAL_VALENCE: Incomplete
WORDS: Incomplete

def label(corpus: str, word: str) -> str: ...
