"""Time, memory and size of the peers and of ours, from the path of a clip to its emotion; benchmarks/peers.py runs it.

    python benchmarks/peer_speed.py [--clips 40] [--starts 7] [--pairs 5] [--archive 300] [--minutes 60] [--out FILE]

Every way is a process of its own, on one thread (openSMILE and TensorFlow cannot live in one), and all of them take turns with every
clip. Starts are of fresh processes. Rates are of one process and of two at once, in turn. The recording is the one of benchmarks/recording.py:
ours makes a timeline of it; the peers, which have none, take it in clips of 3 s. About a quarter of an hour on two cores that do nothing else.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import pin_threads
from speed import clips as some_clips
from speed import start

pin_threads(1)

HERE = Path(__file__).resolve().parent
OURS = """
from ser_nbdev.serving import Recognizer
recognizer = Recognizer({bundle!r})
def answer(path): return recognizer.predict(path).emotion
"""
SMILE = """
import joblib, opensmile
smile = opensmile.Smile(opensmile.FeatureSet.{set}, opensmile.FeatureLevel.Functionals, num_workers=1)
machine = joblib.load({models!r} + "/{name}.joblib")
def answer(path): return machine.predict(smile.process_file(path).to_numpy())[0]
"""
WAYS = {
    "baseline": """
import librosa, numpy as np
from keras.models import load_model
model = load_model({models!r} + "/baseline.keras", compile=False)
def answer(path):
    x, rate = librosa.load(path, duration=3, offset=0.5)
    mfcc = np.mean(librosa.feature.mfcc(y=x, sr=rate, n_mfcc=40).T, axis=0)
    return np.argmax(model.predict(mfcc.reshape(1, 40, 1), verbose=0))
""",
    "egemaps": SMILE.replace("{set}", "eGeMAPSv02").replace("{name}", "egemaps"),
    "compare": SMILE.replace("{set}", "ComParE_2016").replace("{name}", "compare"),
    "convolutions": """
import sys
sys.path.insert(0, {here!r})
import numpy as np
from keras.models import load_model
from ser_nbdev.audio import load
from peer_features import cepstra, parts
model = load_model({models!r} + "/convolutions.keras", compile=False)
def answer(path): return np.asarray(model(parts(cepstra(load(path))))).mean(axis=0).argmax()
""",
    "tess-lstm": OURS.replace("{bundle!r}", "'tess-lstm'"),
    "speech-encoder": OURS.replace("{bundle!r}", "'speech-encoder'"),
}
#: What each needs installed, besides Python.
NEEDS = {
    "baseline": ("tensorflow-cpu", "tensorflow", "librosa", "flask"),
    "egemaps": ("opensmile", "scikit-learn"),
    "compare": ("opensmile", "scikit-learn"),
    "convolutions": ("tensorflow-cpu", "tensorflow", "soundfile"),
    "tess-lstm": ("ser_nbdev",),
    "speech-encoder": ("ser_nbdev",),
}
ASKED = """
import os, sys, time
tell, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr
for line in sys.stdin:
    began = time.perf_counter()
    answer(line.rstrip("\\n"))
    print(time.perf_counter() - began, file=tell, flush=True)
