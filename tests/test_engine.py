"Worker processes: what kills one, what outlives whom, and that nobody is left behind."

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import killer
import pytest

from ser_nbdev.engine import Crashed, EngineError, Local, choose, in_order

HERE = Path(__file__).parent


def test_what_kills_its_process_is_told_and_the_rest_is_done():
    known = {
        key: (answer, error) for key, answer, error in Local(3).run(killer.make, zip(range(60), range(60)))
    }
    assert list(sorted(known)) == list(range(60))
    assert [k for k, (_, error) in known.items() if error] == [13]
    assert isinstance(known[13][1], Crashed) and "status 3" in str(known[13][1])
    assert all(known[k] == (k * k, None) for k in range(60) if k != 13)


def test_an_error_that_cannot_travel_is_told_in_words():
    (_, answer, error), *_ = Local(1).run(killer.make_odd, [(0, 0)])
    assert answer is None and str(error) == "Odd: odd"


def test_large_answers_and_large_arguments():
    assert [len(a) for _, a, _ in Local(1).run(killer.make_large, [(0, 5_000_000)])] == [5_000_000]
    big = [b"y" * 1_000_000] * 20
    assert list(in_order(Local(2), len, big)) == [1_000_000] * 20


def test_each_worker_has_one_thread():
    assert [a for _, a, _ in Local(1).run(killer.make_threads, [(0, "OMP_NUM_THREADS")])] == ["1"]


def test_each_worker_keeps_some_memory_for_what_comes_next():
    names = ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"]
    told = [a for _, a, _ in Local(1).run(killer.make_threads, enumerate(names))]
    assert told == [str(2 * 2**20)] * 2


def test_the_first_error_in_order_is_raised():
    with pytest.raises(TypeError, match="object of type 'int' has no len"):
        list(in_order(Local(2), len, ["a"] * 40 + [1] + ["b"] * 40))


def children(pid):
    "Processes whose parent is `pid`."
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry.name))
        except (OSError, IndexError):
            pass
    return found


def gone(pids, seconds=10):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not any(
            Path(f"/proc/{pid}").exists()
            and "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1][:3]
            for pid in pids
        ):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_whoever_stops_listening_leaves_nobody_behind():
    before = set(children(os.getpid()))
    run = Local(2).run(partial(partial, time.sleep), ((i, 0.05) for i in range(1000)))
    next(run)
    mine = set(children(os.getpid())) - before
    assert len(mine) == 2
    run.close()
    assert gone(mine)


SCRIPT = """
import operator, time
from functools import partial
from ser_nbdev.engine import Local, in_order
print(sum(in_order(Local(2), operator.add, range(100), range(100))), flush=True)
for _ in Local(2).run(partial(partial, time.sleep), ((i, 0.05) for i in range(10_000))):
    print("on", flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_script_without_a_guard_works_and_its_children_end_with_it(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    run = subprocess.Popen(
        [sys.executable, tmp_path / "script.py"], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert run.stdout.readline() == "9900\n" and run.stdout.readline() == "on\n"
    workers = children(run.pid)
    assert len(workers) >= 2
    run.send_signal(signal.SIGKILL)
    run.wait(10)
    assert gone(workers)
    run.stdout.close()


def test_a_file_in_the_working_folder_is_not_run(tmp_path):
    (tmp_path / "pickle.py").write_text("raise SystemExit('this is not the one')")
    code = "import sys; sys.path.remove(''); from ser_nbdev.engine import Local, in_order; print(*in_order(Local(1), abs, [-1]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout == "1\n", done.stderr


def test_a_worker_that_cannot_start_ends_the_run(monkeypatch):
    with pytest.raises(FileNotFoundError):
        list(Local(2).run(partial(open, "/nowhere/at/all"), [(0, 0)]))
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises((EngineError, OSError)):
        list(Local(1).run(killer.make, [(0, 0)]))


def test_what_makes_no_engine():
    for how, told in (
        ({"workers": 0}, "one worker"),
        ({"name": "dask"}, "no engine"),
        ({"address": "auto"}, "address"),
    ):
        with pytest.raises(EngineError, match=told):
            choose(**how)
