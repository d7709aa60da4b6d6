"""Workers: processes that decode and listen, each one clip at a time, each replaced when it dies.

A decoder that hangs cannot be interrupted in a thread, and one that crashes takes its process along. Here both cost
a worker, and the client gets a sentence: the server itself never decodes anything.
"""

import json
import logging
import math
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from types import SimpleNamespace

from ser_nbdev.engine import WORKER_ENVIRONMENT

from .logs import note
from .problems import Problem

#: Seconds that a worker may take for one clip.
TIME_LIMIT = 120.0

#: Requests that may wait for each worker.
QUEUE = 1

START = 30.0  # seconds that a worker may take to start, and a request waits for one at least
CRASHES = {
    -s for s in (signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGILL, getattr(signal, "SIGBUS", 7))
}

CODE = (
    "import sys; sys.path[:] = {path!r}; from ser_nbdev.webapp.worker import main; main({number}, {bundle!r})"
)


class PoolError(RuntimeError):
    "The workers cannot start; the message is a sentence."


class _Worker:
    "One process and the socket to it."

    def __init__(self, bundle, seconds):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            # a worker that is stopped in its tracks must not hold whoever sends to it
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", math.ceil(seconds), 0))
            code = CODE.format(path=sys.path, number=theirs.fileno(), bundle=bundle)
            self.process = subprocess.Popen(
                [sys.executable, "-c", code],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=os.environ | WORKER_ENVIRONMENT,
            )
            self.link = Connection(ours.detach())
        self.dead, self.asked = Event(), 0

    def listen(self, seconds):
        "What it says next; raises `TimeoutError`, and `EOFError` or `OSError` if it is gone."
        if not self.link.poll(max(0, seconds)):
            raise TimeoutError
        return json.loads(self.link.recv_bytes())

    def ask(self, job, clips, seconds):
        until = time.monotonic() + seconds
        self.link.send_bytes(json.dumps(job | {"clips": len(clips)}).encode())
        for clip in clips:
            self.link.send_bytes(clip)
        return self.listen(until - time.monotonic())


