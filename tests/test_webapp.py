"""The page and its API: every status, over Flask's client and over a real server."""

import io
import json
import re
import tempfile
import urllib.error
import urllib.request
from urllib.parse import quote

import av
import numpy as np
import pytest
import soundfile as sf
from page_stub import SHARES, Stub, served

from ser_nbdev import audio, serving
from ser_nbdev.webapp import create_app
from ser_nbdev.webapp.views import rendered

RATE = 16000


def tone(seconds=1.0, rate=RATE):
    t = np.arange(int(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * 220 * t) * (1 + np.sin(2 * np.pi * 3 * t)) / 2).astype(np.float32)


def sound(clip=None, format="WAV", subtype=None, rate=RATE):
    out = io.BytesIO()
    sf.write(out, tone() if clip is None else clip, rate, format=format, subtype=subtype)
    return out.getvalue()


def contained(container, codec, rate=48000, seconds=1.0):
    "What browsers and phones record, made in memory."
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, layout="mono")
        samples = (tone(seconds, rate) * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)
    return out.getvalue()


def video():
    "A film without sound."
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as file:
        stream = file.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 32
        for _ in range(5):
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))):
                file.mux(packet)
        for packet in stream.encode(None):
            file.mux(packet)
    return out.getvalue()


@pytest.fixture(scope="module")
def client():
    return create_app(Stub(), max_seconds=60).test_client()


def post(client, data, name="clip.wav", to="/predict", **kw):
    return client.post(to, data={"file": (io.BytesIO(data), name)}, **kw)


def is_sentence(text):
    return text == text.strip() and text[0].isupper() and text.endswith(".") and "Traceback" not in text


def is_problem(said, status):
    "Whether it is a problem document of RFC 9457."
    proper = list(said) == ["type", "title", "status", "detail"] and said["status"] == status
    return (
        proper
        and said["type"].startswith(("urn:ser-nbdev:problem:", "about:"))
        and is_sentence(said["detail"])
    )


# ---- the answer


def test_predict_answers_with_the_emotion(client):
    reply = post(client, sound())
    assert reply.status_code == 200 and reply.mimetype == "application/json"
    said = {"emotion": "happy", "confidence": 0.862, "probabilities": SHARES, "duration": 1.0}
    assert reply.json == said | {"unsure": False}


