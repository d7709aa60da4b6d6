"""Who may ask, and how often."""

import hmac
import ipaddress
import math
import os
import time
from collections import OrderedDict
from threading import Lock


def keys_from_environment():
    "The keys in SER_API_KEYS, which a comma parts; none: everybody may ask."
    return tuple(k.strip() for k in os.environ.get("SER_API_KEYS", "").split(",") if k.strip())


def offered_key(request):
    "The key that comes with a request, in either of the usual headers."
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else request.headers.get("X-API-Key", "")


def which_key(keys, offered):
    "The place of `offered` among `keys`, or None; it takes the same time for any."
    found, offered = None, offered.encode("utf-8", "replace")
    for i, key in enumerate(keys):
        if hmac.compare_digest(key.encode(), offered):
            found = i
    return found


def household(address):
    "An address as it is limited: one of IPv6 stands for its /64, which a single client has to itself."
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((ip, 64), strict=False)) if ip.version == 6 else address


class RateLimit:
    "So many requests a minute for each client, a tenth of them at once. It remembers a bounded number of clients."

    def __init__(
        self,
        per_minute: float,  # 0: no limit
        clients: int = 10_000,  # that are remembered, the latest ones
    ):
        self.rate, self.burst, self.most = per_minute / 60, max(1, per_minute / 10), clients
        self._clients, self._lock = OrderedDict(), Lock()

    def take(
        self,
        who,
        n: int = 1,  # requests
        always: bool = False,  # take them even if there are none left, so that the next one waits longer
    ) -> int:  # whole seconds to wait, 0: go ahead
        if not self.rate:
            return 0
        now = time.monotonic()
        with self._lock:
            left, then = self._clients.pop(who, (self.burst, now))
            left = min(self.burst, left + (now - then) * self.rate)
            allowed = always or left >= n
            self._clients[who] = (left - n * allowed, now)
            if len(self._clients) > self.most:
                self._clients.popitem(last=False)
        return 0 if allowed else math.ceil((n - left) / self.rate)
