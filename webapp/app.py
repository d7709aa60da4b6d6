"""The application factory."""

from flask import Flask

from .api import api
from .engine import Local
from .limits import RateLimit, keys_from_environment
from .metrics import Metrics
from .safety import MemoryRequest, guard
from .views import views

#: The largest upload that is read, in bytes.
MAX_BYTES = 50 * 2**20

#: The longest clip that is answered, in seconds.
MAX_SECONDS = 1800.0


def create_app(
    recognizer=None,  # a `serving.Recognizer`; None: that of the default bundle, opened when needed
    *,
    engine=None,  # who does the work instead: a `pool.Pool`
    max_bytes: int = MAX_BYTES,  # larger uploads are answered with 413
    max_seconds: float = MAX_SECONDS,  # longer clips are answered with 413, found out while decoding
    rate: float = 0,  # requests a minute for each client, more are answered with 429; 0: no limit
    keys=None,  # one of which a client has to send; None: those in SER_API_KEYS, and if there are none, nobody has to
    log_names: bool = False,  # whether the names of files may stand in the log
) -> Flask:
    """The application. Uploads stay in memory, and nothing that the client names touches a path."""
    app = Flask(__name__)
    app.request_class = MemoryRequest
    # the form around the file takes some room too; the file itself is measured in `api`
    app.config.update(
        MAX_CONTENT_LENGTH=max_bytes + 2**16,
        MAX_FORM_PARTS=20,
        SER_MAX_BYTES=max_bytes,
        SER_MAX_SECONDS=max_seconds,
        SER_KEYS=keys_from_environment() if keys is None else tuple(keys),
        SER_LOG_NAMES=log_names,
    )
    engine = engine or Local(recognizer)
    app.extensions.update(engine=engine, metrics=Metrics(engine), rate=RateLimit(rate))
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.json.sort_keys = False
    app.register_blueprint(api)
    app.register_blueprint(views)
    guard(app)
    return app
