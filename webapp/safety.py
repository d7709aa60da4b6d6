"""What keeps the service safe: uploads that stay in memory, security headers, errors that are sentences."""

import logging
import time
import traceback
from contextlib import ExitStack
from io import BytesIO
from uuid import uuid4

from flask import Flask, Request, current_app, g, request
from werkzeug.exceptions import HTTPException

from .limits import household, offered_key, which_key
from .logs import note
from .problems import Problem, from_status, say

#: Sent with every answer. The page loads nothing from elsewhere and holds no inline script or style.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "font-src 'self'; media-src 'self' blob:; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(self)",
}


class MemoryRequest(Request):
    """A request whose files stay in memory: Flask alone writes those above 500 kB to a temporary file."""

    def _get_file_stream(self, total_content_length, content_type, filename=None, content_length=None):
        return BytesIO()


def costly():
    "Whether a request makes a worker listen."
    return request.method == "POST" or (request.endpoint == "views.home" and "sample" in request.args)


def client():
    "Whom the limit is for: the key that was given, or the address."
    keys = current_app.config["SER_KEYS"]
    if keys:
        which = which_key(keys, offered_key(request))
        if which is None:
            raise Problem(
                "key", "This service asks for a key: send it in the header Authorization: Bearer KEY."
            )
        return f"key {which}"
    return household(request.remote_addr or "")


def admit():
    "Let a request in that makes a worker listen, or raise `Problem`. It needs no cookie, and so none can be abused."
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        raise Problem("cross-site", "A page of another site sent this: open this service's own page instead.")
    g.client = client()
    if wait := current_app.extensions["rate"].take(g.client):
        raise Problem("too-many", f"That was too much at once: try again in {wait} s.", wait)
    place = ExitStack()
    place.enter_context(current_app.extensions["engine"].admitted())
    g.place = place


def guard(app: Flask):
    "Give the application its gate, its headers, its errors and its log."

    @app.before_request
    def gate():
        g.began, g.id = time.monotonic(), uuid4().hex
        if costly():
            admit()

    @app.teardown_request
    def leave(_):
        if place := g.pop("place", None):
            place.close()

    @app.after_request
    def headers(response):
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers["X-Request-Id"] = g.get("id", "")
        if request.endpoint != "static":
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    @app.after_request
    def record(response):
        seconds = time.monotonic() - g.get("began", time.monotonic())
        route = request.url_rule and request.url_rule.rule
        app.extensions["metrics"].requested(request.method, route, response.status_code, seconds)
        names = {"names": g.names} if "names" in g and app.config["SER_LOG_NAMES"] else {}
        note(
            "request",
            id=g.get("id"),
            method=request.method,
            route=route,
            status=response.status_code,
            seconds=round(seconds, 4),
            bytes=request.content_length,
            client=request.remote_addr,
            **({"problem": g.problem} if "problem" in g else {}),
            **names,
        )
        return response

    @app.errorhandler(Problem)
    def problem(error):
        g.problem = error.kind
        app.extensions["metrics"].problems.labels(error.kind).inc()
        return say(error)

    @app.errorhandler(HTTPException)
    def known(error):
        answer = error.get_response()  # keeps what belongs to the status: Allow, Location
        if error.code is None or error.code < 400:
            return answer
        reply = app.make_response(say(from_status(error.code, error.name)))
        reply.headers.update({k: v for k, v in answer.headers.items() if k in ("Allow", "Retry-After")})
        return reply

    @app.errorhandler(Exception)
    def unknown(error):
        note("error", logging.ERROR, id=g.get("id"), trace=traceback.format_exc())
        return say(from_status(500, ""))
