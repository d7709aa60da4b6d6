"""The page and its API: a Flask application, thin over `ser_nbdev.serving`.

from ser_nbdev.webapp import create_app
app = create_app()          # any WSGI server runs it; `ser serve` does so with waitress and processes of its own
"""

__all__ = ["create_app", "MAX_BYTES", "MAX_SECONDS"]


def __getattr__(name):  # a worker's process imports this package, and has no use for Flask
    if name in __all__:
        from . import app

        return getattr(app, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
