from _typeshed import Incomplete
from typing import NamedTuple

EMOTIONS: Incomplete
MORE: Incomplete
COLORS: Incomplete

def color(label: str) -> str: ...
def bars(rows, most: float = 1.0, pale: bool = False) -> str: ...

class Affect(NamedTuple):
    arousal: float
    valence: float

AROUSAL_VALENCE: Incomplete
WORDS: Incomplete

def label(corpus: str, word: str) -> str: ...
