"""How long from a clip to its emotion: this library beside the baseline's way, in one interleaved run.

    python benchmarks/speed.py [--clips 40] [--starts 7]

The baseline's way is rebuilt from its published app: librosa.load(duration=3, offset=0.5) at 22 050 Hz, the mean of
40 MFCCs, and `model.predict` of its network in Keras (the weights do not matter for the time). Both use one thread.
Clips are two-second ones: TESS if SER_DATA_DIR is set, otherwise the synthetic demo corpus.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from common import pin_threads, store

pin_threads(1)

OURS = "from ser_nbdev.serving import Recognizer; print(Recognizer({bundle!r}).predict({clip!r}).emotion)"
BUNDLES = ("tess-lstm", "speech-encoder")
THEIRS = """
import librosa, numpy as np
from keras.models import load_model
model = load_model({model!r}, compile=False)
x, rate = librosa.load({clip!r}, duration=3, offset=0.5)
mfcc = np.mean(librosa.feature.mfcc(y=x, sr=rate, n_mfcc=40).T, axis=0)
print(np.argmax(model.predict(mfcc.reshape(1, 40, 1))))
"""


def start(code: str):
    "Seconds and peak memory in MB of a fresh interpreter that runs `code`."
    began = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - began
    if status:
        sys.exit(f"this failed:\n{code}")
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, kilobytes here
    return seconds, usage.ru_maxrss / unit


CLIPS = """
import os
from ser_nbdev import corpora
table = corpora.table(corpus="tess") if os.environ.get("SER_DATA_DIR") else corpora.demo()
print(*table.path.sample({n}, replace=len(table) < {n}, random_state=0), sep="\\n")
"""


def clips(n: int):
    "Paths of clips of about two seconds each, looked up in a process of its own."
    run = [sys.executable, "-c", CLIPS.format(n=n)]
    return subprocess.run(run, check=True, capture_output=True, text=True).stdout.split("\n")[:n]


def per_clip(paths, model_file):
    "Milliseconds per clip of the baseline's way and of each bundle, taken in turn, after a warm-up."
    import librosa
    import numpy as np
    from keras.models import load_model

    from ser_nbdev.serving import Recognizer

    model = load_model(model_file, compile=False)

    def theirs(path):
        x, rate = librosa.load(path, duration=3, offset=0.5)
        mfcc = np.mean(librosa.feature.mfcc(y=x, sr=rate, n_mfcc=40).T, axis=0)
        with redirect_stdout(
            StringIO()
        ):  # its progress bar, which the app leaves on, goes to the server's log
            return np.argmax(model.predict(mfcc.reshape(1, 40, 1)))

    took = {name: [] for name in BUNDLES}  # milliseconds (of the baseline, of the bundle)
    for name in BUNDLES:
        recognizer = Recognizer(name)
        for i, path in enumerate([paths[0]] * 3 + paths):
            both = []
            for answer in (
                theirs,
                recognizer.predict,
            ):  # ours after theirs, whose memory has emptied the caches
                began = time.perf_counter()
                answer(path)
                both.append(1e3 * (time.perf_counter() - began))
            if i >= 3:
                took[name].append(both)
    return took


def ratios(took, starts, name):
    "What the baseline takes over what a bundle takes, pair by pair: median, least and most."
    pairs = {
        "per_clip_ms": [theirs / ours for theirs, ours in took[name]],
        "start_to_first_answer_s": [b[0] / a[0] for a, b in zip(starts[name], starts["baseline"])],
        "peak_memory_mb": [b[1] / a[1] for a, b in zip(starts[name], starts["baseline"])],
    }
    return {
        key: {"median": statistics.median(r), "least": min(r), "most": max(r)} for key, r in pairs.items()
    }


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--clips", type=int, default=40)
    args.add_argument("--starts", type=int, default=7)
    args = args.parse_args()
    paths = clips(args.clips)
    with tempfile.TemporaryDirectory() as folder:
        model_file = str(Path(folder, "baseline.keras"))
        # in a process of its own: a child's peak memory counts what its parent held when it was born
        make = f"from ser_nbdev.model import baseline_lstm; baseline_lstm().save({model_file!r})"
        subprocess.run([sys.executable, "-c", make], check=True, stderr=subprocess.DEVNULL)
        codes = {"baseline": THEIRS.format(clip=paths[0], model=model_file)}
        codes |= {name: OURS.format(bundle=name, clip=paths[0]) for name in BUNDLES}
        starts = {name: [] for name in codes}
        for code in codes.values():
            start(code)  # fills the file cache for both
        for _ in range(args.starts):
            for name, code in codes.items():
                starts[name].append(start(code))
        took = per_clip(paths, model_file)
    result = {}
    each = {name: [ours for _, ours in pairs] for name, pairs in took.items()}
    each["baseline"] = [theirs for pairs in took.values() for theirs, _ in pairs]
    for name in starts:
        result[name] = {
            "per_clip_ms": statistics.median(each[name]),
            "start_to_first_answer_s": statistics.median(s for s, _ in starts[name]),
            "peak_memory_mb": statistics.median(m for _, m in starts[name]),
        }
        print(f"{name:9}", "  ".join(f"{key} {value:.3g}" for key, value in result[name].items()))
    result["baseline_over"] = {name: ratios(took, starts, name) for name in BUNDLES}
    for name, told in result["baseline_over"].items():
        for key, r in told.items():
            print(f"{key}: baseline / {name} = {r['median']:.1f} ({r['least']:.1f} to {r['most']:.1f})")
    store("speed", {"clips": len(paths), "starts": args.starts, "threads": 1, **result})


if __name__ == "__main__":
    main()
