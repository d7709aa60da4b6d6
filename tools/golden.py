"""The golden file: what fixed clips become at each stage, and what each bundle that ships makes of them.

python tools/golden.py            rewrites tests/golden/predictions.json on purpose, and prints what changed
python tools/golden.py --check    exit 1 and a line per figure that drifted; writes nothing

tests/test_golden.py compares too, on every platform and with the lowest and the newest dependencies. Lossless codings are
made on the spot; the others are kept in tests/golden, for their encoders are not what is tested here.
"""

import hashlib
import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import soundfile as sf

from ser_nbdev import audio
from ser_nbdev.features import log_mel
from ser_nbdev.logmel import encoder_windows
from ser_nbdev.serving import Bundle, Recognizer, samples

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "golden"
FILE = FOLDER / "predictions.json"
BUNDLES = ("speech-encoder", "tess-lstm")
RATE = audio.SAMPLE_RATE
LOSSY = ("ogg", "mp3", "m4a", "webm")

# Absolute; a stage is a mean or a deviation in its own unit, decibels for log-mel. On one machine the same numbers come again
# to the last digit, with the lowest and the newest dependencies. The room is for other processors, whose kernels round the
# encoder's 8-bit products differently (the runtime's two other sets of kernels moved a probability by 0.0095 at most), and
# for other decoders of MP3, AAC, Vorbis and Opus.
TOLERANCE = {"probability": 0.02, "stage": 0.002}


def voice(seconds: float, low: float, high: float) -> np.ndarray:
    "A vowel without a throat: thirty harmonics of a tone that glides from `low` to `high` Hz, loudest near two formants."
    t = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * np.pi * (low * t + (high - low) * t**2 / (2 * seconds))
    pitch = (low + high) / 2
    parts = [
        np.sin(k * phase) * sum(1 / (1 + ((k * pitch - f) / 150) ** 2) for f in (600, 1400))
        for k in range(1, 31)
    ]
    clip = np.sum(parts, axis=0) * np.sin(np.pi * t / seconds) ** 0.5
    return (0.4 * clip / np.abs(clip).max()).astype(np.float32)


def clips() -> dict:
    "Everything that is listened to, by name: (source, rate), as `audio.load` takes them."
    rng = np.random.RandomState(0)  # its numbers never change, by numpy's promise
    made = {
        "a voice, 2 s": voice(2, 110, 190),
        "a voice, 9 s": voice(9, 220, 150),
        "a voice, 0.3 s": voice(0.3, 300, 340),
        "noise": (0.1 * rng.standard_normal(2 * RATE)).astype(np.float32),
    }
    found = {path.name: (path, None) for path in samples()}
    found |= {name: (clip, RATE) for name, clip in made.items()}
    found |= {f"a voice at {rate} Hz": (made["a voice, 2 s"], rate) for rate in (8000, 44100)}
    plain, rate = sf.read(samples()[2], dtype="float32")
    for kind, subtype in (("WAV", "PCM_16"), ("WAV", "ULAW"), ("FLAC", "PCM_24"), ("AIFF", "PCM_16")):
        out = io.BytesIO()
        sf.write(out, plain, rate, format=kind, subtype=subtype)
        found[f"{samples()[2].stem} as {kind}, {subtype}"] = (out.getvalue(), None)
    return found | {f"plain.{kind}": (FOLDER / f"plain.{kind}", None) for kind in LOSSY}


def spread(x: np.ndarray) -> list:
    "Length, mean and standard deviation."
    return [len(x), *(round(float(f(x, dtype=np.float64)), 6) for f in (np.mean, np.std))]


def figures(prediction) -> dict:
    "The probabilities of all labels."
    return {label: round(float(p), 6) for label, p in prediction.probabilities.items()}


