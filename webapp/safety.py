"""What keeps the service safe: uploads that stay in memory, security headers, errors that are sentences."""

from io import BytesIO

from flask import Flask, Request, jsonify, render_template, request
from werkzeug.exceptions import HTTPException

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

SENTENCES = {
    400: "The request could not be understood.",
    404: "There is no such page here.",
    405: "This address does not take that kind of request.",
    413: "The request is larger than this server takes.",
    500: "Something went wrong on the server, and the reason is in its log. The clip was not kept.",
}


class MemoryRequest(Request):
    """A request whose files stay in memory: Flask alone writes those above 500 kB to a temporary file."""

    def _get_file_stream(self, total_content_length, content_type, filename=None, content_length=None):
        return BytesIO()


def wants_json():
    "Whether the client is a program: it asked for the API, or prefers JSON to HTML."
    if request.path in ("/predict", "/healthz"):
        return True
    accept = request.accept_mimetypes
    return accept["application/json"] > accept["text/html"]


def say(sentence, status):
    "An error as JSON or as a page, as the client prefers."
    if wants_json():
        return jsonify(error=sentence), status
    return render_template("error.html", sentence=sentence, status=status), status


def guard(app: Flask):
    "Give the application its headers and its errors."

    @app.after_request
    def headers(response):
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if request.endpoint != "static":
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    @app.errorhandler(HTTPException)
    def known(error):
        answer = error.get_response()  # keeps what belongs to the status: Allow, Location
        if error.code is None or error.code < 400:
            return answer
        body, status = say(SENTENCES.get(error.code, f"{error.name}."), error.code)
        kept = {k: v for k, v in answer.headers.items() if k in ("Allow", "Retry-After")}
        return body, status, kept

    @app.errorhandler(Exception)
    def unknown(error):
        app.logger.exception("%s %s failed", request.method, request.path)
        return say(SENTENCES[500], 500)
