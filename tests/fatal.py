"What a process is told that is to be killed at a moment of its own work."

#: Code for `python -c`, to which the work itself is added: `die_at` kills the process before or after a call of a function.
DIE_AT = """
import os, signal, sys
def die_at(place, name, turn, when):
    calls, usual = 0, getattr(place, name)
    def fatal(*a, **kw):
        nonlocal calls
        calls += 1
        if calls == turn and when == "before": os.kill(os.getpid(), signal.SIGKILL)
        made = usual(*a, **kw)
        if calls == turn: os.kill(os.getpid(), signal.SIGKILL)
        return made
    setattr(place, name, fatal)
"""
