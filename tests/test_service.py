"""`ser serve` as a process: real clients, workers that are killed, a queue that is full, a stop, slow and hostile senders."""

import http.client
import io
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from page_stub import Stub, served
from test_webapp import FORMATS, contained, is_problem, sound, tone, video

from ser_nbdev import serving
from ser_nbdev.webapp import create_app, server
from ser_nbdev.webapp.pool import Pool
from ser_nbdev.webapp.problems import Problem
from ser_nbdev.webapp.server import PER_CLIENT

pytestmark = pytest.mark.skipif(os.name != "posix", reason="workers are handed a socket, which needs POSIX")
SER = [sys.executable, "-c", "import sys; from ser_nbdev.cli import main; sys.exit(main())"]
SAMPLES = [path.read_bytes() for path in serving.samples()]


class Service:
    "A running `ser serve`."

    def __init__(self, run, where):
        self.run, self.where = run, where
        self.host, self.port = re.fullmatch(r"http://(.*):(\d+)", where).groups()

    def link(self, timeout=60):
        return http.client.HTTPConnection(self.host, int(self.port), timeout=timeout)

    def get(self, path):
        link = self.link()
        link.request("GET", path)
        reply = link.getresponse()
        return reply.status, reply.read().decode()

    def post(self, *clips, path="/predict", name="clip.wav", headers=(), timeout=60):
        "Status, headers and what is said."
        body, kind = form(*clips, name=name)
        link = self.link(timeout)
        try:
            link.request("POST", path, body, {"Content-Type": kind, **dict(headers)})
            reply = link.getresponse()
            return reply.status, reply.headers, json.loads(reply.read())
        finally:
            link.close()

    def workers(self):
        "Their process numbers."
        return [child.pid for child in psutil.Process(self.run.pid).children()]

    def figure(self, name):
        return float(re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics")[1], re.M)[1])

    def wait_for(self, name, value, seconds=20):
        until = time.monotonic() + seconds
        while self.figure(name) != value:
            assert time.monotonic() < until, (name, self.figure(name), value)
            time.sleep(0.05)

    def stop(self, how=signal.SIGTERM, timeout=60):
        self.run.send_signal(how)
        out, _ = self.run.communicate(timeout=timeout)
        return self.run.returncode, out


def form(*clips, name="clip.wav"):
    line = "----boundary7d1"
    parts = [
        (
            f'--{line}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode("latin-1")
        + clip
        + b"\r\n"
        for clip in clips
    ]
    return b"".join(parts) + f"--{line}--\r\n".encode(), f"multipart/form-data; boundary={line}"


@contextmanager
def service(*args, **env):
    run = subprocess.Popen(
        [*SER, "serve", "--port", "0", *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | env,
    )
    try:
        said = run.stdout.readline()
        yield Service(run, re.search(r"http://\S+", said)[0])
    finally:
        if run.poll() is None:
            run.kill()
        run.communicate()


@pytest.fixture(scope="module")
def two():
    with service("--workers", 2, "--rate", 0, "--queue", 300, "--max-mb", 5, "--time-limit", 20) as running:
        running.wait_for("ser_workers", 2)
        yield running


# ---- answers


def test_it_answers_as_the_library_does(two):
    for path in serving.samples():
        status, _, said = two.post(path.read_bytes())
        assert status == 200 and said == serving.Recognizer().predict(path).to_dict()
    status, _, said = two.post(*SAMPLES, path="/v1/adapt")
    assert status == 200 and said["adaptation"] == serving.Recognizer().adapt(SAMPLES).speaker()
    assert two.get("/readyz") == (200, '{"status":"ready"}\n')
    assert json.loads(two.get("/v1/model")[1]) == serving.Bundle().card


def phone(container, codec, rate, **options):
    "A recording of the first sample's words, as a program on a phone or in a browser writes it."
    import av

    from ser_nbdev import audio

    clip = audio.resample(audio.load(SAMPLES[0]), audio.SAMPLE_RATE, rate)
    out = io.BytesIO()
    with av.open(out, "w", format=container, options=options) as file:
        stream = file.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray((clip * 32767).astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)
    return out.getvalue()


RECORDINGS = {
    # Chromium's MediaRecorder cannot seek back to write how long it lasts: a live stream
    "browser.webm": lambda: phone("webm", "libopus", 48000, live="1"),
    "New Recording 7.m4a": lambda: phone("ipod", "aac", 44100),  # an iPhone's voice memo
    "PTT-20261125-WA0001.opus": lambda: phone("ogg", "libopus", 16000),  # WhatsApp
    "Firefox.ogg": lambda: phone("ogg", "libopus", 48000),
    "Android.3gp": lambda: phone("3gp", "aac", 16000),
}


@pytest.mark.parametrize("name", RECORDINGS)
def test_what_browsers_and_phones_record(two, name):
    plain = two.post(SAMPLES[0])[2]
    status, _, said = two.post(RECORDINGS[name](), name=name)
    assert status == 200 and abs(said["duration"] - plain["duration"]) < 0.15
    assert abs(said["probabilities"][plain["emotion"]] - plain["confidence"]) < 0.35


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_curl(two, tmp_path):
    (tmp_path / "a.flac").write_bytes(SAMPLES[0])
    for more in ([], ["-H", "Expect: 100-continue"], ["-H", "Transfer-Encoding: chunked"], ["--http1.0"]):
        done = subprocess.run(
            ["curl", "-sS", "-F", "file=@a.flac", *more, f"{two.where}/predict"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert json.loads(done.stdout) == two.post(SAMPLES[0])[2], (more, done.stderr)


def test_requests(two):
    requests = pytest.importorskip("requests")
    with requests.Session() as session:
        session.trust_env = False
        for clip in SAMPLES * 2:
            reply = session.post(f"{two.where}/predict", files={"file": clip}, timeout=60)
            assert reply.status_code == 200 and reply.json() == two.post(clip)[2]
        reply = session.post(f"{two.where}/predict", files={"file": b"no sound"}, timeout=60)
        assert is_problem(reply.json(), 415)


# ---- workers


def test_a_killed_worker_costs_no_request(two):
    "What it was at is done again by another, so that not even its own request fails."
    two.wait_for("ser_workers", 2)
    before, replaced = two.workers(), two.figure("ser_workers_replaced")
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(two.post, SAMPLES[i % len(SAMPLES)]) for i in range(200)]
        while sum(a.done() for a in asked) < 50:
            time.sleep(0.005)
        os.kill(before[0], signal.SIGKILL)
        answers = [a.result() for a in asked]
    assert [status for status, _, _ in answers] == [200] * 200
    right = [two.post(clip)[2] for clip in SAMPLES]
    assert all(said == right[i % len(SAMPLES)] for i, (_, _, said) in enumerate(answers))
    two.wait_for("ser_workers_replaced", replaced + 1)
    two.wait_for("ser_workers", 2)
    assert len(two.workers()) == 2 and before[0] not in two.workers()


def test_a_clip_whose_workers_are_killed_twice_is_a_problem_to_try_again(monkeypatch):
    pool, taken = Pool(2).start(), []
    try:
        until = time.monotonic() + 20
        while pool._idle.qsize() < 2 and time.monotonic() < until:
            time.sleep(0.01)
        for worker in pool._team.values():
            os.kill(worker.process.pid, signal.SIGSTOP)  # so that the clip waits inside

        def take(until, original=pool._take):
            taken.append(original(until).process.pid)
            threading.Timer(0.1, os.kill, [taken[-1], signal.SIGKILL]).start()
            return next(w for w in pool._team.values() if w.process.pid == taken[-1])

        monkeypatch.setattr(pool, "_take", take)
        with pytest.raises(Problem) as lost:
            pool("predict", [SAMPLES[0]], max_seconds=60)
        assert (lost.value.status, lost.value.kind, lost.value.retry_after) == (503, "lost", 1) and len(
            taken
        ) == 2
    finally:
        pool.close()


@pytest.mark.parametrize("crash", [signal.SIGSEGV, signal.SIGABRT])
def test_a_clip_that_crashes_the_decoder_costs_one_worker_and_is_400(two, crash):
    with service("--rate", 0) as one:
        one.wait_for("ser_workers", 1)
        os.kill(worker := one.workers()[0], signal.SIGSTOP)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(one.post, SAMPLES[0])
            one.wait_for("ser_requests_inside", 1)
            os.kill(worker, crash)
            os.kill(worker, signal.SIGCONT)
            status, _, said = asked.result()
        assert is_problem(said, 400) and said["type"].endswith(":unreadable")
        assert one.post(SAMPLES[0])[0] == 200 and one.figure("ser_workers_replaced") == 1


def test_a_worker_that_hangs_is_ended_and_replaced():
    with service("--time-limit", 1, "--rate", 0) as one:
        one.wait_for("ser_workers", 1)
        stuck = one.workers()[0]
        os.kill(stuck, signal.SIGSTOP)
        began = time.monotonic()
        status, _, said = one.post(sound(tone(60)))
        assert is_problem(said, 413) and said["type"].endswith(":too-slow") and time.monotonic() - began < 4
        one.wait_for("ser_workers_replaced", 1)
        assert one.post(SAMPLES[0])[0] == 200 and stuck not in one.workers()


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_worker_may_write_no_file_and_has_one_thread_to_think(two):
    for pid in two.workers():
        with open(f"/proc/{pid}/limits") as f:
            limits = f.read()
        assert re.search(r"Max file size\s+0\s+0", limits) and re.search(
            r"Max core file size\s+0\s+0", limits
        )
        with open(f"/proc/{pid}/environ") as f:
            assert "OMP_NUM_THREADS=1" in f.read()


# ---- more than it can do


def test_workers_give_way_to_the_server_in_front(two):
    assert {psutil.Process(pid).nice() - psutil.Process(two.run.pid).nice() for pid in two.workers()} == {15}


def test_a_full_queue_says_when_to_come_back():
    with service("--queue", 1, "--rate", 0, "--time-limit", 30) as one:
        one.wait_for("ser_workers", 1)
        os.kill(worker := one.workers()[0], signal.SIGSTOP)
        with ThreadPoolExecutor(2) as pool:
            held = [pool.submit(one.post, SAMPLES[0]) for _ in range(2)]
            one.wait_for("ser_requests_inside", 2)
            for _ in range(20):
                began = time.monotonic()
                status, headers, said = one.post(SAMPLES[0])
                assert is_problem(said, 503) and int(headers["Retry-After"]) >= 1
                assert said["detail"] == "The server is busy: try again in a moment."
                assert time.monotonic() - began < 1
            assert one.figure('ser_problems_total{kind="busy"}') == 20
            assert one.figure('ser_requests_total{method="POST",route="none",status="503"}') == 20
            link = one.link()  # a form without JavaScript: the answer is a page
            body, kind = form(SAMPLES[0])
            link.request("POST", "/", body, {"Content-Type": kind, "Accept": "text/html"})
            page = link.getresponse()
            assert page.status == 503 and int(page.headers["Retry-After"]) >= 1
            assert "The server is busy" in page.read().decode() and page.headers["Content-Type"].startswith(
                "text/html"
            )
            assert one.get("/healthz")[0] == one.get("/")[0] == 200  # the page is there all the same
            os.kill(worker, signal.SIGCONT)
            assert [h.result()[0] for h in held] == [200, 200]
        assert one.post(SAMPLES[0])[0] == 200


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_finishes_what_has_begun(how):
    with service("--rate", 0) as one:
        one.wait_for("ser_workers", 1)
        worker = one.workers()[0]
        os.kill(worker, signal.SIGSTOP)
        half, kind = form(SAMPLES[0])
        slow = one.link()  # has sent half of its clip when the stop comes
        slow.putrequest("POST", "/predict")
        slow.putheader("Content-Type", kind)
        slow.putheader("Content-Length", str(len(half)))
        slow.endheaders(half[:1000])
        idle = one.link()
        idle.request("GET", "/healthz")
        idle.getresponse().read()
        with ThreadPoolExecutor(1) as pool:
            held = pool.submit(one.post, SAMPLES[0])
            one.wait_for("ser_requests_inside", 1)
            one.run.send_signal(how)
            time.sleep(0.5)
            with pytest.raises(OSError):  # nobody new is let in
                socket.create_connection((one.host, int(one.port)), timeout=5)
            assert idle.sock.recv(1) == b""  # who has asked nothing is let go
            os.kill(worker, signal.SIGCONT)
            assert held.result()[0] == 200
        slow.send(half[1000:])
        reply = slow.getresponse()
        assert reply.status == 200 and reply.headers["Connection"] == "close"
        out, _ = one.run.communicate(timeout=20)
        assert one.run.returncode == 0 and out == "Stopped.\n"


def test_a_stop_does_not_wait_for_ever():
    with service("--grace", 0.5, "--rate", 0) as one:
        one.wait_for("ser_workers", 1)
        os.kill(one.workers()[0], signal.SIGSTOP)
        with ThreadPoolExecutor(1) as pool:
            held = pool.submit(one.post, SAMPLES[0])
            one.wait_for("ser_requests_inside", 1)
            began = time.monotonic()
            assert one.stop() == (0, "Stopped.\n") and time.monotonic() - began < 8
            assert held.exception() or held.result()[0] >= 500


def test_workers_do_not_outlive_the_server():
    with service("--workers", 2) as two:
        two.wait_for("ser_workers", 2)
        workers = two.workers()
        two.run.kill()
        two.run.wait()
        until = time.monotonic() + 10
        while any(map(psutil.pid_exists, workers)) and time.monotonic() < until:
            time.sleep(0.05)
        assert not any(map(psutil.pid_exists, workers))


# ---- who asks


def test_a_client_behind_a_proxy_is_limited_by_its_own_address():
    with service("--rate", 60, "--proxies", 1) as one:

        def ask(forwarded):
            return one.post(SAMPLES[0], headers={"X-Forwarded-For": forwarded})[0]

        assert [ask("192.0.2.1") for _ in range(8)].count(429) >= 1
        assert ask("192.0.2.2") == 200
        # what a client claims stands further left, and is not believed
        assert ask("198.51.100.9, 192.0.2.1") == 429


def test_without_a_proxy_nobody_is_believed():
    with service("--rate", 60) as one:
        codes = [one.post(SAMPLES[0], headers={"X-Forwarded-For": f"192.0.2.{i}"})[0] for i in range(9)]
        assert 429 in codes


def test_a_key_from_the_environment():
    with service(SER_API_KEYS="let me in") as one:
        status, headers, said = one.post(SAMPLES[0])
        assert is_problem(said, 401) and headers["WWW-Authenticate"] == "Bearer"
        assert one.post(SAMPLES[0], headers={"Authorization": "Bearer let me in"})[0] == 200


def test_slow_senders_are_let_go_and_hold_up_nobody(monkeypatch):
    "Connections that send a byte now and then; each is ended when its patience is over."
    monkeypatch.setattr(server, "PATIENCE", 3.0)
    with served(create_app(Stub())) as where:
        host, port = re.fullmatch(r"http://(.*):(\d+)", where).groups()
        one, began = Service(None, where), time.monotonic()
        drips = [socket.create_connection((host, int(port)), timeout=30) for _ in range(90)]
        try:
            for i, drip in enumerate(drips):
                drip.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\n")
                if i % 2:
                    kind = b"Content-Type: multipart/form-data; boundary=x\r\n"
                    drip.sendall(kind + b"Content-Length: 40000\r\n\r\nx")
            while time.monotonic() - began < 2:
                assert one.post(SAMPLES[0])[0] == 200
                for drip in drips:
                    drip.send(b"a")
                time.sleep(0.5)
            for drip in drips:
                reply = drip.recv(4096)
                assert b" 408 " in reply.split(b"\r\n")[0], reply[:80]
        finally:
            for drip in drips:
                drip.close()
        assert time.monotonic() - began < 10


def test_one_address_has_a_bounded_number_of_connections(two):
    links = []
    try:
        for _ in range(PER_CLIENT + 20):
            links.append(socket.create_connection((two.host, int(two.port)), timeout=5))
        closed = 0
        for link in links[PER_CLIENT:]:
            try:
                closed += link.recv(1) == b""
            except ConnectionError:
                closed += 1
        assert closed == 20
    finally:
        for link in links:
            link.close()
    time.sleep(0.2)
    assert two.post(SAMPLES[0])[0] == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: nine\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nzz\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /" + b"a" * 300_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /%00%ff/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_what_is_hardly_http_is_4xx(two, raw):
    with socket.create_connection((two.host, int(two.port)), timeout=30) as link:
        link.sendall(raw)
        link.shutdown(socket.SHUT_WR)
        reply = b"".join(iter(lambda: link.recv(65536), b""))
    assert re.match(rb"HTTP/1\.[01] (4\d\d|501) ", reply), reply[:200]
    assert b"Traceback" not in reply


# ---- hostile clips


def header(rate=16000, channels=1, bits=16, format=1, size=2**32 - 1, riff=2**32 - 1, align=None, data=b""):
    "A WAV file whose header says what it likes."
    align = channels * bits // 8 % 65536 if align is None else align
    fmt = struct.pack("<HHIIHH", format, channels, rate, rate * align % 2**32, align, bits)
    return (
        b"RIFF"
        + struct.pack("<I", riff)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + fmt
        + b"data"
        + struct.pack("<I", size)
        + data
    )


def bombs():
    "Little to send and much to decode, or headers that promise the world."
    hours = sound(
        np.zeros(16000 * 1900, np.float32), format="FLAC"
    )  # over the limit of half an hour, all silence
    yield hours
    for rate in (0, 1, 999, 2**31, 2**32 - 1, 768_000):
        yield header(rate=rate, data=bytes(2000))
    for channels in (0, 1024, 65535):
        yield header(channels=channels, data=bytes(range(256)) * 20)
    for bits in (0, 1, 7, 24, 64, 65535):
        yield header(bits=bits, data=bytes(range(256)) * 20)
    for format in (0, 3, 6, 7, 17, 85, 65534, 65535):
        yield header(format=format, data=bytes(range(256)) * 20)
    yield header(bits=32, format=3, data=np.full(5000, np.nan, "<f4").tobytes())
    yield header(bits=32, format=3, data=np.full(5000, np.inf, "<f4").tobytes())
    yield header(bits=64, format=3, data=np.full(5000, 1e308, "<f8").tobytes())
    yield bytes(100_000)
    yield b"\xff" * 100_000
    yield b"#!AMR\n" + bytes(range(256)) * 100
    yield b"#EXTM3U\nfile:///etc/passwd\nhttp://127.0.0.1:1/\n" * 3
    yield b"ffconcat version 1.0\nfile '/etc/passwd'\n"
    yield b"[playlist]\nFile1=/etc/passwd\n"
    yield b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n"
    yield b"<?xml version='1.0'?><MPD><BaseURL>file:///etc/passwd</BaseURL></MPD>"
    yield b"PK\x03\x04" + bytes(5000)
    yield b"%PDF-1.7\n" + sound()  # a polyglot: a document, and then a sound
    yield b"<html><script>alert(1)</script></html>" + sound()
    yield sound() + b"<?php system($_GET['x']); ?>"
    yield video()


NAMES = [
    "../../etc/passwd",
    "a.wav",
    "..\\..\\x.exe",
    "con",
    "x" * 300,
    "a.mp3\x07",
    "%2e%2e%2f",
    "|ls",
    ".",
    "\xff",
]
PATHS = ("/predict", "/predict?timeline=1", "/v1/adapt")
EXTREMES = [bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x80" + bytes(3)]


@lru_cache
def sounds():
    "Files that are in order, of every kind."
    return [
        bytes(x)
        for x in [make() for make in FORMATS.values()] + SAMPLES + [contained("mp4", "aac", seconds=3)]
    ]


@st.composite
def hostile(draw):
    "A sound that somebody tampered with."
    clip = bytearray(draw(st.sampled_from(sounds())))
    anywhere, early = st.integers(0, len(clip) - 1), st.integers(0, min(199, len(clip) - 5))
    how = draw(st.sampled_from(["cut", "header", "noise", "grown", "extreme", "again"]))
    if how == "cut":
        return bytes(clip[: draw(anywhere)])
    if how in ("header", "noise"):
        where, most = (early, 12) if how == "header" else (anywhere, 60)
        for at, byte in draw(st.lists(st.tuples(where, st.integers(0, 255)), min_size=1, max_size=most)):
            clip[at] = byte
        return bytes(clip)
    if how == "grown":
        other = draw(st.sampled_from(sounds()))
        return bytes(clip[: draw(anywhere)]) + other[draw(st.integers(0, len(other) - 1)) :]
    at = draw(early)
    if how == "extreme":
        clip[at : at + 4] = draw(st.sampled_from(EXTREMES))
        return bytes(clip)
    return bytes(clip[: at + 64] + clip[at : at + 64] * draw(st.integers(1, 500)) + clip[at:])


def memory(pids):
    "Resident megabytes of some processes."
    return sum(psutil.Process(pid).memory_info().rss for pid in pids) / 2**20


def test_a_thousand_hostile_uploads(two):
    "`SER_HOSTILE=n` sends n instead. Each is answered or refused in time; memory and the workers stay what they were."
    n, limit = int(os.environ.get("SER_HOSTILE", 1000)), 20
    team, replaced = [two.run.pid, *two.workers()], two.figure("ser_workers_replaced")
    seen, marks = Counter(), []

    def ask(clip, name, path):
        began = time.monotonic()
        status, _, said = two.post(clip, path=path, name=name)
        assert status == 200 or is_problem(said, status), said
        assert status in {200, 400, 413, 415, 422} and time.monotonic() - began < limit
        assert "passwd" not in json.dumps(said)
        seen[status] += 1
        if sum(seen.values()) % (n // 10) == 0:
            marks.append(memory(team))

    for i, clip in enumerate(bombs()):
        ask(clip, NAMES[i % len(NAMES)], PATHS[i % 3])
    given(hostile(), st.sampled_from(NAMES), st.sampled_from(PATHS))(
        settings(
            max_examples=n,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )(ask)
    )()
    assert sum(seen.values()) >= n and seen[415] > n // 20 and {400, 413, 422} <= set(seen), seen
    # damaged sounds are read as far as they go, so that many are answered
    assert two.figure("ser_workers_replaced") == replaced
    assert marks[-1] - marks[2] < 60, marks
    assert two.post(SAMPLES[0])[0] == 200


def test_who_sends_far_too_much_hears_why(two):
    "The server says no at the header, and the client, still sending, gets to read it."
    for size in (12 * 2**20, 40 * 2**20):
        status, _, said = two.post(bytes(size))
        assert is_problem(said, 413) and said["type"].endswith(":too-large")


def test_the_most_and_the_longest_are_refused_in_time(two):
    began = time.monotonic()
    status, _, said = two.post(bytes(6 * 2**20))
    assert is_problem(said, 413) and said["type"].endswith(":too-large")
    status, _, said = two.post(sound(np.zeros(16000 * 1900, np.float32), format="FLAC"))
    assert is_problem(said, 413) and said["type"].endswith(":too-long")
    assert time.monotonic() - began < 20


def test_many_large_uploads_are_refused_before_they_fill_the_memory():
    "Each says that it will send 45 MB; there is room for half a gigabyte of them."
    with service("--rate", 0) as one:
        links = []
        try:
            for _ in range(20):
                link = one.link(timeout=10)
                link.putrequest("POST", "/predict")
                link.putheader("Content-Type", "multipart/form-data; boundary=x")
                link.putheader("Content-Length", str(45 * 2**20))
                link.endheaders()
                links.append(link)
            refused = 0
            for link in links[-5:]:
                reply = link.getresponse()
                refused += is_problem(json.loads(reply.read()), 503) and "Retry-After" in reply.headers
            assert refused == 5
            for _ in range(20):  # those that were refused are still being read for a while
                if (status := one.post(SAMPLES[0])[0]) != 503:
                    break
                time.sleep(0.5)
            assert status == 200
        finally:
            for link in links:
                link.close()
