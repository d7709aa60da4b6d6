"""The API as it is described, and who may ask: the OpenAPI document against reality, adaptation, keys, limits, logs."""

import io
import json
import logging

import jsonschema
import pytest
from page_stub import Acted, Stub
from test_webapp import BAD, is_problem, sound, tone

from ser_nbdev import serving
from ser_nbdev.webapp import create_app
from ser_nbdev.webapp.limits import RateLimit, household
from ser_nbdev.webapp.logs import Lines
from ser_nbdev.webapp.openapi import MAX_FILES

SAMPLES = [path.read_bytes() for path in serving.samples()]


@pytest.fixture(scope="module")
def app():
    return create_app(keys=(), max_seconds=60)


@pytest.fixture(scope="module")
def client(app):
    return app.test_client()


@pytest.fixture(scope="module")
def described(client):
    return client.get("/openapi.json").json


def send(client, *clips, to="/predict", headers=None, **fields):
    files = [(io.BytesIO(clip), "clip.wav") for clip in clips]
    return client.post(to, data={"file": files, **fields}, headers=headers)


def fits(described, reply, path, method="post"):
    "Whether an answer is what the document says of its status."
    answers = described["paths"][path][method]["responses"]
    assert str(reply.status_code) in answers, (path, reply.status_code)
    [(kind, how)] = answers[str(reply.status_code)]["content"].items()
    assert reply.mimetype == kind
    if kind.endswith("json"):
        check(described, how["schema"], reply.json)
    return True


def check(described, schema, said):
    schema = schema | {"components": described["components"]}
    jsonschema.validate(said, schema, cls=jsonschema.Draft202012Validator)


# ---- the document


def test_the_document_tells_of_every_address_and_no_other(app, described):
    there = {
        (rule.rule, method.lower())
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.endpoint.startswith("api.")
    }
    told = {(path, method) for path, entry in described["paths"].items() for method in entry}
    assert told == there and len(told) == 8
    assert described["openapi"].startswith("3.1")


def test_what_is_answered_is_what_the_document_says(client, described):
    for path in ("/healthz", "/readyz", "/v1/model", "/metrics", "/openapi.json"):
        assert fits(described, client.get(path), path, "get")
    assert fits(described, send(client, SAMPLES[0]), "/predict")
    for data, status in BAD.values():
        reply = send(client, data)
        assert reply.status_code == status and fits(described, reply, "/predict")
    adapted = send(client, *SAMPLES, to="/v1/adapt")
    assert adapted.status_code == 200 and fits(described, adapted, "/v1/adapt")
    many = send(client, SAMPLES[0], b"no sound", SAMPLES[1], to="/v1/predict")
    assert many.status_code == 200 and fits(described, many, "/v1/predict")


def test_an_answer_that_the_document_does_not_know_fails(client, described):
    said, schema = send(client, SAMPLES[0]).json, {"$ref": "#/components/schemas/Prediction"}
    check(described, schema, said)
    for wrong in (said | {"mood": "good"}, said | {"confidence": 2}, {"emotion": said["emotion"]}):
        with pytest.raises(jsonschema.ValidationError):
            check(described, schema, wrong)


def test_schemathesis_finds_nothing(app, described):
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is in the dev extra")
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st
    from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    asked = {}  # all addresses but that of the document itself
    for operation in schema.get_all_operations():
        operation = operation.ok()

        @settings(
            max_examples=25,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(), clip=st.sampled_from([None, SAMPLES[0]]))
        def asks(case, clip):
            if (
                clip and isinstance(case.body, dict) and "file" in case.body
            ):  # what it makes up is never a sound
                several = isinstance(case.body["file"], list)
                case.body = case.body | {"file": [clip] * len(case.body["file"]) if several else clip}
            reply = case.call()
            asked.setdefault(operation.label, []).append(reply.status_code)
            untrue = [positive_data_acceptance, *([negative_data_rejection] if clip else [])]
            case.validate_response(reply, excluded_checks=untrue)  # a schema cannot say what is a sound

        asks()
    assert len(asked) == 7 and all(status < 500 for found in asked.values() for status in found)
    assert {200, 400, 415} <= set(asked["POST /predict"]) and 200 in asked["POST /v1/predict"], asked


# ---- a speaker


def test_what_is_known_of_a_speaker_travels_with_the_client(client):
    knows = serving.Recognizer().adapt(SAMPLES)
    adaptation = send(client, *SAMPLES, to="/v1/adapt").json["adaptation"]
    assert adaptation == knows.speaker() and adaptation["clips"] == len(SAMPLES)
    stranger = send(client, SAMPLES[1]).json
    known = send(client, SAMPLES[1], adaptation=json.dumps(adaptation)).json
    for label, share in knows.predict(SAMPLES[1]).probabilities.items():
        assert abs(known["probabilities"][label] - share) < 1e-3
    assert known["probabilities"] != stranger["probabilities"]
    as_a_file = {"adaptation": (io.BytesIO(json.dumps(adaptation).encode()), "blob")}
    assert send(client, SAMPLES[1], **as_a_file).json == known


