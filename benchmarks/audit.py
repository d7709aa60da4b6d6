"""How well the leakage audit hears: time for a corpus and for a large one, copies found after ten kinds of damage, false alarms.

    SER_DATA_DIR=... python benchmarks/audit.py [--clips 150] [--many 50000]

A large corpus is made of the clips there are, again and again with the bands of their fingerprints turned by some places.
About a minute and a half on one core.
"""

import argparse
import io
import tempfile
import time
from pathlib import Path

from common import pin_threads, store

pin_threads()

import av  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import soundfile as sf  # noqa: E402

from ser_nbdev import corpora, splits  # noqa: E402
from ser_nbdev.audio import SAMPLE_RATE, load, resample  # noqa: E402

rng = np.random.default_rng(0)


def encoded(clip, container, codec, bitrate, rate=SAMPLE_RATE):
    "Through a lossy codec and back."
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate)
        stream.bit_rate, stream.layout = bitrate, "mono"
        pcm = (np.clip(resample(clip, SAMPLE_RATE, rate), -1, 1) * 32767).astype("<i2")
        frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate = rate
        context = stream.codec_context
        size = context.frame_size or 1152
        fit = av.AudioResampler(format=context.format.name, layout="mono", rate=rate, frame_size=size)
        for f in fit.resample(frame) + fit.resample(None):
            out.mux(stream.encode(f))
        out.mux(stream.encode(None))
    return load(file.getvalue())


def noisy(clip, decibel):
    return clip + rng.standard_normal(len(clip)).astype("f4") * clip.std() * 10 ** (-decibel / 20)


DAMAGE = {
    "mp3, 32 kbit/s": lambda x: encoded(x, "mp3", "libmp3lame", 32000),
    "Opus, 12 kbit/s": lambda x: encoded(x, "webm", "libopus", 12000, 48000),
    "AAC, 48 kbit/s": lambda x: encoded(x, "adts", "aac", 48000),
    "8 kHz": lambda x: resample(resample(x, SAMPLE_RATE, 8000), 8000, SAMPLE_RATE),
    "a thirtieth as loud": lambda x: x * 0.03,
    "0.1 s late": lambda x: np.pad(x, (1600, 0)),
    "0.1 s early": lambda x: x[1600:],
    "0.1 s late, mp3 at 64 kbit/s": lambda x: encoded(np.pad(x * 0.3, (1711, 0)), "mp3", "libmp3lame", 64000),
    "noise at 20 dB": lambda x: noisy(x, 20),
    "clipped at a third": lambda x: np.clip(x * 3 / np.abs(x).max(), -1, 1) * 0.9,
}


def damaged(table, rows, folder):
    "For every kind of damage: how many of the clips are found, missed, refused by `load`, taken for another."
    for kind, damage in DAMAGE.items():
        copies = [f"{folder}/{kind.replace('/', ' ')} {i}.wav" for i in rows]
        for i, copy in zip(rows, copies):
            sf.write(copy, damage(load(table.path[i])), SAMPLE_RATE, subtype="PCM_16")
        found = splits.audit(table, pd.DataFrame({"path": copies}))
        pairs = {tuple(p[:2]) for what in ("identical", "near") for p in found.shared(what)}
        true = {(table.path[i], copy) for i, copy in zip(rows, copies)}
        lost = {pair for pair in true if pair[1] in found.unreadable}
        missed = len(true - pairs - lost)
        yield (
            kind,
            {
                "found": len(pairs & true),
                "missed": missed,
                "unreadable": len(lost),
                "false": len(pairs - true),
            },
        )


def search(table, n):
    "Seconds to look for twins among `n` fingerprints."
    heard = [splits.hear(path).fingerprint for path in table.path]
    turns = range(-(-n // len(heard)))
    many = [np.roll(x, 5 * turn, axis=1) for turn in turns for x in heard][:n]
    began = time.perf_counter()
    found = sum(1 for _ in splits._alike(many, many, once=True))
    return {"clips": n, "seconds": round(time.perf_counter() - began, 1), "alike": found}


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--clips", type=int, default=150)
    args.add_argument("--many", type=int, default=50_000)
    args = args.parse_args()
    table = corpora.table().reset_index(drop=True)
    tess = table[table.corpus == "tess"]
    result = {"clips": len(table), "tess": len(tess)}
    for when in ("first_time", "again"):
        wall, cpu = time.perf_counter(), time.process_time()
        splits.audit(tess, tess)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        result[f"tess_with_itself_{when}"] = {"seconds": round(wall, 1), "cpu_seconds": round(cpu, 1)}
    pairs = splits.duplicates(table)
    pairs = pairs.assign(
        path=pairs.path.map(lambda p: Path(p).name), twin=pairs.twin.map(lambda p: Path(p).name)
    )
    result["copies_in_the_corpora"] = pairs.to_dict("records")
    result["search"] = search(table, args.many)
    print(result)
    rows = np.random.default_rng(5).permutation(len(table))[: args.clips]
    result["damaged"] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, counts in damaged(table, rows, folder):
            result["damaged"][kind] = counts
            print(f"{kind:<30} {counts}", flush=True)
    store("audit", result)


if __name__ == "__main__":
    main()
