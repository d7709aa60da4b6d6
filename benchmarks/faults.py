"""Kill -9 at random moments, a hundred times each: of training, batch, download, cache write and bundle install.

    python benchmarks/faults.py [--kills 100] [--only cache,bundle] [--seed 0]

What is done (`work`) is done in a child that is forked from this process, which has imported everything and used nothing of
it: TensorFlow can be forked as long as none of it has run. So a kill costs what the work costs, and no start. The moment is drawn
evenly from the time that undisturbed work takes. Then `look` must find nothing half done that passes for whole; the work is begun
again on what was left, and killed again, until it gets through: then the result must be that of an undisturbed run, byte for byte.

`batch` has its own processes, and a test that does the same with them: it is run with so many kills."""

import argparse
import hashlib
import importlib
import json
import os
import pickle
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import pin_threads, store

pin_threads()
ROOT = Path(__file__).resolve().parent.parent


# ---- children


def fork(function, *args) -> tuple:
    "Begin a function in a child; its process, and a pipe from which its answer comes."
    reads, writes = os.pipe()
    if child := os.fork():
        os.close(writes)
        return child, reads
    status = 1
    try:
        os.close(reads)
        said = pickle.dumps(function(*args))
        with os.fdopen(writes, "wb") as pipe:
            pipe.write(said)
        status = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    os._exit(status)


def ask(function, *args):
    "What a function answers in a child, so that nothing of it runs here. Raises `AssertionError` where it failed."
    child, reads = fork(function, *args)
    with os.fdopen(reads, "rb") as pipe:
        said = pipe.read()
    status = os.waitpid(child, 0)[1]
    assert status == 0, f"{function.__qualname__} failed"
    return pickle.loads(said)


def killed(function, folder, after: float) -> bool:
    "Begin a function, kill it after so many seconds; whether it was still at work."
    child, reads = fork(function, folder)
    end = time.monotonic() + after
    while (left := end - time.monotonic()) > 0:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            os.close(reads)
            assert status == 0, f"{function.__qualname__} failed"
            return False
        time.sleep(min(left, 0.002))
    os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    os.close(reads)
    assert status in (0, signal.SIGKILL), status
    return status != 0


def digests(folder: Path) -> dict:
    "The files of a folder and their sums."
    files = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


# ---- what is killed


class Case:
    "Something that is done in a folder, and may be begun again."

    name, what, needs = "", "", ()

    def prepare(self, folder: Path):
        "What must be there before."

    def work(self, folder: Path):
        "Do it, or go on with it; what came of it, to be compared."
        raise NotImplementedError

    def look(self, folder: Path):
        "Raise `AssertionError` where something half done passes for whole, or something is lost."


class Cache(Case):
    name, what = "cache", "write 40 entries of a FeatureCache"
    needs = ("ser_nbdev.features",)

    def work(self, folder):
        import numpy as np

        from ser_nbdev.features import FeatureCache, Frontend

        cache, frontend = FeatureCache(folder / "cache"), Frontend(kind="logmel", n_mels=16)
        clips = [np.random.default_rng(i).standard_normal(8_000).astype(np.float32) for i in range(40)]
        said = [hashlib.sha256(cache(clip, frontend).tobytes()).hexdigest() for clip in clips]
        whole = {k: v for k, v in digests(folder).items() if not k.endswith(".part")}
        return said, whole

    def look(self, folder):
        for entry in (folder / "cache").glob("*/*.npy"):
            data = entry.read_bytes()
            assert hashlib.sha256(data[:-32]).digest() == data[-32:], f"{entry.name} is a half entry"


class Install(Case):
    name, what = "bundle", "write a bundle over an older one"
    needs = ("ser_nbdev.serving", "ai_edge_litert.interpreter")

    def prepare(self, folder):
        self._write(folder, "old")

    def _write(self, folder, version):
        from ser_nbdev.serving import Bundle, write_bundle

        shipped = Bundle("tess-lstm")
        write_bundle(folder / "bundle", shipped._model, {**shipped.card, "version": version}, f"# {version}")

    def work(self, folder):
        self._write(folder, "new")
        return digests(folder / "bundle")

    def look(self, folder):
        from ser_nbdev.serving import Bundle

        found = Bundle(folder / "bundle")  # whole, or this raises
        assert (found.card["version"], found.card_md()) in {("old", "# old"), ("new", "# new")}