def test_an_adaptation_grows_clip_by_clip(client):
    grown = None
    for clip in SAMPLES:
        sent = {"adaptation": json.dumps(grown)} if grown else {}
        grown = send(client, clip, to="/v1/adapt", **sent).json["adaptation"]
    assert grown == send(client, *SAMPLES, to="/v1/adapt").json["adaptation"]


def test_a_long_recording_counts_as_several_clips():
    client = create_app(Acted()).test_client()
    for seconds, clips in ((3, 1), (20, 5)):
        assert send(client, sound(tone(seconds)), to="/v1/adapt").json["adaptation"]["clips"] == clips


def test_an_adaptation_is_looked_at_before_it_is_believed(client):
    good = send(client, *SAMPLES[:2], to="/v1/adapt").json["adaptation"]
    numbers = [[[float("nan")] * 9] * 2]
    wrong = ["", "x", "[]", "{}", "null", "1", "[" * 5000, json.dumps(good | {"model": "0" * 16})]
    wrong += [
        json.dumps(good | change) for change in ({"clips": 3}, {"x": 1}, {"scores": numbers, "clips": 1})
    ]
    for text in wrong:
        for to in ("/predict", "/v1/predict", "/v1/adapt"):
            reply = send(client, SAMPLES[0], to=to, adaptation=text)
            assert reply.status_code == 400 and is_problem(reply.json, 400), (text[:50], reply.text)
            assert reply.json["type"].endswith(":adaptation")
    huge = send(client, SAMPLES[0], adaptation="[" + "1," * 10**6 + "1]")
    assert huge.status_code == 413


def test_what_says_nothing_of_a_speaker_is_422(client):
    reply = send(client, sound(tone(3)), to="/v1/adapt")
    assert reply.status_code == 422 and reply.json["type"].endswith(":no-speech")
    lstm = create_app(serving.Recognizer("tess-lstm")).test_client()
    reply = send(lstm, SAMPLES[0], to="/v1/adapt")
    assert reply.status_code == 422 and reply.json["type"].endswith(":cannot-adapt")


# ---- several clips, and what is asked along


def test_one_bad_clip_spoils_no_other(client):
    results = send(client, SAMPLES[0], b"no sound", SAMPLES[1], to="/v1/predict").json["results"]
    assert [r["index"] for r in results] == [0, 1, 2] and is_problem(results[1]["problem"], 415)
    assert results[2]["prediction"] == send(client, SAMPLES[1]).json
    reply = send(client, *[SAMPLES[0]] * (MAX_FILES + 1), to="/v1/predict")
    assert reply.status_code == 413 and str(MAX_FILES) in reply.json["detail"]
    assert send(client, *SAMPLES[:2]).status_code == 413  # /predict takes one


def test_a_flag_is_yes_or_no(client):
    for value in ("maybe", "2", "", "1 "):
        reply = client.post(f"/predict?timeline={value}", data={"file": (io.BytesIO(SAMPLES[0]), "a")})
        assert reply.status_code == 400 and is_problem(reply.json, 400)
    assert "timeline" not in send(client, SAMPLES[0], to="/predict?timeline=0").json


# ---- who may ask, and how often


