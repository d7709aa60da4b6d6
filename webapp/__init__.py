"""The page and its API: a Flask application, thin over `ser_nbdev.serving`.

from ser_nbdev.webapp import create_app
app = create_app()          # any WSGI server runs it; `ser serve` does so with waitress
"""

from threading import Lock

from flask import Flask

from ser_nbdev.serving import MAX_SECONDS, Recognizer

from .safety import MemoryRequest, guard
from .views import views

__all__ = ["create_app", "MAX_BYTES", "MAX_SECONDS"]

#: The largest upload that is read, in bytes.
MAX_BYTES = 50 * 2**20


class _Late:
    """Opens the default recognizer when the first request needs it, and only once."""

    def __init__(self, recognizer=None):
        self._recognizer, self._lock = recognizer, Lock()

    def __call__(self):
        with self._lock:
            if self._recognizer is None:
                self._recognizer = Recognizer()
            return self._recognizer


def create_app(
    recognizer=None,  # a `serving.Recognizer`; None: that of the default bundle, opened when needed
    *,
    max_bytes: int = MAX_BYTES,  # larger uploads are answered with 413
    max_seconds: float = MAX_SECONDS,  # longer clips are answered with 413, found out while decoding
) -> Flask:
    """The application. Uploads stay in memory, and nothing that the client names touches a path."""
    app = Flask(__name__)
    app.request_class = MemoryRequest
    # the form around the file takes some room too; the file itself is measured in `views`
    app.config.update(
        MAX_CONTENT_LENGTH=max_bytes + 2**16,
        MAX_FORM_PARTS=20,
        SER_MAX_BYTES=max_bytes,
        SER_MAX_SECONDS=max_seconds,
    )
    app.extensions["recognizer"] = _Late(recognizer)
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.json.sort_keys = False
    app.register_blueprint(views)
    guard(app)
    return app
