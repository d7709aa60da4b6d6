"""Throw hostile input at what reads other people's files, guided by coverage, and keep what matters of it.

    python tools/fuzz.py run [--seconds 600] [TARGET ...]   fuzz; findings and figures are told and stored
    python tools/fuzz.py keep [TARGET ...]                  the small part of what was found goes to tests/fuzz_corpus
    python tools/fuzz.py replay [TARGET ...]                every kept input once more, within the bounds

A target takes bytes and says in a word what came of them. It may answer, or raise the project's own error with one
sentence; anything else, more than `MEMORY` or more than `PATIENCE` is a finding, and its input lies in runs/fuzz/TARGET/.
The guidance comes from the lines of Python that an input reaches: the decoders in C are fuzzed, too, but blindly.
`run` takes atheris, of the extra `fuzz`; the others take nothing."""

import argparse
import copy
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "tests" / "fuzz_corpus"
FOUND = ROOT / "runs" / "fuzz"
MEMORY = 4 << 30  # bytes of address space, of the whole process with all its libraries
RESIDENT = 1 << 30  # bytes of memory in use
PATIENCE = 10  # seconds of the processor for one input
LARGEST = 20_000  # bytes of an input
ROOM = "/dev/shm" if os.path.isdir("/dev/shm") else None  # folders are made by the hundred a second

# ---- targets


def sentence(e: Exception) -> str:
    "The kind of an error, if it says what is wrong in one sentence of a reasonable length."
    told = str(e)
    assert told.endswith((".", ": get it again", ": they do not belong together")) or told, repr(told)
    assert "\n" not in told and "Traceback" not in told and 10 < len(told) < 2_000, repr(told)
    return type(e).__name__


def hear(data: bytes) -> str:
    "`audio.load`, and `audio.Reader`, which reads the same in blocks."
    import numpy as np

    from ser_nbdev.audio import AudioError, Reader, load

    try:
        for block in Reader(data, max_seconds=60):
            assert block.dtype == np.float32 and block.ndim in (1, 2)
    except AudioError as e:
        sentence(e)
    try:
        clip = load(data, max_seconds=60)
    except AudioError as e:
        return sentence(e)
    assert clip.dtype == np.float32 and clip.ndim == 1 and 1_600 <= len(clip) <= 60 * 16_000 + 1
    assert np.isfinite(clip).all() and abs(clip).max() > 0
    return "a clip"


CUT = b"\n--model--\n"  # between the card and the model, in an input
ODD = (
    None, True, 0, 1, -1, 2**70, 1e308, 1e-308, float("nan"), float("inf"), "", "x", "x" * 5_000, "\0\n", [], {}, [[]],
    [0], ["x", "x"], [None] * 300, {"x": {}}, 0.5, 16_000, 8192, "angry", "mfcc", "encoder_windows", "../../model.tflite",
)  # fmt: skip


def places(value, path=()):
    "yields the path of everything in a card, which is a list or a dict."
    for key in value if isinstance(value, dict) else range(min(3, len(value))):
        yield (*path, key)
        if isinstance(value[key], (dict, list)):
            yield from places(value[key], (*path, key))


def altered(data: bytes) -> tuple[bytes, bytes]:
    "A valid bundle, altered as the bytes say: four of them change something in the card, or in the model."
    name = "smallest-lstm" if data[0] & 1 else "smallest-encoder"
    card, _, model = (CORPUS / "bundle" / name).read_bytes().partition(CUT)
    card, model = json.loads(card), bytearray(model)
    for what, where, which, more in zip(*[iter(data[1:121])] * 4):
        if what & 1:
            at = (where << 8 | which) % len(model)
            model[at : at + 1] = bytes([more]) if what & 2 else bytes([255, 255, 255, 127])[: 1 + more % 4]
            continue
        there = list(places(card))
        if not there:
            break
        *path, last = there[where % len(there)]
        inside = card
        for key in path:
            inside = inside[key]
        if what & 2:
            inside[last] = (
                (which - 128) * 10 ** (more % 8) if what & 4 else copy.deepcopy(ODD[which % len(ODD)])
            )
        elif isinstance(inside, dict):
            inside["x" * (which % 3) or last] = inside.pop(last)
        else:
            inside += inside[: which + 1]
    return json.dumps(card).encode(), bytes(model)


