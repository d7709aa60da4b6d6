import anywidget
from .audio import AudioError as AudioError
from .serving import Prediction as Prediction, Recognizer as Recognizer
from _typeshed import Incomplete
from fastcore.basics import patch as patch

class ClipWidget(anywidget.AnyWidget):
    answer: Incomplete
    recognizer: Incomplete
    clip: bytes | None
    prediction: Prediction | None
    def __init__(self, recognizer: Recognizer | None = None) -> None: ...
    def take(self, clip: bytes): ...
