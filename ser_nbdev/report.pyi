from .emotions import COLORS as COLORS
from .scale import BatchError as BatchError, read_rows as read_rows, summary as summary
from .serving import NO_SPEECH as NO_SPEECH
from pathlib import Path

BINS: int

def report(results: str | Path, out: str | Path, by: str = 'folder', most: int = 60) -> Path: ...
