"""A recognizer with a known answer, and a real server around it: the page is tested apart from any model."""

from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from threading import Thread
from types import SimpleNamespace

from ser_nbdev import audio
from ser_nbdev.serving import NO_SPEECH, Bundle, Prediction
from ser_nbdev.webapp import create_app
from ser_nbdev.webapp.server import address, listen, make_server

SHARES = {
    "angry": 0.021,
    "disgust": 0.003,
    "fear": 0.08,
    "happy": 0.862,
    "neutral": 0.02,
    "sad": 0.012,
    "surprise": 0.002,
}


class Stub:
    """Decodes the clip as the real one does, and then always hears the same."""

    def __init__(self, shares=SHARES, **answer):
        self.shares, self.answer, self.labels = shares, answer, tuple(shares)
        self.bundle = Bundle("tess-lstm")

    def predict(self, source, rate=None, *, max_seconds=None):
        clip = audio.load(source, rate, max_seconds=max_seconds)
        best = max(self.shares, key=self.shares.get)
        heard = Prediction(best, self.shares[best], self.shares, len(clip) / audio.SAMPLE_RATE)
        return replace(heard, **self.answer)

    def timeline(self, source, *, max_seconds=None):
        whole = self.predict(source, max_seconds=max_seconds)
        return [segment(whole, 0, 1, whole.emotion, whole.confidence, whole.unsure)]


class Acted(Stub):
    """Hears in the first half what it hears in the whole, then silence, then somebody sad, and is not sure of that.
    It gets used to a voice, and then hears fear."""

    known_by = 0

    def __init__(self, shares=SHARES, **answer):
        super().__init__(shares, **answer)
        self.bundle = Bundle("speech-encoder")

    def timeline(self, source, *, max_seconds=None):
        whole = self.predict(source, max_seconds=max_seconds)
        said = (whole.emotion, whole.confidence, whole.unsure)
        if whole.emotion == NO_SPEECH:
            return [segment(whole, 0, 1, *said)]
        parts = [(0, 0.5, *said), (0.5, 0.6, NO_SPEECH, 0.9, False), (0.6, 1, "sad", 0.41, True)]
        return [segment(whole, *part) for part in parts]

    def hear(self, source, rate=None, *, max_seconds=None):
        return audio.load(source, rate, max_seconds=max_seconds)

    def adapt(self, heard):
        return self.with_speaker({"clips": self.known_by + len(heard)})

    def with_speaker(self, known):
        knows = copy(self)
        knows.known_by = known["clips"]
        knows.shares = SHARES | {"happy": 0.08, "fear": 0.862}
        return knows

    def speaker(self):
        model = self.bundle.card["checksums"]["model.tflite"][:16]
        return {"model": model, "scores": [], "clips": self.known_by}


class Two(Acted):
    "Two speakers, one on each channel."

    def timeline(self, source, *, max_seconds=None):
        whole = self.predict(source, max_seconds=max_seconds)
        parts = [("left", 0, 0.7, "happy"), ("right", 0.3, 0.6, "angry"), ("right", 0.6, 1, "fear")]
        return [segment(whole, start, end, said, 0.8, False, who) for who, start, end, said in parts]


def segment(whole, start, end, emotion, confidence, unsure, channel=None):
    "A part of a timeline, from and to a share of the whole."
    part = {"start": start * whole.duration, "end": end * whole.duration, "emotion": emotion}
    part |= {
        "confidence": confidence,
        "probabilities": whole.probabilities,
        "unsure": unsure,
        "channel": channel,
    }
    return SimpleNamespace(to_dict=lambda: part)


@contextmanager
def served(app=None):
    "The address of a real server that runs in this process."
    sock = listen("127.0.0.1", 0)
    where = address(sock)
    server = make_server(app or create_app(Stub()), sock)
    loop = Thread(target=server.run, daemon=True)
    loop.start()
    try:
        yield where
    finally:  # the loop ends when nothing is left to listen to, and only its own thread may take it away
        server.trigger.pull_trigger(lambda: server.asyncore.close_all(server._map, ignore_all=True))
        loop.join(10)
        server.task_dispatcher.shutdown()
