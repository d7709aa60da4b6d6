"""A recognizer with a known answer, and a real server around it: the page is tested apart from any model."""

from contextlib import contextmanager
from dataclasses import replace
from threading import Thread

from ser_nbdev import audio
from ser_nbdev.serving import Bundle, Prediction
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
