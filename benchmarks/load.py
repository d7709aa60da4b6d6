"""The service under load, beside the baseline's app rebuilt from its description: the same clips, the same number of workers.

    python benchmarks/load.py [--workers N] [--seconds 20] [--rounds 3] [--smoke]

Both are asked in turn, round by round, by a load generator in a process of its own, a new connection for each
request: first one client alone, then as many as keep every worker busy. Then ours alone gets twice what it can
bear, at random moments; and so does ours with half the workers, for with a worker on every core none is left for the server
in front of them and for the generator. Clips are of about two seconds: TESS if SER_DATA_DIR is set, else the demo corpus.
The baseline runs once as its author left it, and once with its libraries held to one thread, as our workers are.
"""

import argparse
import json
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
from common import pin_threads, store
from speed import clips

HERE = Path(__file__).parent
THREADS = 96  # of the generator, at most


# ---- the generator: a process of its own, which imports nothing heavy


def request(clip, name):
    line = b"----boundary7d1"
    head = b'Content-Disposition: form-data; name="file"; filename="%s"\r\n' % name.encode()
    body = b"--%s\r\n%sContent-Type: audio/wav\r\n\r\n%s\r\n--%s--\r\n" % (line, head, clip, line)
    top = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    kind = b"Content-Type: multipart/form-data; boundary=%s\r\nContent-Length: %d\r\n\r\n" % (line, len(body))
    return top + kind + body


def ask(port, data):
    "Status and seconds of one request; status 0 for a broken connection."
    began = time.perf_counter()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as link:
            link.sendall(data)
            reply = b"".join(iter(lambda: link.recv(65536), b""))
        status = int(reply.split(b" ", 2)[1]) if reply.startswith(b"HTTP/") else 0
    except OSError:
        status = 0
    return status, time.perf_counter() - began


def generate(plan):
    "Send requests as `plan` says; [status, seconds] of each, and how long it took."
    send = [request(Path(path).read_bytes(), f"{i}.wav") for i, path in enumerate(plan["clips"])]
    ports, answers, lock = plan["ports"], [], threading.Lock()
    rng, began = random.Random(0), time.perf_counter()
    end, turn = began + plan["seconds"], iter(range(10**9))
    due, late = began, 0

    def next_one():
        "The number of the next request and when it is due, or None."
        nonlocal due
        with lock:
            i = next(turn)
            if plan.get("rate"):
                due += rng.expovariate(plan["rate"])
            at = due if plan.get("rate") else time.perf_counter()
            return None if at > end or i >= plan["most"] else (i, at)

    def client():
        nonlocal late
        while found := next_one():
            i, at = found
            if (wait := at - time.perf_counter()) > 0:
                time.sleep(wait)
            late += wait < -0.05
            answer = ask(ports[i % len(ports)], send[i % len(send)])
            with lock:
                answers.append(answer)

    team = [threading.Thread(target=client) for _ in range(min(plan["clients"], THREADS))]
    for thread in team:
        thread.start()
    for thread in team:
        thread.join()
    return {"answers": answers, "seconds": time.perf_counter() - began, "late": late}


def load(**plan):
    "What the generator finds, in figures."
    done = subprocess.run(
        [sys.executable, __file__, "--generate"],
        input=json.dumps(plan | {"most": 100_000}),
        capture_output=True,
        text=True,
        check=True,
        timeout=plan["seconds"] + 120,
    )
    found = json.loads(done.stdout)
    statuses = {}
    for status, _ in found["answers"]:
        statuses[str(status)] = statuses.get(str(status), 0) + 1
    good = sorted(1e3 * seconds for status, seconds in found["answers"] if status == 200)
    figures = {"statuses": statuses, "per_second": len(good) / found["seconds"], "late": found["late"]}
    if len(good) > 1:
        figures |= {
            "p50_ms": statistics.median(good),
            "p99_ms": good[min(len(good) - 1, int(0.99 * len(good)))],
        }
    return figures


# ---- the servers


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def family(pid):
    "A process and its children."
    return [pid, *(child.pid for child in psutil.Process(pid).children())]


def megabytes(pids):
    "Of each process: its share of the memory (what is shared, divided), resident now, and at its most."
    shares, now, most = [], [], []
    for pid in pids:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        shares.append(int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1]) / 1e3)
        text = Path(f"/proc/{pid}/status").read_text()
        now.append(int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1e3)
        most.append(int(re.search(r"VmHWM:\s+(\d+)", text)[1]) / 1e3)
    return {"share": sum(shares), "resident": sum(now), "most": sum(most)}


def wait_for(port, path, seconds=120):
    until = time.time() + seconds
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as link:
                link.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
                if b" 200 " in link.recv(100).split(b"\n")[0]:
                    return
        except OSError:
            pass
        if time.time() > until:
            sys.exit(f"nothing answers at port {port}")
        time.sleep(0.1)


@contextmanager
def ours(workers):
    port = free_port()
    code = "import sys; from ser_nbdev.cli import main; sys.exit(main())"
    command = [
        sys.executable,
        "-c",
        code,
        "serve",
        "--port",
        str(port),
        "--workers",
        str(workers),
        "--rate",
        "0",
    ]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port, "/readyz")
        yield [port], lambda: family(run.pid)
    finally:
        run.send_signal(signal.SIGTERM)
        run.wait(30)


