"What a worker is made of in tests: the usual, but some names of files are its end."

import os
import sys
import time

from ser_nbdev.scale import _Ear


class Ear(_Ear):
    "Dies of a path with `poison` in it, and of one with `once` the first time; dawdles over one with `slow`, and never ends one with `stuck`."

    def __call__(self, path):
        if "poison" in path:
            os.kill(os.getpid(), 9)
        if "once" in path and not os.path.exists(path + ".seen"):
            open(path + ".seen", "w").close()
            os.kill(os.getpid(), 9)
        if "stuck" in path:
            time.sleep(3600)
        if "slow" in path:
            time.sleep(0.02)
        return super().__call__(path)


def die_of(x):
    "The end of the process, of a chatty one, for some numbers."
    print("this is no answer")
    if x == 13:
        sys.stdout.flush()
        os._exit(3)
    return x * x


def make():
    return die_of


class Odd(Exception):
    "An error that no pickle takes."

    def __init__(self, a, b):
        super().__init__("odd")
        self.hook = lambda: None


def raise_odd(x):
    raise Odd(x, x)


def make_odd():
    return raise_odd


def make_threads():
    return lambda name: os.environ.get(name)


def make_large():
    return lambda n: b"x" * n