def mark(bundle: Bundle) -> str:
    "What of a bundle decides on its answers, as one number: the model and, of the card, all but its prose and figures."
    parts = {key: bundle.card.get(key) for key in ("kind", "labels", "features", "calibration", "adaptation")}
    parts["model"] = bundle.card["checksums"]["model.tflite"]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def measure() -> dict:
    "The golden file's content, as it comes out here and now."
    recognizers = {name: Recognizer(Bundle(name)) for name in BUNDLES}
    frontend = recognizers["tess-lstm"].bundle.frontend
    told, heard = {}, {}
    for name, (source, rate) in clips().items():
        clip = audio.load(source, rate)
        stages = {"clip": clip, "log-mel": log_mel(clip), "LSTM's frames": frontend(clip)}
        stages |= {f"encoder's window {i}": w for i, w in enumerate(encoder_windows(clip), start=1)}
        heard[name] = clip
        answers = {
            bundle: figures(recognizer.predict(clip, RATE)) for bundle, recognizer in recognizers.items()
        }
        told[name] = {"stages": {key: spread(x) for key, x in stages.items()}, "probabilities": answers}
    known = recognizers["speech-encoder"].adapt([heard[path.name] for path in samples()], RATE)
    told["plain.flac, the voices known"] = {
        "stages": {},
        "probabilities": {"speech-encoder": figures(known.predict(heard["plain.flac"], RATE))},
    }
    return {
        "what": "Made by `make golden`, which prints what changed; tests/test_golden.py compares. Do not edit.",
        "tolerance": TOLERANCE,
        "bundles": {name: mark(r.bundle) for name, r in recognizers.items()},
        "clips": told,
    }


def changed_bundles(kept: dict, now: dict) -> list:
    "A sentence for every bundle that is another one than when the file was made."
    return [
        f"The bundle {name} is {now['bundles'].get(name, 'gone')[:12]}, and the golden file was made with "
        f"{was[:12]}. If it was exchanged on purpose, run `make golden`, read what it prints, and commit tests/golden; "
        "if not, somebody changed what ships."
        for name, was in kept["bundles"].items()
        if now["bundles"].get(name) != was
    ]


def drifted(kept: dict, now: dict) -> list:
    "A sentence for every figure that is further from the golden one than the tolerance."
    found = [f"{name}: new, not in the golden file" for name in now["clips"].keys() - kept["clips"].keys()]
    for name, old in kept["clips"].items():
        new = now["clips"].get(name)
        if new is None:
            found.append(f"{name}: gone")
            continue
        if old["stages"].keys() != new["stages"].keys():
            found.append(f"{name}: the stages were {[*old['stages']]}, and are {[*new['stages']]}")
        for stage in old["stages"].keys() & new["stages"].keys():
            (n, *values), (m, *others) = old["stages"][stage], new["stages"][stage]
            if n != m or np.abs(np.subtract(values, others)).max() > kept["tolerance"]["stage"]:
                found.append(f"{name}: {stage} was {[n, *values]}, and is {[m, *others]}")
        for bundle, before in old["probabilities"].items():
            after = new["probabilities"].get(bundle, {})
            for label in before.keys() | after.keys():
                was, is_ = before.get(label, np.nan), after.get(label, np.nan)
                if not abs(was - is_) <= kept["tolerance"]["probability"]:
                    found.append(f"{name}: {bundle} gave {label} {was:.6f}, and gives {is_:.6f}")
    return sorted(found)


def encode_lossy():
    "The codings that are kept; those that are there already stay."
    import av

    FOLDER.mkdir(exist_ok=True)
    plain, rate = sf.read(next(path for path in samples() if path.stem == "plain"), dtype="float32")
    for kind, codec in {"ogg": None, "mp3": None, "m4a": "aac", "webm": "libopus"}.items():
        target = FOLDER / f"plain.{kind}"
        if target.exists():
            continue
        if codec is None:
            sf.write(target, plain, rate, format=kind.upper())
            continue
        with av.open(target, "w") as out:
            stream = out.add_stream(
                codec, rate=rate, layout="mono", format="fltp" if codec == "aac" else "s16"
            )
            samples16 = plain[None] if codec == "aac" else (plain[None] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples16, format=stream.format.name, layout="mono")
            frame.rate = rate
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                out.mux(packet)


if __name__ == "__main__":
    check = sys.argv[1:] == ["--check"]
    if not check:
        encode_lossy()
    now = measure()
    kept = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {"bundles": {}, "clips": {}}
    kept.setdefault("tolerance", TOLERANCE)
    found = changed_bundles(kept, now) + drifted(kept, now)
    print("\n".join(found) or "Nothing changed beyond the tolerance.")
    if not check:
        temporary = FILE.with_suffix(".tmp")
        temporary.write_text(json.dumps(now, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(temporary, FILE)
    sys.exit(check and bool(found))
