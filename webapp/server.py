"""`ser serve`: the application under waitress, a production server of plain Python, and workers behind it."""

import errno
import json
import os
import signal
import socket
import time
from contextlib import contextmanager

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher, WSGITask
from waitress.utilities import Error

from .app import MAX_BYTES, create_app
from .engine import Local
from .logs import log_lines, note
from .pool import TIME_LIMIT, Pool
from .problems import MEDIA_TYPE, Problem

__all__ = ["ServeError", "create_app", "listen", "make_server", "serve"]


CONNECTIONS = 500  # that are open at once
PER_CLIENT = 100  # of one address, where no proxy stands in front
PATIENCE = 20.0  # seconds that a request may take to arrive, and besides
SLOWEST = 8_000  # a second for so many bytes
LINGER = 4.0  # seconds that are read on from a client that was refused
ROOM = 512 * 2**20  # bytes of requests that are held in memory, all together
SPARE = 4  # threads besides those that wait for workers: for the page, and to say that the server is busy


class ServeError(OSError):
    "The server could not be started; the message is a sentence."


class _Sentence(ErrorTask):
    "What the server refuses before the application sees it (a body far too large, a broken header), as a problem."

    def execute(self):
        e, app = self.request.error, self.channel.server.app
        kind = {408: "slow", 413: "too-large", 503: "busy"}.get(e.code, "malformed")
        problem = getattr(e, "problem", None) or Problem(
            kind, f"The server did not take the request: {e.reason.lower()}.", 5 if e.code == 503 else None
        )
        body = json.dumps(problem.to_dict() | {"status": e.code}).encode()
        self.status = f"{e.code} {e.reason}"
        self.response_headers.extend(
            [("Content-Type", MEDIA_TYPE), ("X-Content-Type-Options", "nosniff"), *problem.headers.items()]
        )
        self.set_close_on_finish()
        self.content_length = len(body)
        note("refused", status=e.code, client=self.channel.addr[0])
        app.extensions["metrics"].refused(getattr(self.request, "command", ""), e.code, problem.kind)
        self.channel.refused = True
        self.write(body)


class _Task(WSGITask):
    "A request for the application; the last one of its connection if the server is stopping."

    def execute(self):
        if self.channel.server.draining:
            self.response_headers.append(("Connection", "close"))
            self.close_on_finish = True
        super().execute()


class _Slow(Error):
    code, reason = 408, "Request Timeout"


class _Full(Error):
    code, reason = 503, "Service Unavailable"


class _Busy(_Full):
    "All workers have their hands full: known before a thread is woken for the request."

    def __init__(self, problem):
        super().__init__("busy")
        self.problem = problem


class _Parser(HTTPRequestParser):
    "Refuses a body for which the server has no room left, before it is there, and a request that no worker has time for."

    def __init__(self, adj, server=None):
        super().__init__(adj)
        self.server, self.begun = server, time.monotonic()

    def received(self, data):
        before = self.headers_finished
        consumed = super().received(data)
        if self.headers_finished and not before and not self.completed:
            if self.server and self.room() > self.server.room:
                self.error, self.completed = _Full("no room"), True
        if self.completed and not self.error and self.server and self.hopeless():
            self.error = _Busy(self.server.app.extensions["engine"].busy())
        return consumed

    def hopeless(self):
        "Whether it would be refused anyhow; a person with a browser is told so by the application, as a page."
        costly = self.command == "POST" and "text/html" not in self.headers.get("ACCEPT", "")
        return costly and self.server.app.extensions["engine"].full

    @property
    def expected(self):
        "Bytes that the body takes, at most."
        return self.adj.max_request_body_size if self.chunked else self.content_length

    def room(self):
        "Bytes that all requests take which are there or on their way."
        channels = list(self.server.active_channels.values())
        there = [r for c in channels for r in [*c.requests, c.request] if r is not None]
        return sum(r.expected for r in there)


class _Channel(HTTPChannel):
    """A connection. One that is refused in the middle of sending is not hung up on at once: what still comes is
    read and thrown away for a while, or the client would see a broken connection instead of the reason."""

    task_class, error_task_class = _Task, _Sentence
    refused, lingers_until = False, 0.0

    def __init__(self, server, *args, **kw):
        self.parser_class = lambda adj: _Parser(adj, server)
        super().__init__(server, *args, **kw)

    def handle_close(self):
        if not self.refused or self.lingers_until or not self.connected:
            return super().handle_close()
        self.lingers_until, self.will_close = time.monotonic() + LINGER, False
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            super().handle_close()

    def readable(self):
        return bool(self.lingers_until) or super().readable()

    def handle_read(self):
        if not self.lingers_until:
            return super().handle_read()
        try:
            self.recv(self.adj.recv_bytes)  # closes at the end
        except OSError:
            self.handle_close()

    def late(self, now):
        "Whether a request has begun and takes longer to arrive than an honest client needs."
        r = self.request
        return r is not None and now > r.begun + PATIENCE + (r.body_bytes_received / SLOWEST)

    def give_up(self):
        "Say that it took too long, and hang up."
        with self.requests_lock:
            if self.request is None:  # it has just become whole
                return
            self.request.error, self.request.completed = _Slow("too slow"), True
            self.requests.append(self.request)
            self.request = None
            if len(self.requests) == 1:
                self.server.add_task(self)


