"""What an operator's Prometheus reads. One process counts for all workers, so the figures need no adding up."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)

disable_created_metrics()


class Metrics:
    "The counts of one application."

    def __init__(self, engine):
        self.registry = r = CollectorRegistry()
        ProcessCollector(registry=r)
        self.requests = Counter(
            "ser_requests", "Requests answered.", ["method", "route", "status"], registry=r
        )
        self.seconds = Histogram(
            "ser_request_seconds",
            "From the whole request to the answer.",
            ["route"],
            buckets=SECONDS,
            registry=r,
        )
        self.problems = Counter("ser_problems", "Problems by the end of their type.", ["kind"], registry=r)
        self.answers = Counter("ser_answers", "Clips answered.", ["emotion", "unsure"], registry=r)
        self.sound = Counter("ser_sound_seconds", "Sound listened to, in seconds.", registry=r)
        for name, text, attribute in (
            ("ser_requests_inside", "Requests in a worker or waiting for one.", "inside"),
            ("ser_workers", "Worker processes that can be asked.", "alive"),
            ("ser_workers_replaced", "Worker processes that died and were replaced.", "replaced"),
        ):
            Gauge(name, text, registry=r).set_function(lambda a=attribute: getattr(engine, a))

    def requested(self, method, route, status, seconds):
        self._count(method, route or "none", status)
        self.seconds.labels(route or "none").observe(seconds)

    def refused(self, method, status, kind):
        "Count what the server did not hand on to the application."
        self._count(method, "none", status)
        self.problems.labels(kind).inc()

    def _count(self, method, route, status):
        known = method if method in METHODS else "other"  # a client could invent any number
        self.requests.labels(known, route, status).inc()

    def answered(self, prediction):
        self.answers.labels(prediction["emotion"], str(prediction["unsure"]).lower()).inc()
        self.sound.inc(prediction["duration"])

    def page(self):
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
