"""A process that decodes and listens, and does nothing else: it reads jobs from a socket and writes answers to it.

It keeps no files and may write none. Whatever a clip does to a decoder, it does it here, and a new process takes
over. What it says is JSON, so that the server need not trust it either.
"""

import json
import os
import signal
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection

from ser_nbdev import serving

from .jobs import Refused, run, words


#: Bytes of memory that a worker may have.
MEMORY = 2 * 2**30


def _resign_rights():
    "No file can be written by this process, no core is left behind, and its memory is bounded."
    try:
        import resource
    except ImportError:
        return
    for limit, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_DATA, MEMORY),
    ):
        _, hard = resource.getrlimit(limit)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(limit, (most, most))
        except OSError:  # a sandbox that allows no limits has its own
            pass


def _hush():
    "What decoders have to say about a damaged clip is nothing for the log, which is JSON."
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)


def _introduction(recognizer):
    "What the server wants to know about the bundle, which it does not open itself."
    b = recognizer.bundle
    return {
        "labels": list(recognizer.labels),
        "card": b.card,
        "folder": str(b.folder),
        "kind": b.kind,
        "threshold": b.threshold,
        "words": words(),
    }


def _warm_up(recognizer):
    "Load what the first clip would have to wait for."
    import av  # noqa: F401

    run(recognizer, "predict", [serving.samples()[0].read_bytes()], max_seconds=60)


def answer(recognizer, job, clips):
    "The reply to a job: a result, a refusal, or the trace of what went wrong."
    try:
        return {"result": run(recognizer, job.pop("task"), clips, **job)}
    except Refused as no:
        return {"refused": [no.kind, no.sentence]}
    except MemoryError:
        return {"refused": ["too-long", "The clip takes more memory than there is: cut it into pieces."]}
    except Exception:
        return {"broken": traceback.format_exc()}


def main(
    number: int,  # of the open socket
    bundle: str | None,  # a folder or a name; None: the default one
):
    "Answer jobs until the server closes its end."
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C and a stopped service are the server's business:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it lets us finish, and then closes the socket
    with suppress(OSError):  # a sandbox may forbid it
        os.nice(15)  # give way to the server in front, which has to say quickly that all are busy
    link = Connection(number)

    def say(reply):
        link.send_bytes(json.dumps(reply).encode())

    try:
        recognizer = serving.Recognizer(bundle)
    except serving.BundleError as error:
        return say({"error": str(error)})
    _warm_up(recognizer)
    _hush()
    _resign_rights()
    try:
        say(_introduction(recognizer))
        while True:
            job = json.loads(link.recv_bytes())
            say(answer(recognizer, job, [link.recv_bytes() for _ in range(job.pop("clips"))]))
    except (EOFError, OSError):
        os._exit(0)