FORMATS = {
    "wav": lambda: sound(),
    "flac": lambda: sound(format="FLAC"),
    "aiff": lambda: sound(format="AIFF"),
    "ogg": lambda: sound(format="OGG"),
    "mp3": lambda: sound(format="MP3"),
    "webm": lambda: contained("webm", "libopus"),
    "m4a": lambda: contained("mp4", "aac"),
    "opus": lambda: contained("ogg", "libopus"),
    "float wav": lambda: sound(subtype="FLOAT"),
    "telephone": lambda: sound(tone(rate=8000), rate=8000),
    "stereo": lambda: sound(np.stack([tone()] * 2, 1)),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_any_format_whatever_its_name(client, kind):
    reply = post(client, FORMATS[kind](), name="upload")
    assert reply.status_code == 200, reply.json
    assert abs(reply.json["duration"] - 1) < 0.1


def test_the_answer_of_the_shipped_bundle():
    client = create_app().test_client()
    for path in serving.samples():
        said = post(client, path.read_bytes()).json
        assert said == serving.Recognizer().predict(path).to_dict()


# ---- what gets no answer

BAD = {
    "empty": (b"", 400),
    "text": (b"This is no sound at all, only words. " * 50, 415),
    "page": (b"<!doctype html><title>hello</title>" * 20, 415),
    "film without sound": (video(), 415),
    "silent": (sound(np.zeros(RATE, np.float32)), 422),
    "too short": (sound(tone(0.05)), 422),
    "not finite": (sound(np.where(np.arange(RATE) == 99, np.nan, tone()), subtype="FLOAT"), 422),
    "too long": (sound(np.tile(tone(10), 7), format="FLAC"), 413),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("to", ["/predict", "/"])
def test_what_cannot_be_read_is_a_sentence(client, kind, to):
    data, status = BAD[kind]
    reply = post(client, data, to=to)
    assert reply.status_code == status, reply.text
    if to == "/":
        beside = re.search(r'id="error" role="alert">(.*?)</p>', reply.text)[1]
        assert beside.endswith(".") and 'aria-invalid="true"' in reply.text
    else:
        assert is_problem(reply.json, status) and reply.mimetype == "application/problem+json"


def test_a_file_that_breaks_off_is_refused_or_read_as_far_as_it_goes(client):
    for kind in ("flac", "webm", "m4a", "mp3", "ogg"):
        whole = FORMATS[kind]()
        for share in (0.02, 0.3, 0.9):
            reply = post(client, whole[: int(len(whole) * share)])
            assert reply.status_code in (200, 400, 415, 422), (kind, share)
            assert "emotion" in reply.json or is_problem(reply.json, reply.status_code)


def test_no_file_is_400(client):
    sends = [
        dict(),
        dict(data={}),
        dict(data={"other": (io.BytesIO(sound()), "a.wav")}),
        dict(data={"file": "words"}),
        dict(data={"file": (io.BytesIO(b""), "")}),
        dict(data=b"raw", content_type="audio/wav"),
        dict(json={"file": 1}),
        dict(data=b"broken", content_type="multipart/form-data; boundary=x"),
    ]
    for send in sends:
        reply = client.post("/predict", **send)
        assert reply.status_code == 400 and "field named file" in reply.json["detail"]


@pytest.mark.parametrize("size", [20_001, 200_000])
def test_too_many_bytes_is_413_on_either_side_of_the_server_limit(size):
    client = create_app(Stub(), max_bytes=20_000).test_client()
    for to in ("/predict", "/"):
        reply = post(client, b"x" * size, to=to)
        assert reply.status_code == 413 and "0.0191 MB, the limit" in reply.text
    assert post(client, sound(tone(0.5))).status_code == 200


def test_too_many_seconds_is_413():
    client = create_app(Stub(), max_seconds=2).test_client()
    assert post(client, sound(tone(1.9))).status_code == 200
    assert post(client, sound(tone(2.5))).status_code == 413


# ---- the page


def test_the_page_holds_nothing_inline_and_nothing_from_elsewhere(client):
    pages = [
        client.get("/"),
        client.get("/?sample=plain"),
        client.get("/model"),
        client.get("/nowhere"),
        post(client, sound(), to="/"),
    ]
    for page in pages:
        assert page.mimetype == "text/html"
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]* src=)", page.text)
        for link in re.findall(r'(?:src|href|action)="([^"]*)"', page.text):
            assert link.startswith(("/", "#")) and not link.startswith("//"), link
            assert link.startswith("#") or client.get(link).status_code == 200, link
        csp = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in csp and "unsafe" not in csp
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert page.headers["Cache-Control"] == "no-store" and "Set-Cookie" not in page.headers
    for static in ("page.js", "page.css"):
        text = client.get(f"/static/{static}").text
        assert "http" not in text and "innerHTML" not in text


def test_the_form_gives_the_page_with_the_answer(client):
    page = post(client, sound(), to="/").text
    assert '<p class="word">happy</p>' in page and "86 %" in page and "&lt; 1 %" in page
    order = re.findall(r'<li class="e-(\w+)"><span>', page)
    assert order == sorted(SHARES, key=SHARES.get, reverse=True)
    assert "It is a likeness" in page and "Confidence is not accuracy" in page


def test_an_unsure_answer_says_so(client):
    for stub in (Stub(dict.fromkeys(SHARES, 0.1) | {"sad": 0.4}), Stub(unsure=True)):
        page = post(create_app(stub).test_client(), sound(), to="/").text
        assert 'class="why"' in page
    assert "unsure: happy, 86 %" in page
    assert post(create_app(stub).test_client(), sound()).json["unsure"] is True
    assert 'class="why"' not in post(client, sound(), to="/").text


def test_what_is_no_speech_gets_no_emotion():
    client = create_app(Stub(emotion=serving.NO_SPEECH, confidence=0.97)).test_client()
    page = post(client, sound(), to="/").text
    assert '<p class="word">no speech</p>' in page and "rather than a voice" in page
    assert "If it were speech" in page and "e-no" not in page
    said = post(client, sound()).json
    assert said["emotion"] == "no speech" and said["probabilities"] == SHARES


def test_samples_are_heard_and_answered(client):
    paths = serving.samples()
    assert 4 <= len(paths) <= 6 and sum(p.stat().st_size for p in paths) < 250_000
    for path in paths:
        clip = audio.load(path)
        assert (
            len(clip) / audio.SAMPLE_RATE <= 2.5
            and sf.info(path).samplerate == 16000
            and sf.info(path).channels == 1
        )
        assert client.get(f"/samples/{path.stem}").data == path.read_bytes()
        page = client.get(f"/?sample={path.stem}")
        assert (
            page.status_code == 200
            and '<p class="word">' in page.text
            and f"/samples/{path.stem}" in page.text
        )


def test_the_card_is_a_click_away(client):
    card = (Stub().bundle.folder / "card.md").read_text()
    page = client.get("/model")
    assert page.status_code == 200 and card.splitlines()[0].lstrip("# ") in page.text
    assert Stub().bundle.card["name"] in client.get("/").text


