"""Who does the work: this very process, under any WSGI server. `pool` has the same for processes of its own.

The library is imported when the work begins: a server whose workers do it has no use for it, nor for its memory.
"""

from contextlib import contextmanager
from threading import Lock

from .problems import Problem


class Local:
    """Does the work in the thread that asks. The default recognizer is opened when it is first needed, and once."""

    places, stopping = 4, False  # requests at a time
    inside = replaced = alive = 0  # workers and requests that wait for them
    full = False

    def __init__(self, recognizer=None):
        self._recognizer, self._lock = recognizer, Lock()

    @property
    def recognizer(self):
        with self._lock:
            if self._recognizer is None:
                from ser_nbdev.serving import Recognizer

                self._recognizer = Recognizer()
            return self._recognizer

    @property
    def bundle(self):
        return self.recognizer.bundle

    @property
    def labels(self):
        return self.recognizer.labels

    @property
    def words(self):
        "What of the library the page and the description of the API speak of."
        from .jobs import words

        return words()

    def ready(self):
        "A sentence about why nothing can be answered, or None."
        self.recognizer
        return None

    @contextmanager
    def admitted(self):
        "A place for one request; the server's threads are the bound here."
        yield

    def __call__(self, task, clips, **how):
        "The result of a job (see `jobs`); raises `Problem`."
        from .jobs import Refused, run

        try:
            return run(self.recognizer, task, clips, **how)
        except Refused as no:
            raise Problem(no.kind, no.sentence) from no
