"""An hour of speech, ten live streams, and how long an answer takes: time, memory and delay.

    python benchmarks/recording.py [--minutes 60] [--live 30]

The hour is made of clips without their silence, with a pause of 0.2 to 0.6 s after each: clips of SER_DATA_DIR if it is set, else those that ship.
Each recording (WAV at 16 kHz, MP3 at 44.1 kHz) is taken by a process of its own, on one thread; its time is that from the call to the
timeline, on the processor and by the clock, and its memory the process's peak, beside that for the first minute of it. What the bundle
takes for windows of 2.5 s of the same sound and nothing else, right after that, tells how much of it is due to the machine that day. Streams are fed as a microphone would feed them, 20 ms at a time.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from common import pin_threads, store

pin_threads(1)

import numpy as np  # noqa: E402
import soundfile as sf  # noqa: E402

from ser_nbdev.audio import SAMPLE_RATE, Reader, load, resample  # noqa: E402
from ser_nbdev.logmel import speech_part  # noqa: E402
from ser_nbdev.serving import Recognizer, samples  # noqa: E402
from ser_nbdev.timeline import NO_SPEECH  # noqa: E402

BUNDLES = {"speech-encoder": 150, "tess-lstm": 400}  # and what share of real time is the goal
CHUNK = 320  # samples: 20 ms


def speech(seconds, rng):
    "Clips in a row, a little noise under them."
    paths = samples()
    if os.environ.get("SER_DATA_DIR"):
        from ser_nbdev import corpora

        paths = (
            corpora.table().groupby("corpus").sample(100, random_state=0).path.sample(frac=1, random_state=0)
        )
    clips = [speech_part(load(p)) for p in paths]
    parts, n = [], 0
    while n < seconds * SAMPLE_RATE:
        clip = clips[len(parts) // 2 % len(clips)]
        pause = np.zeros(round(rng.uniform(0.2, 0.6) * SAMPLE_RATE), np.float32)
        parts += [clip * np.float32(0.1 / np.sqrt(np.mean(clip**2))), pause]
        n += len(clip) + len(pause)
    x = np.concatenate(parts)[: round(seconds * SAMPLE_RATE)]
    return np.clip(x + rng.normal(0, 3e-4, len(x)), -1, 1).astype(np.float32)


def one(path, bundle):
    "What a process of its own does: a timeline, and what it took."
    recognizer = Recognizer(bundle)
    recognizer.overhear(load(samples()[0]))  # everything is open
    wall, cpu = time.perf_counter(), time.process_time()
    told = recognizer.timeline(path)
    took = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    spoken = sum(s.end - s.start for s in told if s.emotion != NO_SPEECH) / told.duration
    x, cpu = next(iter(Reader(path))), time.process_time()
    parts = [x[i : i + 40_000] for i in range(0, len(x) - 40_000, 40_000)] * 10
    [recognizer.listen(part) for part in parts]
    took["windows_alone"] = (time.process_time() - cpu) / (2.5 * len(parts))  # share of real time
    print(json.dumps({**took, "duration_s": told.duration, "segments": len(told), "speech": spoken}))


def child(path, bundle):
    "Run `one` in a process of its own, with the peak of its memory in MB."
    run = [sys.executable, __file__, "--one", str(path), "--bundle", bundle]
    process = subprocess.Popen(run, stdout=subprocess.PIPE, text=True)
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"this failed: {run}")
    return json.loads(said) | {"peak_mb": usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)}


def make(folder):
    "Write the recordings, whole and their first minute, as files of each kind."
    x = np.load(folder / "x.npy")
    for name, y in (("whole", x), ("minute", x[: 60 * SAMPLE_RATE])):
        sf.write(folder / f"{name}.wav", y, SAMPLE_RATE)
        sf.write(folder / f"{name}.mp3", resample(y, SAMPLE_RATE, 44_100), 44_100)


def hours(folder, x):
    "For each bundle and kind of file: time, share of real time and memory, of all of it and of its first minute."
    np.save(folder / "x.npy", x)
    # in a process of its own: a child's peak memory counts what its parent held when it was born
    subprocess.run([sys.executable, __file__, "--make", str(folder)], check=True)
    return json.loads(
        subprocess.run(
            [sys.executable, __file__, "--hours", str(folder)], check=True, stdout=subprocess.PIPE
        ).stdout
    )


def measured(folder):
    "What `hours` gives, by a parent that holds no sound."
    result = {}
    for kind in ("wav", "mp3"):
        for bundle in BUNDLES:
            long, short = (child(folder / f"{name}.{kind}", bundle) for name in ("whole", "minute"))
            result.setdefault(bundle, {})[kind] = {
                **long,
                "real_time_over_cpu": long["duration_s"] / long["cpu_s"],
                "real_time_of_windows_alone": 1 / long["windows_alone"],
                "real_time_over_wall": long["duration_s"] / long["wall_s"],
                "peak_mb_of_a_minute": short["peak_mb"],
                "memory_ratio": long["peak_mb"] / short["peak_mb"],
            }
    print(json.dumps(result))


def delays(recognizer, x):
    "Milliseconds from the last sample of each window of speech to its answer, the hearing included."
    stream, found = recognizer.stream(SAMPLE_RATE), []
    for i in range(0, len(x), CHUNK):
        began = time.perf_counter()
        told = stream.feed(x[i : i + CHUNK])
        took = time.perf_counter() - began
        found += [1e3 * (stream.seconds - s.end + took) for s in told if s.emotion != NO_SPEECH]
    return {
        "answers": len(found),
        "median_ms": float(np.median(found)),
        "p99_ms": float(np.percentile(found, 99)),
        "most_ms": float(max(found)),
    }


def live(recognizer, x, seconds, streams=10):
    "How late the chunks of some live streams are done, in ms, and how much of a core they took."
    late, answers, barrier = [], [], threading.Barrier(streams)

    def speak(i):
        stream, own = recognizer.stream(SAMPLE_RATE), x[i * 7 * SAMPLE_RATE :]
        barrier.wait()
        began = time.perf_counter()
        for k in range(round(seconds * SAMPLE_RATE / CHUNK)):
            due = began + (k + 1) * CHUNK / SAMPLE_RATE
            time.sleep(max(0, due - time.perf_counter()))
            answers.extend(stream.feed(own[k * CHUNK : (k + 1) * CHUNK]))
            late.append(1e3 * (time.perf_counter() - due))

    cpu = time.process_time()
    threads = [threading.Thread(target=speak, args=[i]) for i in range(streams)]
    [t.start() for t in threads], [t.join() for t in threads]
    share = (time.process_time() - cpu) / seconds
    p = {f"p{q}_ms": float(np.percentile(late, q)) for q in (50, 99, 100)}
    return {"streams": streams, "seconds": seconds, "answers": len(answers), "cores_taken": share, **p}


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--minutes", type=float, default=60)
    args.add_argument("--live", type=float, default=30, help="seconds")
    args.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    args.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    args.add_argument("--hours", type=Path, help=argparse.SUPPRESS)
    args.add_argument("--bundle", help=argparse.SUPPRESS)
    args = args.parse_args()
    if args.one:
        return one(args.one, args.bundle)
    if args.make or args.hours:
        return make(args.make) if args.make else measured(args.hours)
    x = speech(args.minutes * 60, np.random.default_rng(0))
    result = {
        "minutes": args.minutes,
        "load": os.getloadavg()[0],
        "clips": "corpora" if os.environ.get("SER_DATA_DIR") else "samples",
    }
    with tempfile.TemporaryDirectory() as folder:
        result["hour"] = hours(Path(folder), x)
    for bundle, kinds in result["hour"].items():
        for kind, row in kinds.items():
            print(
                f"{bundle:15} {kind} 1/{row['real_time_over_cpu']:.0f} of real time (goal 1/{BUNDLES[bundle]}; by the clock "
                f"1/{row['real_time_over_wall']:.0f}), {row['peak_mb']:.0f} MB, {row['memory_ratio']:.3f} of a minute's"
            )
    for bundle in BUNDLES:
        recognizer = Recognizer(bundle)
        recognizer.overhear(x[:SAMPLE_RATE])
        result.setdefault("delay", {})[bundle] = delays(recognizer, x[: 300 * SAMPLE_RATE])
        result.setdefault("live", {})[bundle] = live(recognizer, x, args.live)
        print(bundle, result["delay"][bundle], result["live"][bundle])
    store("recording", result)


if __name__ == "__main__":
    sys.exit(main())