def test_a_card_is_rendered_and_never_obeyed():
    html = str(
        rendered("# A\n\n| a | b |\n| - | -: |\n| x | 1 |\n\n<script>f()</script> [l](javascript:f()) **b**")
    )
    assert "<h1>A</h1>" in html and '<td class="to-right">1</td>' in html and "<strong>b</strong>" in html
    assert "<script" not in html and "href" not in html and "style=" not in html


# ---- nothing of the client's touches a path

NAMES = [
    "../../evil.wav",
    "/etc/passwd",
    "..\\..\\evil.wav",
    "a\x00b.wav",
    "con.wav",
    "<img src=x onerror=alert(1)>.wav",
    "%2e%2e%2fevil.wav",
    "x" * 5000,
]


@pytest.mark.parametrize("to", ["/predict", "/"])
def test_the_name_of_a_file_goes_nowhere(client, tmp_path, monkeypatch, to):
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        reply = post(client, sound(), name=name, to=to)
        assert reply.status_code == 200 and "evil" not in reply.text and "onerror" not in reply.text
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize(
    "name", ["../../setup.py", "plain.flac", "..", "%00", "../samples/plain", "/etc/passwd"]
)
def test_a_sample_is_asked_for_by_name_alone(client, name):
    assert client.get("/samples/" + quote(name, safe="")).status_code == 404
    assert client.get("/?sample=" + quote(name, safe="")).status_code == 404


# ---- other errors


def test_404_405_500_are_sentences():
    class Broken(Stub):
        def predict(self, *args, **kw):
            raise RuntimeError("a secret of the inside")

    client = create_app(Broken()).test_client()
    html, program = {"Accept": "text/html"}, {"Accept": "application/json"}
    for method, path, status in [("get", "/nowhere", 404), ("put", "/", 405), ("get", "/predict", 405)]:
        reply = getattr(client, method)(path, headers=program)
        assert reply.status_code == status and is_problem(reply.json, status)
        assert ("Allow" in reply.headers) == (status == 405)
    assert is_problem(client.get("/predict", headers=html).json, 405)
    page = client.get("/nowhere", headers=html)
    assert "no such page" in page.text and "Back to the start page" in page.text
    for to in ("/predict", "/"):
        reply = post(client, sound(), to=to, headers=html)
        assert reply.status_code == 500 and "secret" not in reply.text and "went wrong" in reply.text


def test_healthz(client):
    assert client.get("/healthz").json == {"status": "ok"}


# ---- a real server


@pytest.fixture(scope="module")
def server():
    with served(create_app(Stub(), max_bytes=5 * 2**20)) as where:
        yield where


def over_http(where, data, path="/predict", name="clip.wav"):
    line = "----boundary7d1"
    body = (
        (
            f'--{line}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        + data
        + f"\r\n--{line}--\r\n".encode()
    )
    ask = urllib.request.Request(
        where + path, body, {"Content-Type": f"multipart/form-data; boundary={line}"}
    )
    try:
        with urllib.request.urlopen(ask, timeout=30) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as e:
        return e.code, json.load(e)


def test_over_http(server):
    status, said = over_http(server, sound())
    assert status == 200 and said["emotion"] == "happy" and set(said["probabilities"]) == set(SHARES)
    for data, status in (BAD["text"], BAD["silent"], BAD["empty"]):
        code, said = over_http(server, data)
        assert code == status and is_problem(said, status)
    with urllib.request.urlopen(server + "/healthz") as reply:
        assert json.load(reply) == {"status": "ok"} and "Server" not in reply.headers


def test_a_large_upload_never_touches_the_disk(server, monkeypatch):
    def forbidden(*args, **kw):
        raise AssertionError("a temporary file was asked for")

    for name in ("TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile", "mkstemp", "mkdtemp"):
        monkeypatch.setattr(tempfile, name, forbidden)
    status, said = over_http(server, sound(tone(120)))  # 3.8 MB
    assert status == 200 and said["duration"] == 120


def test_too_large_over_http(server):
    code, said = over_http(server, b"x" * (6 * 2**20))
    assert code == 413 and "larger than 5 MB" in said["detail"]
    # far too large: the server says no at the header, before any of the body is there
    import http.client

    host = server.removeprefix("http://")
    link = http.client.HTTPConnection(host, timeout=30)
    link.putrequest("POST", "/predict")
    link.putheader("Content-Length", str(10**12))
    link.endheaders()
    reply = link.getresponse()
    assert reply.status == 413 and "did not take" in json.load(reply)["detail"]


def test_many_at_once(server):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: over_http(server, sound()), range(40)))
    assert all(code == 200 and said["emotion"] == "happy" for code, said in answers)
