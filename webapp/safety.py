"""What keeps the service safe: uploads that stay in memory, security headers, errors that are sentences."""

from io import BytesIO

from flask import Flask, Request, request
from werkzeug.exceptions import HTTPException

from .problems import Problem, from_status, say

#: Sent with every answer. The page loads nothing from elsewhere and holds no inline script or style.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "media-src 'self' blob:; connect-src 'self'; form-action 'self'; "
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


def guard(app: Flask):
    "Give the application its headers and its errors."

    @app.after_request
    def headers(response):
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if request.endpoint != "static":
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    @app.errorhandler(Problem)
    def problem(error):
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
        app.logger.exception("%s %s failed", request.method, request.path)
        return say(from_status(500, ""))