class Pool:
    """Workers behind a bounded queue. `start` it before use, and `close` it after."""

    def __init__(
        self,
        workers: int = 1,  # processes
        bundle=None,  # a folder or a name; None: the default one
        *,
        queue: int | None = None,  # requests that may wait; None: `QUEUE` for each worker
        time_limit: float = TIME_LIMIT,  # seconds that a worker may take for one clip
    ):
        self.workers, self.time_limit = workers, time_limit
        self.queue = QUEUE * workers if queue is None else queue
        self._source = None if bundle is None else str(bundle)
        self._idle, self._lock = SimpleQueue(), Lock()
        self._team = {}  # worker by the number of its place
        self._ready, self._closing, self._error = Event(), Event(), None
        self.inside = self.replaced = 0
        self.places, self.stopping = workers + self.queue, False
        self._mean = 0.05  # seconds that a request takes, a running mean

    def start(self):
        "Start the workers, and wait for the first; raises `PoolError`."
        self._keepers = [Thread(target=self._keep, args=[i], daemon=True) for i in range(self.workers)]
        for keeper in self._keepers:
            keeper.start()
        self._ready.wait()
        if self._error:
            self.close()
            raise PoolError(self._error)
        return self

    def _keep(self, place):
        "See to it that there is a worker in this place, for as long as there is a pool."
        failures = 0
        while not self._closing.is_set():
            worker = _Worker(self._source, self.time_limit)
            with self._lock:
                self._team[place] = worker
            if self._closing.is_set():  # `close` may have looked before it was there
                worker.process.kill()
            try:
                said = worker.listen(START)
                if "error" in said:
                    raise PoolError(said["error"])
            except (PoolError, TimeoutError, EOFError, OSError, ValueError) as error:
                worker.process.kill()
                worker.process.wait()
                failures += 1
                self._failed(error, failures)
                continue
            failures = 0
            self._introduced(said)
            self._idle.put(worker)
            code = worker.process.wait()
            worker.dead.set()
            if not self._closing.is_set():
                self.replaced += 1
                note("a worker died and is replaced", logging.WARNING, pid=worker.process.pid, code=code)

    def _failed(self, error, times):
        "A worker did not come up: say so, and wait longer each time."
        if self._closing.is_set():
            return
        if not self._ready.is_set():
            self._error = (
                str(error) or "A worker ended as soon as it was started: the log has its last words."
            )
            self._closing.set()
            return self._ready.set()
        note("a worker did not start", logging.ERROR, reason=repr(error))
        self._closing.wait(min(30, 2**times / 4))

    def _introduced(self, said):
        if not self._ready.is_set():
            self.labels, self.words = tuple(said["labels"]), said.pop("words")
            self.bundle = SimpleNamespace(**{**said, "folder": Path(said["folder"]), "labels": self.labels})
            self._ready.set()

    @property
    def alive(self):
        "Workers that can be asked."
        with self._lock:
            team = list(self._team.values())
        return sum(w.process.returncode is None and not w.dead.is_set() for w in team)

    def ready(self):
        "A sentence about why nothing can be answered, or None."
        if self.stopping:
            return "The server is stopping."
        return None if self.alive else "No worker is there yet: try again in a second."

    def close(self):
        "Let the workers go, whatever they are at."
        self._closing.set()
        self._ready.set()
        with self._lock:
            team = list(self._team.values())
        for worker in team:
            worker.process.kill()
        for keeper in self._keepers:
            keeper.join(10)
        for worker in team:
            worker.link.close()

    def retry_after(self):
        "Seconds until a place is likely to be free."
        return min(60, max(1, math.ceil(self.inside * self._mean / self.workers)))

    @property
    def full(self):
        "Whether all places are taken, in the workers and in the queue."
        return self.inside >= self.places

    def busy(self):
        "What a client is told who finds it so."
        return Problem("busy", "The server is busy: try again in a moment.", self.retry_after())

    @contextmanager
    def admitted(self):
        "A place for one request, in a worker or in the queue; raises `Problem` if all are taken."
        with self._lock:
            full = self.full
            self.inside += not full
        if full:
            raise self.busy()
        began = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self.inside -= 1
                self._mean += 0.05 * (time.monotonic() - began - self._mean)

    def _take(self, until):
        "An idle worker, in the order of asking."
        while True:
            try:
                worker = self._idle.get(timeout=max(0, until - time.monotonic()))
            except Empty:
                raise Problem("busy", "No worker was free in time: try again.", self.retry_after()) from None
            if not worker.dead.is_set():
                return worker

    def __call__(self, task, clips, **how):
        """The result of a job (see `jobs`); raises `Problem`.

        A job does nothing but give an answer, so one whose worker was killed is done again, once, by another."""
        until = time.monotonic() + max(self.time_limit, START)
        for _ in range(2):
            worker = self._take(until)
            try:
                reply = worker.ask({"task": task, **how}, clips, self.time_limit)
            except (TimeoutError, BlockingIOError):  # in listening, in sending
                worker.process.kill()
                limit = f"The clip takes longer than {self.time_limit:g} s to read, the limit here"
                raise Problem("too-slow", f"{limit}: send a shorter one.") from None
            except (EOFError, OSError, ValueError):
                worker.process.kill()  # it is gone, or no longer makes sense
                worker.dead.wait(10)
                if worker.process.returncode in CRASHES:
                    sorry = (
                        "The clip is damaged in a way that stops the decoder; export it anew as WAV or FLAC."
                    )
                    raise Problem("unreadable", sorry) from None
                continue
            self._idle.put(worker)
            return self._result(reply)
        raise Problem("lost", "The work on the clip was lost with its process: send it again.", 1)

    def _result(self, reply):
        if "refused" in reply:
            raise Problem(*reply["refused"])
        if "broken" in reply:
            raise RuntimeError("a worker met an error:\n" + reply["broken"])
        return reply["result"]