def forked(folder, digest):
    "As `serving._try_out`, in a child that is forked and not started: it takes a hundredth of the time."
    from ser_nbdev import serving

    if serving._is_tried(digest):
        return
    child = os.fork()
    if not child:
        for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL):
            signal.signal(number, signal.SIG_DFL)
        status = 1
        with suppress(BaseException):
            os.environ[serving._TRIED] = digest
            serving._venture(folder)
            status = 0
        os._exit(status)
    how = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if how not in (0, 1):
        raise serving.BundleError(f"{folder}: the model brings down the process that opens it ({how}).")
    os.environ[serving._TRIED] = digest


def open_bundle(data: bytes) -> str:
    """`Bundle` and `Recognizer`. What begins with { is a card and a model; anything else tells how to alter valid ones.

    `@` in a card stands for the right checksum, which no fuzzer would guess."""
    import numpy as np

    from ser_nbdev import serving
    from ser_nbdev.serving import BundleError, Recognizer

    serving._try_out = forked
    if data[:1] in (b"{", b""):
        card, _, model = data.partition(CUT)
    else:
        card, model = altered(data)
    with tempfile.TemporaryDirectory(dir=ROOM) as folder:
        Path(folder, "card.json").write_bytes(
            card.replace(b'"@"', b'"%s"' % sha256(model).hexdigest().encode())
        )
        Path(folder, "model.tflite").write_bytes(model)
        try:
            recognizer = Recognizer(folder)
        except BundleError as e:
            return sentence(e)
        tone = np.sin(np.arange(8_000) / 9, dtype=np.float32)
        try:
            said = recognizer.predict(tone, 16_000)
        except BundleError as e:
            return sentence(e)
    p = np.array(list(said.probabilities.values()))
    assert np.isfinite(p).all() and abs(p.sum() - 1) < 1e-6 and 0 <= said.confidence <= 1, said
    json.dumps(said.to_dict(), allow_nan=False)
    return "an answer"


def read_corpus(data: bytes) -> str:
    """Names; what begins with ./, as a folder with these files, too, and `MANIFEST.sha256`; a zip as the archive of a corpus.

    A folder takes a hundred times as long as its names: hence the sign."""
    from ser_nbdev import corpora

    if data[:2] == b"PK":
        return unpack(data)
    text = data.decode("utf-8", "surrogateescape")
    names, _, manifest = text.partition("\n--manifest--\n")
    for name in (names := names.split("\n")[:40]):
        told = corpora.parse(name)
        if told is not None:
            assert set(told) == {*corpora.COLUMNS, "clip"} - {"path"} and told["corpus"] in corpora.CORPORA
            assert told["emotion"] in (*corpora.EMOTIONS, *corpora.MORE), told
    if not data.startswith(b"./"):
        return f"{told['corpus']} at the end" if told else "names"
    with tempfile.TemporaryDirectory(dir=ROOM) as folder:
        for name in names:
            place = Path(os.path.normpath(f"/{name}".replace("\0", "")).lstrip("/"))
            with suppress(OSError, ValueError):
                Path(folder, place).parent.mkdir(parents=True, exist_ok=True)
                Path(folder, place).touch()
        if manifest:
            Path(folder, "MANIFEST.sha256").write_bytes(os.fsencode(manifest))
        try:
            found = corpora.verify(
                folder, decode=len(data) % 4 == 0, checksums=bool(manifest), progress=False
            )
            return f"{len(str(found).splitlines())} lines"
        except corpora.CorpusError as e:
            return sentence(e)