"""


class Asked:
    "A process that is open and answers for paths, one after the other."

    def __init__(self, code, first):
        run = [sys.executable, "-c", code + ASKED]
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.process = subprocess.Popen(run, **pipes)
        for _ in range(3):
            self(first)

    def __call__(self, path):
        "Seconds that one answer took."
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        if not (line := self.process.stdout.readline()):
            raise SystemExit(f"this failed: {self.process.args}")
        return float(line)

    def close(self):
        self.process.kill()  # it holds nothing, and TensorFlow is slow to end
        self.process.communicate()


def make(models, kept, sample):
    "The models that are timed: machines that learnt from all clips, and networks, whose weights do not matter for the time."
    import joblib
    import numpy as np
    from peer_features import FEATURES
    from peer_models import convolutions
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC, LinearSVC

    from ser_nbdev import corpora
    from ser_nbdev.model import baseline_lstm

    table = corpora.table() if os.environ.get("SER_DATA_DIR") else corpora.demo()
    table = table.sample(min(sample, len(table)), random_state=0)
    machines = {
        "egemaps": SVC(C=3, gamma=1 / 88, class_weight="balanced"),
        "compare": LinearSVC(C=1e-4, class_weight="balanced"),
    }
    for name, machine in machines.items():
        x = np.stack(FEATURES[name](table, kept, None))
        joblib.dump(make_pipeline(StandardScaler(), machine).fit(x, table.emotion), f"{models}/{name}.joblib")
    baseline_lstm(9).save(f"{models}/baseline.keras")
    convolutions(9, np.zeros(40), np.ones(40)).save(f"{models}/convolutions.keras")


def installed(roots):
    "Megabytes of some distributions and of all that they require, as they are installed here, without compiled copies."
    from importlib import metadata

    from packaging.requirements import Requirement

    seen, todo, total = set(), list(roots), 0
    while todo:
        name = todo.pop()
        if name.lower().replace("_", "-") in seen:
            continue
        seen.add(name.lower().replace("_", "-"))
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # for another system
        files = [Path(found.locate_file(f)) for f in found.files or ()]
        if name == "ser_nbdev":  # installed for development: its own files are those of the checkout
            files = [p for part in ("ser_nbdev", "webapp") for p in (HERE.parent / part).rglob("*")]
        total += sum(p.stat().st_size for p in files if p.is_file() and p.suffix != ".pyc")
        needs = map(Requirement, found.requires or ())
        todo += [r.name for r in needs if r.marker is None or r.marker.evaluate({"extra": ""})]
    return total / 1e6


def size(way, models):
    "Megabytes of the model itself."
    if way in ("tess-lstm", "speech-encoder"):
        return sum(p.stat().st_size for p in (HERE.parent / "ser_nbdev/bundles" / way).iterdir()) / 1e6
    return sum(p.stat().st_size for p in Path(models).glob(f"{way}.*")) / 1e6


def rate(team, paths):
    "Answers a second of some processes that share the paths."
    share = lambda i: [team[i](path) for path in paths[i :: len(team)]]
    began = time.perf_counter()
    with ThreadPoolExecutor(len(team)) as pool:
        list(pool.map(share, range(len(team))))
    return len(paths) / (time.perf_counter() - began)


def spoken(folder, minutes):
    "A recording, and the same in clips of 3 s; made in a process of its own, whose memory is not to be counted."
    code = (
        f"import sys; sys.path.insert(0, {str(HERE)!r})\n"
        "import numpy as np, recording, soundfile as sf\n"
        f"x = recording.speech({minutes * 60}, np.random.default_rng(0))\n"
        f"sf.write({str(folder)!r} + '/whole.wav', x, 16_000)\n"
        "for i in range(len(x) // 48_000):\n"
        f"    sf.write({str(folder)!r} + f'/{{i:05d}}.flac', x[48_000 * i :][:48_000], 16_000)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    return Path(folder, "whole.wav"), sorted(map(str, Path(folder).glob("*.flac")))


def measure(clips=40, starts=7, pairs=5, archive=300, minutes=60.0, sample=10_000, folder="runs/peers"):
    "All of it, way by way: medians."
    began, load = time.perf_counter(), os.getloadavg()[0]
    paths = some_clips(clips)
    with tempfile.TemporaryDirectory() as room:
        models, parts = Path(room, "models"), Path(room, "parts")
        models.mkdir(), parts.mkdir()
        options = ["--make", str(models), "--folder", str(folder), "--sample", str(sample)]
        subprocess.run([sys.executable, __file__, *options], check=True, stderr=subprocess.DEVNULL)
        ways = {way: code.format(models=str(models), here=str(HERE)) for way, code in WAYS.items()}
        taken = {way: [] for way in ways}
        for i in range(starts + 1):  # the first round fills the file cache
            for way, code in ways.items():
                found = start(f"{code}\nprint(answer({paths[0]!r}))")
                taken[way] += [found] if i else []
        teams = {way: [Asked(code, paths[0]) for _ in range(2)] for way, code in ways.items()}
        each = {way: [] for way in ways}
        for path in paths:
            for way, team in teams.items():
                each[way].append(1e3 * team[0](path))
        many = (paths * (archive // len(paths) + 1))[:archive]
        rates = {way: [] for way in ways}
        for _ in range(pairs):
            for way, team in teams.items():
                rates[way].append((rate(team[:1], many), rate(team, many)))
        whole, windows = spoken(parts, minutes)
        hours = {}
        for way, team in teams.items():
            if way not in ("tess-lstm", "speech-encoder"):
                hours[way] = 3 * len(windows) / sum(map(team[0], windows))
        [one.close() for team in teams.values() for one in team]
        from recording import child  # only now: what this process holds is counted as its children's

        for way in ("tess-lstm", "speech-encoder"):
            told = child(whole, way)
            hours[way] = told["duration_s"] / told["wall_s"]
        result = {}
        for way in ways:
            result[way] = {
                "start_to_first_answer_s": statistics.median(s for s, _ in taken[way]),
                "peak_memory_mb": statistics.median(m for _, m in taken[way]),
                "per_clip_ms": statistics.median(each[way]),
                "clips_per_s_one": statistics.median(one for one, _ in rates[way]),
                "clips_per_s_two": statistics.median(two for _, two in rates[way]),
                "times_real_time": hours[way],
                "installed_mb": installed(NEEDS[way]),
                "model_mb": size(way, models),
            }
            print(f"{way:14}", "  ".join(f"{k} {v:.3g}" for k, v in result[way].items()), flush=True)
    how = dict(clips=clips, starts=starts, pairs=pairs, archive=archive, minutes=minutes, load_average=load)
    return {**how, "seconds": time.perf_counter() - began, "ways": result}


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--clips", type=int, default=40)
    args.add_argument("--starts", type=int, default=7)
    args.add_argument("--pairs", type=int, default=5)
    args.add_argument("--archive", type=int, default=300)
    args.add_argument("--minutes", type=float, default=60)
    args.add_argument("--sample", type=int, default=10_000, help="clips that the SVMs learn from, at most")
    args.add_argument("--folder", default="runs/peers", help="where benchmarks/peers.py keeps features")
    args.add_argument("--out", type=Path, help="where the figures are written")
    args.add_argument("--make", help=argparse.SUPPRESS)
    args = args.parse_args()
    if args.make:
        return make(args.make, args.folder, args.sample)
    found = measure(args.clips, args.starts, args.pairs, args.archive, args.minutes, args.sample, args.folder)
    if args.out:
        args.out.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