@contextmanager
def theirs(workers, model, folder, pinned):
    ports = [free_port() for _ in range(workers)]
    env = {k: v for k, v in os.environ.items() if "_THREADS" not in k}
    names = (
        "OMP_NUM_THREADS OPENBLAS_NUM_THREADS MKL_NUM_THREADS TF_NUM_INTRAOP_THREADS TF_NUM_INTEROP_THREADS"
    )
    env |= dict.fromkeys(names.split(), "1") if pinned else {}
    runs = [
        subprocess.Popen(
            [sys.executable, HERE / "baseline_app.py", str(port), model, folder],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=env,
        )
        for port in ports
    ]
    try:
        for port in ports:
            wait_for(port, "/")
        yield ports, lambda: [run.pid for run in runs]
    finally:
        for run in runs:
            run.kill()
            run.wait()


# ---- the measurement


def middle(rounds, key):
    found = [r[key] for r in rounds if key in r]
    return statistics.median(found) if found else None


def measured(plan, workers, seconds, overload=False):
    "Figures for one client, for as many as keep the workers busy and, if asked for, for twice of what that came to."
    load(**plan, clients=2 * workers, seconds=min(seconds, 3))  # warm
    found = {"alone": load(**plan, clients=1, seconds=seconds)}
    found["busy"] = load(**plan, clients=2 * workers, seconds=seconds)
    if overload:
        rate = 2 * found["busy"]["per_second"]
        found["twice"] = load(**plan, clients=THREADS, seconds=seconds, rate=rate)
        found["twice"]["offered_per_second"] = rate
    return found


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="a second of each, and nothing is stored")
    parser.add_argument("--generate", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.generate:
        return print(json.dumps(generate(json.load(sys.stdin))))
    if args.smoke:
        args.seconds, args.rounds = 1.5, 1
    workers, seconds = args.workers, args.seconds
    before, paths = os.getloadavg(), clips(40)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        model = str(Path(folder, "baseline.keras"))
        make = f"from ser_nbdev.model import baseline_lstm; baseline_lstm().save({model!r})"
        subprocess.run([sys.executable, "-c", make], check=True, stderr=subprocess.DEVNULL)
        servers = {
            "baseline": lambda: theirs(workers, model, folder, False),
            "baseline, one thread": lambda: theirs(workers, model, folder, True),
            "ours": lambda: ours(workers),
        }
        for _ in range(args.rounds):
            for name, server in servers.items():
                with server() as (ports, pids):
                    entry = found.setdefault(name, {"alone": [], "busy": [], "memory": [], "twice": []})
                    plan = dict(clips=paths, ports=ports)
                    for kind, figures in measured(plan, workers, seconds, overload=name == "ours").items():
                        entry[kind].append(figures)
                    entry["memory"].append(megabytes(pids()))
    result = {"workers": workers, "seconds": seconds, "rounds": args.rounds, "clips": len(paths)}
    result["load_average"] = {"before": before, "after": os.getloadavg()}  # of all that runs here
    for name, entry in found.items():
        figures = {f"alone_{k}": middle(entry["alone"], k) for k in ("p50_ms", "p99_ms")}
        figures |= {f"busy_{k}": middle(entry["busy"], k) for k in ("per_second", "p50_ms", "p99_ms")}
        figures |= {
            f"mb_per_worker_{k}": middle(entry["memory"], k) / workers for k in ("share", "resident", "most")
        }
        result[name] = {**figures, "rounds": entry}
        print(f"{name:21}", "  ".join(f"{k} {v:.4g}" for k, v in figures.items()))
    twice, mine = found["ours"]["twice"], result["ours"]
    other = {s: sum(t["statuses"].get(s, 0) for t in twice) for t in twice for s in t["statuses"]}
    result["twice"] = {"statuses": other, "p99_over_alone": middle(twice, "p99_ms") / mine["alone_p99_ms"]}
    print("at twice what it can bear:", result["twice"])
    fewer = max(1, workers // 2)
    rounds = []
    for _ in range(args.rounds):
        with ours(fewer) as (ports, _pids):
            rounds.append(measured(dict(clips=paths, ports=ports), fewer, seconds, overload=True))
    over = [r["twice"]["p99_ms"] / r["alone"]["p99_ms"] for r in rounds]
    result["twice_fewer"] = {"workers": fewer, "p99_over_alone": statistics.median(over), "rounds": rounds}
    print(f"the same with {fewer}: p99 {statistics.median(over):.2f} times that of one client alone")
    for name in ("baseline", "baseline, one thread"):
        them = result[name]
        ratio = {
            "throughput": mine["busy_per_second"] / them["busy_per_second"],
            "memory": mine["mb_per_worker_resident"] / them["mb_per_worker_resident"],
            "memory_shared_parts_divided": mine["mb_per_worker_share"] / them["mb_per_worker_share"],
            "p99_alone": mine["alone_p99_ms"] / them["alone_p99_ms"],
        }
        result[f"ours_over {name}"] = ratio
        print(f"ours over {name}:", "  ".join(f"{k} {v:.3g}" for k, v in ratio.items()))
    if not args.smoke:
        store("load", result)


if __name__ == "__main__":
    pin_threads(1)
    main()
