"""Logs as JSON, one object a line, for machines to read. They hold no sound, and no file's name unless asked to."""

import json
import logging
import sys
from datetime import datetime, timezone

log = logging.getLogger("ser_nbdev")


def note(event, level=logging.INFO, **about):
    "Log an event with what there is to say about it."
    log.log(level, event, extra={"about": about})


class Lines(logging.Formatter):
    def format(self, record):
        line = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "about", {}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True, default=str)


def log_lines():
    "Send what this service and its server have to say to standard error."
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    server = logging.getLogger("waitress")
    server.addHandler(handler)
    server.setLevel(logging.ERROR)  # the depth of its queue is no news: ours is bounded
    server.propagate = False
