"""`ser serve`: the application under waitress, a production server of plain Python."""

import errno
import json
import logging
import signal
import socket

from waitress.channel import HTTPChannel
from waitress.server import create_server
from waitress.task import ErrorTask

from .app import MAX_BYTES, create_app

__all__ = ["ServeError", "create_app", "listen", "make_server", "serve"]


class ServeError(OSError):
    "The server could not be started; the message is a sentence."


class _Sentence(ErrorTask):
    "What the server refuses before the application sees it (a body far too large, a broken header), as JSON."

    def execute(self):
        e = self.request.error
        body = json.dumps({"error": f"The server did not take the request: {e.reason.lower()}."}).encode()
        self.status = f"{e.code} {e.reason}"
        self.response_headers.extend(
            [("Content-Type", "application/json"), ("X-Content-Type-Options", "nosniff")]
        )
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Channel(HTTPChannel):
    error_task_class = _Sentence


def listen(host, port):
    "A listening socket, or a `ServeError` that says what is in the way."
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError):
        raise ServeError(
            f"The host {host!r} is not known here: use 127.0.0.1, or an address of this machine."
        ) from None
    except OverflowError:
        raise ServeError(f"There is no port {port}: choose one from 1 to 65535.") from None
    sock = socket.socket(family, kind)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(128)
    except OSError as e:
        sock.close()
        cure = {
            errno.EADDRINUSE: "is in use: stop what uses it, or choose another with --port",
            errno.EACCES: "needs rights that you do not have: choose one above 1023 with --port",
            errno.EADDRNOTAVAIL: "cannot be had, that is no address of this machine: use 127.0.0.1",
        }.get(e.errno, f"cannot be listened on: {e.strerror}")
        raise ServeError(f"Port {port} on {host} {cure}.") from None
    return sock


def make_server(app, sock, threads=4):
    """A waitress server for `app` on a listening socket. Requests are kept in memory up to twice the largest
    clip, so that the application can refuse a large one in a sentence; nothing is buffered on the disk."""
    most = 2 * app.config.get("SER_MAX_BYTES", MAX_BYTES) + 2**20
    server = create_server(
        app,
        sockets=[sock],
        threads=threads,
        ident=None,
        max_request_body_size=most,
        inbuf_overflow=most + 1,
        outbuf_overflow=most + 1,
        clear_untrusted_proxy_headers=True,
    )
    server.channel_class = _Channel
    return server


def address(sock):
    "What to type into a browser."
    host, port = sock.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def serve(recognizer=None, host="127.0.0.1", port=8000, say=print):
    """Serve the page until Ctrl-C or SIGTERM."""
    sock = listen(host, port)
    app = create_app(recognizer)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("waitress").setLevel(logging.ERROR)  # queue depth is no news for one page
    server = make_server(app, sock)

    def stop(*_):
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    say(f"The page is at {address(sock)}  (Ctrl-C stops it)")
    try:
        server.run()
    finally:
        server.close()
    say("Stopped.")