class _Server(TcpWSGIServer):
    "Waitress, with an end to slow senders, a bound for what they send, and a stop that finishes what has begun."

    channel_class = _Channel
    draining, until = False, 0.0

    def maintenance(self, now):
        super().maintenance(now)
        now = time.monotonic()
        for channel in list(self.active_channels.values()):
            if channel.lingers_until and now > channel.lingers_until:
                channel.handle_close()
            elif channel.late(now):
                channel.give_up()

    def handle_accept(self):
        "Take a connection, unless its address has too many of them already."
        super().handle_accept()
        if not self.adj.trusted_proxy and self.active_channels:
            latest = next(reversed(self.active_channels.values()))
            same = sum(c.addr[0] == latest.addr[0] for c in self.active_channels.values())
            if same > PER_CLIENT:
                latest.handle_close()

    def drain(self, grace):
        "From now on take no connection, finish what has begun, and end; from any thread, or a signal."
        self.draining, self.until = True, time.monotonic() + grace
        self.pull_trigger()

    def run(self):
        "Serve until `drain`."
        while self._map and not (self.draining and self._drained()):
            self.asyncore.loop(timeout=0.1 if self.draining else 1, map=self._map, use_poll=True, count=1)
        self.task_dispatcher.shutdown(timeout=1)
        self.asyncore.close_all(self._map, ignore_all=True)

    def _drained(self):
        if self.accepting:
            self.accepting = False
            self.asyncore.dispatcher.close(self)  # the listening socket
        for channel in list(self.active_channels.values()):
            begun = channel.requests or channel.request is not None or channel.total_outbufs_len
            if not begun:
                channel.handle_close()
        return not self.active_channels or time.monotonic() > self.until


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


def make_server(app, sock, threads=4, proxies=0):
    """A waitress server for `app` on a listening socket. Requests are kept in memory up to twice the largest
    clip, so that the application can refuse a large one in a sentence; nothing is buffered on the disk."""
    largest = app.config.get("SER_MAX_BYTES", MAX_BYTES)
    most = 2 * largest + 2**20
    trust = {}
    if proxies:
        trust = dict(
            trusted_proxy="*",
            trusted_proxy_count=proxies,
            trusted_proxy_headers="x-forwarded-for x-forwarded-proto x-forwarded-host",
        )
    adj = Adjustments(
        sockets=[sock],
        threads=threads,
        ident=None,
        max_request_body_size=most,
        inbuf_overflow=most + 1,
        outbuf_overflow=most + 1,
        clear_untrusted_proxy_headers=True,
        recv_bytes=2**18,
        connection_limit=CONNECTIONS,
        cleanup_interval=2,
        channel_timeout=60,
        **trust,
    )
    dispatcher = ThreadedTaskDispatcher()
    dispatcher.set_thread_count(threads)
    about = (sock.family, sock.type, sock.proto, sock.getsockname())
    server = _Server(app, _sock=sock, dispatcher=dispatcher, adj=adj, bind_socket=False, sockinfo=about)
    server.app, server.room = app, max(ROOM, 2 * most)
    return server


def address(sock):
    "What to type into a browser."
    host, port = sock.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def serve(
    bundle=None,  # a folder or a name; None: the default one
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    workers: int = 1,  # processes that listen
    queue: int | None = None,  # requests that may wait for them; None: one for each
    time_limit: float = TIME_LIMIT,  # seconds that a worker may take for one clip
    grace: float = 30,  # seconds that a stop waits for what has begun
    proxies: int = 0,  # reverse proxies in front, whose X-Forwarded headers are believed
    say=print,
    **limits,  # of `create_app`
):
    "Serve the page and the API until Ctrl-C or SIGTERM. Raises `ServeError`, and `PoolError` if no worker starts."
    sock = listen(host, port)
    log_lines()
    with sock, started(workers, bundle, queue, time_limit) as engine:
        app = create_app(engine=engine, **limits)
        server = make_server(app, sock, threads=engine.places + SPARE, proxies=proxies)

        def stop(*_):
            if server.draining:  # asked twice: at once
                server.until = 0
            else:
                engine.stopping = True
                server.drain(grace)

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        say(f"The page is at {address(sock)}  (Ctrl-C stops it)")
        server.run()
    say("Stopped.")


@contextmanager
def started(workers, bundle, queue, time_limit):
    "Workers while they are needed; where a process cannot be handed a socket (Windows), this process does the work."
    if not hasattr(socket, "socketpair") or os.name != "posix":
        from ser_nbdev.serving import Recognizer

        yield Local(Recognizer(bundle))
        return
    pool = Pool(workers, bundle, queue=queue, time_limit=time_limit).start()
    try:
        yield pool
    finally:
        pool.close()
