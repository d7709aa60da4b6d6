"""The addresses for programs."""

import json

from flask import Blueprint, Response, current_app, g, jsonify, request
from werkzeug.exceptions import RequestEntityTooLarge

from .openapi import MAX_FILES, NO, SOUND, YES, described, document, json_of, ref
from .problems import Problem

api = Blueprint("api", __name__)


def engine():
    "Who does the work: `engine.Local` or `pool.Pool`."
    return current_app.extensions["engine"]


def too_large():
    size = current_app.config["SER_MAX_BYTES"] / 2**20
    return (
        f"The clip is larger than {size:.3g} MB, the limit here: "
        "send a shorter one, or a compressed one such as mp3 or ogg."
    )


def uploaded(most=1):
    "The bytes of each form field `file`, 1 to `most` of them."
    try:
        files = request.files.getlist("file")
    except RequestEntityTooLarge:
        raise Problem("too-large", too_large()) from None
    clips = [f.stream.getvalue() for f in files if f.filename or f.stream.getbuffer().nbytes]
    if not clips:
        raise Problem("no-file", "No clip was sent: choose a file, or send it in the form field named file.")
    g.names = [f.filename for f in files]
    if len(clips) > most:
        sorry = (
            f"{len(clips)} clips were sent, and this address takes {most} at a time: send the others later."
        )
        raise Problem("too-large", sorry)
    if max(map(len, clips)) > current_app.config["SER_MAX_BYTES"]:
        raise Problem("too-large", too_large())
    if len(clips) > 1:
        current_app.extensions["rate"].take(g.client, len(clips) - 1, always=True)
    return clips


def flag(name):
    "A yes or no from the query."
    value = request.args.get(name, NO[0])
    if value not in YES + NO:
        raise Problem("malformed", f"In the address, {name} is 1 or 0: write ?{name}=1, or leave it out.")
    return value in YES


def sent_adaptation():
    "The form field `adaptation`, or None; the recognizer looks at what is in it."
    sent = request.files.get("adaptation")  # a client may send it as a file of JSON
    text = sent.read() if sent else request.form.get("adaptation")
    if text is None:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Problem(
            "adaptation", "The adaptation is not the JSON that /v1/adapt gave: send it back unchanged."
        )
    return found


def work(task, clips, **how):
    "The result of a job under the limits of this service."
    return engine()(task, clips, max_seconds=current_app.config["SER_MAX_SECONDS"], **how)


def judge(clip, timeline=False, adaptation=None):
    "The prediction for a clip, as bytes; raises `Problem`."
    found = work("predict", [clip], timeline=timeline, adaptation=adaptation)
    current_app.extensions["metrics"].answered(found)
    return found


@api.post("/predict")
@described(
    answer=json_of(ref("Prediction")),
    problems=(*SOUND, "adaptation"),
    files=1,
    query=["timeline"],
    fields=["adaptation"],
)
def predict():
    "One clip in, its emotion out."
    [clip] = uploaded()
    return jsonify(judge(clip, flag("timeline"), sent_adaptation()))


@api.post("/v1/predict")
@described(
    answer=json_of(ref("Results")),
    problems=["adaptation"],
    files=MAX_FILES,
    query=["timeline"],
    fields=["adaptation"],
)
def predict_many():
    "Several clips in, an emotion or a problem for each out."
    clips, how, results = uploaded(MAX_FILES), (flag("timeline"), sent_adaptation()), []
    for index, clip in enumerate(clips):
        try:
            results.append({"index": index, "prediction": judge(clip, *how)})
        except Problem as no:
            if no.status >= 500 or no.kind == "adaptation":
                raise
            results.append({"index": index, "problem": no.to_dict()})
    return jsonify(results=results)


@api.post("/v1/adapt")
@described(
    answer=json_of(ref("Adapted")),
    problems=(*SOUND, "adaptation", "no-speech", "cannot-adapt"),
    files=MAX_FILES,
    fields=["adaptation"],
)
def adapt():
    "Clips of one speaker in, what is known of the speaker out."
    return jsonify(work("adapt", uploaded(MAX_FILES), adaptation=sent_adaptation()))


@api.get("/v1/model")
@described(answer=json_of({"type": "object"}))
def card():
    "The card of the model that answers."
    return jsonify(engine().bundle.card)


@api.get("/healthz")
@described(answer=json_of({"const": {"status": "ok"}}))
def healthz():
    "Whether the process answers."
    return jsonify(status="ok")


@api.get("/readyz")
@described(answer=json_of({"const": {"status": "ready"}}), problems=["busy", "stopping"])
def readyz():
    "Whether it can answer about clips."
    if sentence := engine().ready():
        raise Problem("stopping" if engine().stopping else "busy", sentence, retry_after=1)
    return jsonify(status="ready")


@api.get("/metrics")
@described(answer={"text/plain": {"schema": {"type": "string"}}})
def metrics():
    "What Prometheus reads."
    text, kind = current_app.extensions["metrics"].page()
    return Response(text, content_type=kind)


@api.get("/openapi.json")
@described(answer=json_of({"type": "object"}))
def openapi():
    "This document."
    return jsonify(document(current_app))