def unpack(data):
    from ser_nbdev import corpora

    with tempfile.TemporaryDirectory(dir=ROOM) as folder:
        home = Path(folder, "home")
        archive = home / ".tess-download" / "x.zip"
        archive.parent.mkdir(parents=True)
        archive.write_bytes(data)
        try:
            corpora._install(archive, home, "tess", False)
            told = "a corpus"
        except (corpora.FetchError, OSError) as e:
            told = sentence(e) if isinstance(e, corpora.FetchError) else f"errno {e.errno}"
            assert not isinstance(e, OSError) or e.errno
        assert {p.name for p in Path(folder).iterdir()} == {"home"}, "it wrote outside its folder"
        assert {p.name for p in home.iterdir()} <= {"tess", ".tess-download"}, "it wrote outside its folder"
        return told


TARGETS = {"audio": hear, "bundle": open_bundle, "corpora": read_corpus}

# ---- where it begins


def seeds(target: str):
    "yields small valid inputs, and their near kin."
    yield from {"audio": _sounds, "bundle": _bundles, "corpora": _layouts}[target]()
    yield from (p.read_bytes() for p in sorted((CORPUS / target).glob("*")))


def _sounds():
    import av
    import numpy as np
    import soundfile as sf

    def tone(rate):
        return np.sin(np.arange(rate // 8) * 1_500 / rate).astype(np.float32) * 0.3

    for form, subtype, rate in (
        ("WAV", "PCM_16", 8_000), ("WAV", "FLOAT", 8_000), ("WAV", "ULAW", 8_000), ("WAV", "IMA_ADPCM", 8_000),
        ("WAVEX", "PCM_24", 8_000), ("FLAC", "PCM_16", 16_000), ("OGG", "VORBIS", 16_000), ("OGG", "OPUS", 16_000),
        ("MP3", "MPEG_LAYER_III", 16_000), ("AIFF", "PCM_16", 8_000), ("AU", "PCM_16", 8_000),
        ("CAF", "PCM_16", 8_000), ("W64", "PCM_16", 8_000),
    ):  # fmt: skip
        file = io.BytesIO()
        sf.write(file, tone(rate), rate, format=form, subtype=subtype)
        yield file.getvalue()
    for container, codec, rate in (
        ("webm", "libopus", 48_000), ("mp4", "aac", 16_000), ("adts", "aac", 16_000), ("asf", "wmav2", 44_100),
        ("matroska", "pcm_s16le", 8_000), ("mov", "pcm_s16le", 8_000), ("mp4", "alac", 16_000),
    ):  # fmt: skip
        file = io.BytesIO()
        with av.open(file, "w", format=container) as out:
            stream = out.add_stream(codec, rate=rate, layout="mono")
            stream.bit_rate = 96_000
            frame = av.AudioFrame.from_ndarray(tone(rate)[None], format="fltp", layout="mono")
            frame.sample_rate = rate
            into = av.AudioResampler(stream.format, "mono", rate, stream.frame_size or 1024)
            for part in (frame, None):
                for piece in into.resample(part):
                    out.mux(stream.encode(piece))
            out.mux(stream.encode(None))
        yield file.getvalue()
    yield b""
    yield b"RIFF\xff\xff\xff\xffWAVEfmt "


def _bundles():
    "The bundle of the smallest encoder lies among what is kept; here are cards of both kinds."
    for name in ("tess-lstm", "speech-encoder"):
        card = json.loads((ROOT / "ser_nbdev" / "bundles" / name / "card.json").read_text())
        card["training"], card["figures"] = {}, {}
        card["checksums"] = {"model.tflite": "@"}
        yield json.dumps(card)[:15_000].encode() + CUT + b"no model"
    yield b"{}" + CUT
    yield from (bytes([kind]) + bytes(4 * n) for kind in (0, 1) for n in (1, 8))
    yield from (bytes([kind, 2, where, 8, 0]) for kind in (0, 1) for where in range(0, 40, 3))


def _layouts():
    from ser_nbdev.corpora import CORPORA

    yield "\n".join(c.example for c in CORPORA.values()).encode()
    yield b"./TESS/OAF_angry/OAF_back_angry.wav\nTESS/YAF_sad/YAF_back_sad.wav\nTESS/TESS/OAF_angry/OAF_back_angry.wav"
    yield b"./Actor_01/03-01-01-01-01-01-01.wav\nActor_02/03-01-06-02-02-02-02.wav\n__MACOSX/._03-01-01-01-01-01-01.wav"
    yield b"./AudioData/DC/sa01.wav\nAudioData/DC/n02.wav\nALL/JE_d01.wav\nwav/16b10Wb.wav\nEMOVO/f1/gio-f1-b1.wav"
    digest = sha256(b"").hexdigest().encode()
    yield (
        b"./a/OA_bite_neutral.wav\nb/OAF_bite_neutral.wav\n--manifest--\n%s  a/OA_bite_neutral.wav\n0 *gone.wav\n"
        % digest
    )
    for names in (["TESS/OAF_back_angry.wav", "a.txt"], ["../OAF_back_angry.wav"], ["x"]):
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            file = io.BytesIO()
            with zipfile.ZipFile(file, "w", method) as z:
                for name in names:
                    z.writestr(name, b"RIFF" * 20)
            yield file.getvalue()


WORDS = {
    "audio": "RIFF WAVE fmt\\x20 data fLaC OggS OpusHead \\x01vorbis ID3 ftyp moov mdat trun stsz FORM AIFF COMM SSND "
    "caff .snd riff \\x1aE\\xdf\\xa3 wave LIST fact",
    "bundle": "format kind labels features calibration checksums adaptation encoder lstm threshold speech temperature "
    "frames encoder_windows model.tflite card.md NaN Infinity 1e999 null true @ TFL3 warps n_mfcc hop n_fft doubt",
    "corpora": "OAF_ YAF_ _angry .wav .flac 03-01- AudioData/ --manifest-- MANIFEST.sha256 ../ demo_A_ PK\\x03\\x04 "
    "PK\\x01\\x02 PK\\x05\\x06 _ANG_HI gio-f1-",
}

# ---- fuzzing


def _bounded():
    "Keep this process from taking more than it may."
    with suppress(ImportError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def child(target: str, flags: list):
    "Fuzz in this process until time is up or something is found."
    import atheris

    _bounded()
    warnings.simplefilter("ignore")
    sys.modules.pop("zipfile")  # it is instrumented when it is imported anew
    with atheris.instrument_imports(include=["ser_nbdev", "zipfile", "soundfile"]):
        from ser_nbdev import audio, corpora, serving  # noqa: F401
    import av

    av.logging.set_level(None)
    atheris.Setup([sys.argv[0], *flags], lambda data: TARGETS[target](data) and None)
    atheris.Fuzz()


def run(target: str, seconds: float) -> dict:
    "Fuzz a target for a while, beginning again after each finding; what is to be said of it."
    home = FOUND / target
    grown = home / "corpus"
    grown.mkdir(parents=True, exist_ok=True)
    for data in seeds(target):
        (grown / sha256(data).hexdigest()[:16]).write_bytes(data)
    words = home / "words.txt"
    words.write_text("".join(f'"{w}"\n' for w in WORDS[target].split()))
    begun, told, log = time.monotonic(), {"executions": 0, "findings": []}, home / "log.txt"
    used = sum(os.times()[2:4])
    log.unlink(missing_ok=True)
    before = {p.name for p in home.glob("found-*")}
    while (left := int(begun + seconds - time.monotonic())) > 5:
        flags = [
            str(grown), f"-max_total_time={left}", f"-timeout={6 * PATIENCE}", f"-rss_limit_mb={RESIDENT >> 20}",
            f"-max_len={LARGEST}", f"-dict={words}", f"-artifact_prefix={home}/found-", "-print_final_stats=1",
            "-len_control=20", "-reload=0",
        ]  # fmt: skip
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "MALLOC_ARENA_MAX": "2",
        }
        with open(log, "ab") as file:
            command = [sys.executable, __file__, "child", target, *flags]
            done = subprocess.run(command, stdout=file, stderr=file, env=environment)
        if done.returncode == 0:
            break
        known, told["findings"] = told["findings"], sorted({p.name for p in home.glob("found-*")} - before)
        if len(told["findings"]) >= 20:
            break
        if told["findings"] == known and done.returncode != -signal.SIGALRM:
            sys.exit(f"{target}: the fuzzer itself failed (status {done.returncode}); see {log}")
    said = log.read_text(errors="replace")
    told["executions"] = sum(map(int, re.findall(r"number_of_executed_units: (\d+)", said)))
    counted = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", said)
    told |= dict(zip(("edges", "features", "inputs"), map(int, counted[-1] if counted else (0, 0, 0))))
    told["peak_rss_mb"] = max(map(int, re.findall(r"peak_rss_mb: +(\d+)", said)), default=0)
    spent = {
        "seconds": round(time.monotonic() - begun),
        "processor_seconds": round(sum(os.times()[2:4]) - used),
    }
    return {**spent, **told}


# ---- what is kept


def reached(target: str, data: bytes):
    "The lines of this library that an input reaches, with what came of it."
    lines = set()

    def trace(frame, event, _):
        if "ser_nbdev" not in frame.f_code.co_filename and "zipfile" not in frame.f_code.co_filename:
            return None
        if event == "line":
            lines.add((frame.f_code.co_filename, frame.f_lineno))
        return trace

    sys.settrace(trace)
    try:
        said = TARGETS[target](data)
    finally:
        sys.settrace(None)
    return lines | {said}


def keep(target: str, most: int = 65_000):
    "Choose few and small inputs that together reach all that was reached, and keep them for the tests."
    inputs = [p.read_bytes() for p in (FOUND / target / "corpus").glob("*")] + list(seeds(target))
    seen, kept, size = set(), [], 0
    for data in sorted(set(inputs), key=lambda d: (len(d), d)):
        if len(data) + size <= most and (new := reached(target, data)) - seen:
            seen |= new
            kept.append(data)
            size += len(data)
    for data in kept:
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
        (CORPUS / target / sha256(data).hexdigest()[:12]).write_bytes(data)
    print(f"{target}: {len(kept)} inputs of {len(set(inputs))}, {size} bytes")


def replay(target: str) -> int:
    "Every kept input of a target, and how long the slowest took; what is not as it should be is raised."
    TARGETS[target](b"")  # what is loaded at first is no input's fault
    worst = 0.0
    files = sorted((CORPUS / target).glob("*"))
    for path in files:
        begun = time.process_time()
        print(path.name, TARGETS[target](path.read_bytes()), flush=True)
        worst = max(worst, time.process_time() - begun)
        assert worst < PATIENCE, f"{path.name} takes {worst:.1f} s"
    print(f"{target}: {len(files)} inputs, the slowest in {worst:.2f} s")
    return len(files)


def main():
    if sys.argv[1:2] == ["child"]:
        return child(sys.argv[2], sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["run", "keep", "replay"])
    parser.add_argument(
        "targets", nargs="*", default=list(TARGETS), metavar="TARGET", help=", ".join(TARGETS)
    )
    parser.add_argument("--seconds", type=float, default=600, help="for each target")
    args = parser.parse_intermixed_args()
    found = 0
    for target in args.targets:
        if args.what == "run":
            sys.path.insert(0, str(ROOT / "benchmarks"))
            from common import RESULTS, store

            told = run(target, args.seconds)
            print(f"{target}: {told}")
            kept = RESULTS / "fuzz.json"
            before = json.loads(kept.read_text())["targets"] if kept.exists() else {}
            store("fuzz", {"targets": {**before, target: told}})
            found += len(told["findings"])
        else:
            _bounded()
            warnings.simplefilter("ignore")
            {"keep": keep, "replay": replay}[args.what](target)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
