"""How fast an archive is scored, on how many cores, beside openSMILE, and whether that stays so when it grows.

    python benchmarks/batch.py [--clips 600] [--pairs 15] [--sizes 100,1000,10000,100000] [--only growth]

One core and two: the process and its workers are held to one core, then to two (one worker, two workers). Beside it stands
what the machine itself gives: bare loops over the same clips in one process, and in two at once that share nothing.
Short clips are TESS if SER_DATA_DIR is set, otherwise the synthetic demo corpus; they are copied to a temporary folder and
linked as often as is needed. Rates count from the first answer of a run to its last, all of it with one thread a worker.
openSMILE is a tool to compare with and no part of this project (pip install opensmile; free for research only).
What a million hours take is computed from clips of one minute; an archive is bound by its cores and by nothing else.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import RESULTS, pin_threads, store

pin_threads(1)

import numpy as np  # noqa: E402
import soundfile as sf  # noqa: E402

from ser_nbdev.audio import SAMPLE_RATE, load  # noqa: E402
from ser_nbdev.serving import Heard, Recognizer  # noqa: E402

BUNDLES = ("speech-encoder", "tess-lstm")
RUN = """
import json, resource, sys, threading, time
from pathlib import Path
from ser_nbdev.scale import batch

def peak(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM"))

def watch():  # what a process inherits from its parent counts as its peak elsewhere, but not in VmHWM
    while True:
        time.sleep(0.2)
        for pid in children():
            try:
                workers[pid] = peak(pid)
            except (OSError, StopIteration):
                pass

def children():
    found = []
    for task in Path("/proc/self/task").iterdir():
        try:
            found += (task / "children").read_text().split()
        except OSError:
            pass
    return found

workers = {}
threading.Thread(target=watch, daemon=True).start()
began = time.perf_counter()
done = batch(sys.argv[1], sys.argv[2], bundle=sys.argv[3], workers=int(sys.argv[4]), progress=False)
usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps({"files": done.files, "errors": done.errors, "seconds": done.seconds,
    "rate": (done.scored - 1) / done.took, "all_s": time.perf_counter() - began,
    "cpu_ms_per_file": 1e3 * sum(u.ru_utime + u.ru_stime for u in usage) / done.files,
    "parent_mb": peak("self"), "worker_mb": max(workers.values(), default=0.0)}))
"""
LOOP = """
import sys, time
from pathlib import Path
from ser_nbdev.serving import Recognizer
recognizer, clips = Recognizer(sys.argv[1]), [Path(p) for p in sys.argv[3:]]
recognizer.predict(clips[0])
print("ready", flush=True)
sys.stdin.readline()
began, done = time.perf_counter(), 0
while time.perf_counter() - began < float(sys.argv[2]):
    recognizer.predict(clips[done % len(clips)])
    done += 1