def test_keys():
    client = create_app(Stub(), keys=["first", "sécond"]).test_client()
    for headers in (
        {},
        {"X-API-Key": "firs"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic first"},
    ):
        for to in ("/predict", "/v1/predict", "/v1/adapt"):
            reply = send(client, sound(), to=to, headers=headers)
            assert reply.status_code == 401 and is_problem(reply.json, 401)
            assert reply.headers["WWW-Authenticate"] == "Bearer"
        assert send(client, sound(), to="/", headers=headers).status_code == 401
        assert client.get("/?sample=plain", headers=headers).status_code == 401
    for headers in ({"X-API-Key": "first"}, {"Authorization": "Bearer first"}):
        assert send(client, sound(), headers=headers).status_code == 200
    assert client.get("/").status_code == client.get("/healthz").status_code == 200


def test_keys_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("SER_API_KEYS", " one, two ,,")
    client = create_app(Stub()).test_client()
    codes = [
        send(client, sound(), headers={"X-API-Key": k}).status_code for k in ("one", "two", "", "one, two")
    ]
    assert codes == [200, 200, 401, 401]
    assert client.get("/openapi.json").json["paths"]["/predict"]["post"]["security"]


def test_a_page_of_another_site_cannot_ask(client):
    asks = {
        site: send(client, SAMPLES[0], headers={"Sec-Fetch-Site": site})
        for site in ("cross-site", "same-origin")
    }
    assert asks["same-origin"].status_code == 200 and is_problem(asks["cross-site"].json, 403)
    assert not any(name.startswith("Access-Control") for name in asks["same-origin"].headers.keys())
    assert "Set-Cookie" not in asks["same-origin"].headers


def test_too_many_requests_are_429_for_that_client_alone():
    client = create_app(Stub(), rate=60).test_client()

    def ask(address, to="/predict"):
        data = {"file": (io.BytesIO(sound(tone(0.2))), "a")}
        return client.post(to, data=data, environ_base={"REMOTE_ADDR": address})

    codes = [ask("192.0.2.1").status_code for _ in range(8)]
    assert codes == [200] * 6 + [429] * 2
    reply = ask("192.0.2.1")
    assert is_problem(reply.json, 429) and int(reply.headers["Retry-After"]) == 1
    assert ask("192.0.2.1", "/").status_code == 429 and ask("192.0.2.2").status_code == 200
    assert client.get("/healthz", environ_base={"REMOTE_ADDR": "192.0.2.1"}).status_code == 200


def test_several_clips_in_a_request_count_as_several():
    client = create_app(Stub(), rate=60).test_client()
    clip = sound(tone(0.2))
    assert send(client, *[clip] * 10, to="/v1/predict").status_code == 200
    reply = send(client, clip)
    assert reply.status_code == 429 and int(reply.headers["Retry-After"]) >= 4


def test_a_rate_limit_refills_and_forgets(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("ser_nbdev.webapp.limits.time.monotonic", lambda: now[0])
    limit = RateLimit(60, clients=100)
    assert [limit.take("a") for _ in range(7)] == [0] * 6 + [1]
    now[0] += 1
    assert [limit.take("a"), limit.take("a")] == [0, 1]
    for i in range(1000):
        limit.take(i)
    assert len(limit._clients) == 100
    assert all(RateLimit(0).take("a") == 0 for _ in range(1000))
    assert household("2001:db8::1") == household("2001:db8::ffff") != household("2001:db8:0:1::1")
    assert household("192.0.2.1") != household("192.0.2.2")


# ---- what is told of it


def test_the_log_is_json_without_sound_or_names(caplog):
    quiet, loud = (create_app(Stub(), log_names=names).test_client() for names in (False, True))
    with caplog.at_level(logging.INFO, "ser_nbdev"):
        for client in (quiet, loud):
            data = {"file": (io.BytesIO(sound()), "my secret.wav")}
            client.post("/predict?timeline=0&who=me", data=data)
        quiet.post("/predict", data={"file": (io.BytesIO(b"xx"), "my secret.wav")})
    lines = [Lines().format(r) for r in caplog.records]
    assert "secret" not in lines[0] + lines[2] and "who=me" not in "".join(lines)
    first, named, bad = map(json.loads, lines)
    assert first["route"] == "/predict" and first["status"] == 200 and first["bytes"] > 30_000
    assert named["names"] == ["my secret.wav"]
    assert bad["problem"] == "not-audio" and bad["level"] == "info" and bad["time"].endswith("+00:00")


def test_an_error_is_logged_under_the_id_that_the_client_sees(caplog):
    class Broken(Stub):
        def predict(self, *args, **kw):
            raise RuntimeError("a secret of the inside")

    reply = send(create_app(Broken()).test_client(), sound())
    assert is_problem(reply.json, 500) and "secret" not in reply.text
    [line] = [json.loads(Lines().format(r)) for r in caplog.records if r.levelno >= logging.ERROR]
    assert line["id"] == reply.headers["X-Request-Id"] and "a secret of the inside" in line["trace"]


def test_metrics_count():
    client = create_app(Stub()).test_client()
    for data in (sound(), sound(), b"xx"):
        send(client, data)
    for method in ("BREW", "SIP", "GET"):
        client.open("/a/path/of/theirs", method=method)
    text = client.get("/metrics").text
    assert 'ser_requests_total{method="POST",route="/predict",status="200"} 2.0' in text
    assert 'ser_problems_total{kind="not-audio"} 1.0' in text and "ser_sound_seconds_total 2.0" in text
    assert 'ser_answers_total{emotion="happy",unsure="false"} 2.0' in text
    assert (
        'ser_requests_total{method="other",route="none"' in text
        and "BREW" not in text
        and "theirs" not in text
    )