class Download(Case):
    name, what = "download", "fetch a corpus from a server on this machine and unpack it"
    needs = ("ser_nbdev.corpora",)

    def __init__(self):
        import io
        import zipfile

        noise, file = random.Random(0), io.BytesIO()
        self.clips = {
            f"TESS/OAF_angry/OAF_{w}_angry.wav": noise.randbytes(60_000)
            for w in "bar bean dog food goal".split()
        }
        with zipfile.ZipFile(file, "w") as z:
            for name, data in self.clips.items():
                z.writestr(name, data)
        self.archive = file.getvalue()
        self.tally = (
            tempfile.TemporaryFile()
        )  # shared with the server: a byte for each thousand that were sent
        self._serve()

    def _serve(self):
        "Serve the archive from a child, slowly, with ranges."
        from http.server import BaseHTTPRequestHandler, HTTPServer

        case = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
                total, start = len(case.archive), int(wanted[1]) if wanted else 0
                span = f"{start}-{total - 1}" if start < total else "*"
                self.send_response(206 if wanted and start < total else 416 if wanted else 200)
                self.send_header("Content-Range", f"bytes {span}/{total}")
                self.send_header("Content-Length", str(max(0, total - start)))
                self.send_header("ETag", '"one"')
                self.end_headers()
                try:
                    for i in range(start, total, 10_000):
                        part = case.archive[i : min(i + 10_000, total)]
                        self.wfile.write(part)
                        os.write(case.tally.fileno(), b"x" * (len(part) // 1_000))
                        time.sleep(0.002)
                except OSError:
                    pass  # whoever asked was killed

        server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}/tess.zip"
        self.server = os.fork()
        if not self.server:
            server.serve_forever(0.01)
        server.socket.close()

    def sent(self) -> int:
        "Bytes that the server has sent, about."
        return 1_000 * os.fstat(self.tally.fileno()).st_size

    def work(self, folder):
        from ser_nbdev.corpora import fetch

        fetch("tess", folder, self.url, f"sha256:{hashlib.sha256(self.archive).hexdigest()}", progress=False)
        return digests(folder)

    def look(self, folder):
        from ser_nbdev.corpora import scan

        found = digests(folder / "tess") if (folder / "tess").exists() else {}
        want = {name: hashlib.sha256(data).hexdigest() for name, data in self.clips.items()}
        assert found in ({}, want), "half of a corpus passes for one"
        assert len(scan(folder, "tess")) == len(found)


class Weights(Case):
    name, what = "weights", "keep the weights of the encoder in the user's cache; pip itself is not run"
    needs = ("ser_nbdev.encoder", "pooch")

    def work(self, folder):
        import pooch

        from ser_nbdev import encoder

        content = random.Random(0).randbytes(8_700_000)
        encoder.DIGEST = hashlib.sha256(content).hexdigest()
        encoder._download, pooch.os_cache = lambda: content, lambda name: folder / "kept"
        os.environ.pop("SER_ENCODER_WEIGHTS", None)  # it is the cache that is looked at
        return hashlib.sha256(encoder.weights_file()).hexdigest(), [
            v for k, v in digests(folder).items() if k.endswith(".onnx")
        ]

    def look(self, folder):
        for kept in folder.glob("kept/*.onnx"):
            assert kept.stat().st_size == 8_700_000, "half of the weights pass for them"


class Training(Case):
    name, what = "training", "train a small LSTM for eight epochs on fourteen synthetic clips"
    needs = ("ser_nbdev.training", "ser_nbdev.corpora")

    def prepare(self, folder):
        from ser_nbdev.corpora import demo

        demo(folder / "clips", words=["bar"])

    def work(self, folder):
        from ser_nbdev import corpora, training
        from ser_nbdev.features import FeatureCache, Frontend

        recipe = training.Recipe(
            frontend=Frontend(n_mfcc=8, n_mels=16, average=8), augment=None, units=4, depth=1, epochs=8, batch=16,
            patience=5, validation_by="random",
        )  # fmt: skip
        table = corpora.demo(folder / "clips", words=["bar"])
        made = training.train(
            table, recipe, folder / "run", cache=FeatureCache(folder / "cache"), progress=False
        )
        history = [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in made.history]
        weights = [hashlib.sha256(w.tobytes()).hexdigest() for w in made.model.get_weights()]
        return made.temperature, history, weights

    def look(self, folder):
        import numpy as np

        if (state := folder / "run" / "state.npz").exists():
            with np.load(state, allow_pickle=False) as file:
                assert len([file[key] for key in file.files]) > 10


# ---- killing


def begin(names):
    "Import what the children need, and run nothing of it."
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in names:
        for module in CASES[name].needs if name in CASES else ():
            importlib.import_module(module)


def run(case: Case, kills: int, chance: random.Random) -> dict:
    "Kill a case so many times; what is to be said of it. Raises `AssertionError` where it does not hold."
    folder = lambda: tempfile.TemporaryDirectory(prefix="faults-")  # noqa: E731
    spans, wanted = [], None
    for _ in range(3):
        with folder() as home:
            ask(case.prepare, Path(home))
            start = time.monotonic()
            found = ask(case.work, Path(home))
            spans.append(time.monotonic() - start)
            assert wanted in (None, found), f"{case.name} is not the same when nothing disturbs it"
            wanted = found
    span, done, finished, missed = statistics.median(spans), 0, 0, 0
    before, begun = case.sent() if hasattr(case, "sent") else 0, time.monotonic()
    while done < kills:
        with folder() as home:
            home = Path(home)
            ask(case.prepare, home)
            here = 0
            while done < kills and here < 10:  # then it may get through
                if not killed(case.work, home, chance.uniform(0, span)):
                    missed += 1
                    break
                done, here = done + 1, here + 1
                ask(case.look, home)
            assert ask(case.work, home) == wanted, f"{case.name} comes out differently after {here} kills"
            finished += 1
    told = {
        "what": case.what,
        "kills": done,
        "runs": finished,
        "undisturbed_s": span,
        "seconds": time.monotonic() - begun,
    }
    if hasattr(case, "sent"):
        told |= {"bytes": len(case.archive), "bytes_sent_a_run": (case.sent() - before) / finished}
    return {**told, "got_through": missed, "half_taken_for_whole": 0, "other_results": 0}


def batch(kills: int) -> dict:
    "The test of `ser batch`, with so many kills."
    start, test = time.monotonic(), "tests/test_scale.py::test_it_is_killed_at_random_moments"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
        cwd=ROOT,
        env={**os.environ, "BATCH_KILLS": str(kills)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout[-3_000:]
    return {
        "what": f"score 400 clips with two workers: {test}",
        "kills": kills,
        "seconds": time.monotonic() - start,
        "half_taken_for_whole": 0,
        "other_results": 0,
    }


CASES = {case.name: case for case in (Cache, Install, Download, Weights, Training)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--only", default=",".join([*CASES, "batch"]))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dry", action="store_true", help="store nothing")
    args = parser.parse_args()
    begin(args.only.split(","))
    kept = Path(__file__).parent / "results" / "faults.json"
    for name in args.only.split(","):
        if name == "batch":
            told = batch(args.kills)
        else:
            case = CASES[name]()
            try:
                told = run(case, args.kills, random.Random(f"{args.seed} {name}"))
            finally:
                if hasattr(case, "server"):
                    os.kill(case.server, signal.SIGKILL)
                    os.waitpid(case.server, 0)
        print(name, told, flush=True)
        if not args.dry:
            known = json.loads(kept.read_text())["cases"] if kept.exists() else {}
            store("faults", {"cases": {**known, name: {"seed": args.seed, **told}}})


if __name__ == "__main__":
    main()