print(done / (time.perf_counter() - began))
"""
CLIPS = """
import os
from ser_nbdev import corpora
table = corpora.table(corpus="tess") if os.environ.get("SER_DATA_DIR") else corpora.demo()
print(*table.path.sample(40, random_state=0), sep="\\n")
"""


def short_clips(folder: Path):
    "Forty short clips, copied; looked up in a process of its own, whose memory is not to be counted."
    found = subprocess.run(
        [sys.executable, "-c", CLIPS], check=True, capture_output=True, text=True
    ).stdout.split("\n")
    kept = []
    for i, path in enumerate(found[:40]):
        kept.append(folder / f"{i}{Path(path).suffix}")
        kept[-1].write_bytes(Path(path).read_bytes())
    return kept


def links(folder: Path, sources: list, n: int, each: int = 1000):
    "A folder with `n` hard links of some files, a thousand in each folder."
    for i in range(n):
        source = sources[i % len(sources)]
        within = folder / f"{i // each:04d}"
        within.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, within / f"{i:06d}{source.suffix}")
        except OSError:  # a file has as many links as its file system allows
            sources[i % len(sources)] = within / f"{i:06d}{source.suffix}"
            sources[i % len(sources)].write_bytes(source.read_bytes())
    return folder


def run(folder: Path, bundle: str, workers: int, cores: int | None = None):
    "One batch in a fresh process, on all cores or on the first few."
    with tempfile.TemporaryDirectory() as room:
        command = [sys.executable, "-c", RUN, folder, f"{room}/t.csv", bundle, str(workers)]
        told = subprocess.run(
            held_to(cores, command), check=True, capture_output=True, text=True, timeout=7200
        ).stdout
    return json.loads(told)


def held_to(cores, command):
    "A command that runs on the first few cores and on no other."
    return list(map(str, ["taskset", "-c", f"0-{cores - 1}", *command] if cores else command))


def bare(sources, bundle, n, seconds=3.0):
    "Files a second of `n` loops at once, one a core, that share nothing but the machine."
    command = [sys.executable, "-c", LOOP, bundle, seconds, *sources]
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    loops = [subprocess.Popen(["taskset", "-c", str(i), *map(str, command)], **pipes) for i in range(n)]
    for loop in loops:
        assert loop.stdout.readline() == "ready\n"
    for loop in loops:
        loop.stdin.write("go\n")
        loop.stdin.flush()
    return sum(float(loop.communicate()[0]) for loop in loops)


def two_cores(folder, sources, pairs):
    "Rates on one core and on two, in turn, and their ratios; beside them those of bare loops."
    result = {}
    for bundle in BUNDLES:
        took, alone = [], []
        for _ in range(pairs):
            took.append([run(folder, bundle, n, cores=n)["rate"] for n in (1, 2)])
            alone.append([bare(sources, bundle, n) for n in (1, 2)])
        result[bundle] = {**gain(took), "bare_loops": gain(alone)}
        print(f"{bundle}: {json.dumps(result[bundle])}", flush=True)
    return result


def gain(pairs):
    "Medians on one core and on two, and how their ratios spread."
    ratios = [two / one for one, two in pairs]
    return {
        "files_per_s_one": statistics.median(one for one, _ in pairs),
        "files_per_s_two": statistics.median(two for _, two in pairs),
        "ratio": {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)},
    }


def parts(paths):
    "Milliseconds a clip for decoding with resampling, hearing, answering; and of openSMILE's features alone, in turn."
    smile = egemaps()
    result = {}
    for bundle in BUNDLES:
        recognizer, took = Recognizer(bundle), []
        for path in [paths[0]] * 3 + paths * 3:
            clock = [time.perf_counter()]
            clip = load(path)
            clock.append(time.perf_counter())
            heard = Heard(*recognizer.bundle.hear(clip), len(clip) / SAMPLE_RATE)
            clock.append(time.perf_counter())
            recognizer.answer(heard)
            clock.append(time.perf_counter())
            if smile:
                smile.process_signal(clip, SAMPLE_RATE)
                clock.append(time.perf_counter())
            took.append(1e3 * np.diff(clock))
        took = np.array(took[3:])
        ours = took[:, :3].sum(axis=1)
        names = ("load_ms", "hear_ms", "answer_ms", "egemaps_ms")
        result[bundle] = dict(zip(names, np.median(took, axis=0).tolist()))
        result[bundle]["share_of_loading"] = float(took[:, 0].sum() / ours.sum())
        if smile:
            result[bundle]["egemaps_over_ours"] = float(np.median(took[:, 3] / ours))
        print(f"{bundle}: {json.dumps(result[bundle])}", flush=True)
    return result


def egemaps():
    "openSMILE's eGeMAPS, or None where it is not installed."
    try:
        import opensmile
    except ModuleNotFoundError:
        print("openSMILE is not installed (pip install opensmile): it is left out.")
        return None
    level = opensmile.FeatureLevel.Functionals
    return opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, level, num_workers=1)


def growth(sources, sizes, bundle, room):
    """The same batch at several sizes on one core by one worker: rate and memory.

    Small ones run more often, evenly before and after the large ones: the speed of a machine changes over minutes."""
    often = {n: max(1, min(15, 40_000 // n)) for n in sizes}
    found = {n: [] for n in sizes}
    folders = {n: links(room / f"n{n}", list(sources), n) for n in sizes}
    for _, n in sorted(((k + 0.5) / times, n) for n, times in often.items() for k in range(times)):
        found[n].append(run(folders[n], bundle, 1, cores=1))
        assert found[n][-1]["files"] == n and not found[n][-1]["errors"], found[n][-1]
        print(n, json.dumps(found[n][-1]), flush=True)
    rows = [
        {key: statistics.median(r[key] for r in again) for key in again[0]} | {"runs": len(again)}
        for again in found.values()
    ]
    spread = {
        k: max(r[k] for r in rows) / min(r[k] for r in rows) - 1 for k in ("rate", "parent_mb", "worker_mb")
    }
    return {"bundle": bundle, "sizes": rows, "spread": spread}


def minute_clips(sources, room):
    "Files of one minute of speech."
    clips = [load(path) for path in sources]
    made = []
    for i in range(8):
        order = np.random.default_rng(i).permutation(len(clips))
        minute = np.concatenate([clips[k] for k in np.tile(order, 2)])[: 60 * SAMPLE_RATE]
        made.append(room / f"minute-{i}.flac")
        sf.write(made[-1], minute, SAMPLE_RATE)
    return made


def million_hours(sources, room):
    "Core hours for a million hours of speech in files of a minute."
    folder = links(room / "minutes", minute_clips(sources, room), 48)
    result = {}
    for bundle in BUNDLES:
        one = run(folder, bundle, 1)
        speed = one["seconds"] / one["files"] * one["rate"]
        result[bundle] = {"times_real_time_per_core": speed, "core_hours_per_million_hours": 1e6 / speed}
        print(f"{bundle}: {json.dumps(result[bundle])}", flush=True)
    return result


def snippets(sources, room, seconds):
    "The middle of each clip."
    made = []
    for i, path in enumerate(sources):
        clip = load(path)
        middle = max(0, len(clip) // 2 - int(seconds * SAMPLE_RATE / 2))
        made.append(room / f"snippet-{i}.flac")
        sf.write(made[-1], clip[middle:][: int(seconds * SAMPLE_RATE)], SAMPLE_RATE)
    return made


def kept():
    "What was stored before."
    told = json.loads((RESULTS / "batch.json").read_text("utf-8"))
    return {k: v for k, v in told.items() if k not in ("command", "machine")}


PARTS = ("parts", "cores", "million_hours", "growth")


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--clips", type=int, default=600)
    args.add_argument("--pairs", type=int, default=15)
    args.add_argument(
        "--sizes", type=lambda s: [int(n) for n in s.split(",")], default=[100, 1000, 10_000, 100_000]
    )
    args.add_argument("--seconds", type=float, default=0.5, help="of the clips of which there are many")
    args.add_argument("--only", nargs="*", default=PARTS, choices=PARTS, help="the rest stays as it was")
    args = args.parse_args()
    result = {} if set(args.only) == set(PARTS) else kept()
    with tempfile.TemporaryDirectory() as folder:
        room = Path(folder)
        (room / "clips").mkdir()
        sources = short_clips(room / "clips")
        result["load_average"] = os.getloadavg()[0]
        result["mean_clip_s"] = float(np.mean([len(load(p)) for p in sources]) / SAMPLE_RATE)
        if "parts" in args.only:
            result["parts"] = parts(sources)
        if "cores" in args.only:
            short = links(room / "short", list(sources), args.clips)
            result["cores"] = two_cores(short, sources, args.pairs)
            result |= {"clips": args.clips, "pairs": args.pairs}
        if "million_hours" in args.only:
            result["million_hours"] = million_hours(sources, room)
        if "growth" in args.only:
            many = snippets(sources, room, args.seconds)
            result["growth_clip_s"] = args.seconds
            result["growth"] = growth(many, args.sizes, "tess-lstm", room)
    store("batch", result)


if __name__ == "__main__":
    main()
