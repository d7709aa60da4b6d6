"""What the audio chapter cannot hold: hostile files, a memory limit, permissions, threads, real files."""

import io
import os
import pickle
import random
import struct
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings, strategies as st

from ser_nbdev import audio
from ser_nbdev.audio import (
    AudioError,
    BadArray,
    BadRate,
    EmptyAudio,
    MissingAudio,
    NoAudioStream,
    NotAudio,
    NotFinite,
    SAMPLE_RATE,
    SilentAudio,
    TooLong,
    TooShort,
    UnreadableAudio,
    load,
    resample,
)

DATA = os.environ.get("SER_DATA_DIR")
needs_data = pytest.mark.skipif(not DATA, reason="SER_DATA_DIR is not set: the corpora are not on this disk")


# ---- makers


def voice(rate=16_000, seconds=1.0, seed=0):
    "Something with many frequencies, float32, peak 0.3."
    t = np.arange(int(rate * seconds)) / rate
    tones = sum(np.sin(2 * np.pi * f * t + f) / k for k, f in enumerate((150, 300, 450, 1200, 2600), 1))
    noise = np.random.default_rng(seed).normal(size=len(t)) * 0.05
    return (0.3 * (tones + noise) / np.abs(tones + noise).max()).astype(np.float32)


def written(x, rate, format="WAV", subtype="PCM_16"):
    file = io.BytesIO()
    sf.write(file, x, rate, format=format, subtype=subtype)
    return file.getvalue()


def encoded(x, rate, container, codec, video=False, **options):
    "Mono `x` (or None: no sound) as ffmpeg writes it, with a picture if `video`."
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=options) as out:
        if video:
            film = out.add_stream("mpeg4", rate=10)
            film.width = film.height = 32
            film.pix_fmt = "yuv420p"
        sound = out.add_stream(codec, rate=rate, layout="mono") if x is not None else None
        if video:
            for _ in range(10):
                picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
                out.mux(film.encode(picture))
            out.mux(film.encode(None))
        if sound:
            sound.bit_rate = 96_000
            frame = av.AudioFrame.from_ndarray(x[None], format="fltp", layout="mono")
            frame.sample_rate = rate
            resampler = av.AudioResampler(sound.format, "mono", rate, sound.frame_size or 1024)
            for part in (frame, None):
                for f in resampler.resample(part):
                    out.mux(sound.encode(f))
            out.mux(sound.encode(None))
    return file.getvalue()


def wav(data, channels=1, rate=16_000, bits=16, code=1, claims=None):
    "A RIFF file by hand, so that its header can lie."
    size, block = len(data) if claims is None else claims, channels * bits // 8
    form = struct.pack("<IHHIIHH", 16, code, channels, rate, rate * block & 0xFFFFFFFF, block & 0xFFFF, bits)
    riff = b"RIFF" + struct.pack("<I", 36 + size & 0xFFFFFFFF) + b"WAVEfmt " + form
    return riff + b"data" + struct.pack("<I", size) + data


def crc(data, polynomial, bits):
    value, top = 0, 1 << bits - 1
    for byte in data:
        value ^= byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & (1 << bits) - 1
    return value


def flac_bomb(frames=1_400, rate=2_600, claims=0):
    "FLAC in which 12 bytes stand for 65 535 equal samples: 18 kB hold 9.8 hours."
    stream = rate << 44 | 7 << 36 | claims
    head = struct.pack(">HH", 65_535, 65_535) + bytes(6) + stream.to_bytes(8, "big") + bytes(16)
    out = [b"fLaC\x80\0\0\x22", head]
    for i in range(frames):
        frame = b"\xff\xf8\x70\x02" + chr(i).encode() + struct.pack(">H", 65_534)
        frame += bytes([crc(frame, 7, 8)]) + bytes([0, i & 1])
        out.append(frame + struct.pack(">H", crc(frame, 0x8005, 16)))
    return b"".join(out)


def mp4_bomb(table):
    "MP4 of one second whose table of samples claims a hundred million of them."
    many = struct.pack(">I", 100_000_000)
    if table == "stsz":
        data = bytearray(encoded(voice(), 16_000, "mp4", "aac"))
        at = data.index(b"stsz")
        data[at + 8 : at + 16] = struct.pack(">I", 1) + many
        at = data.index(b"stsc")
        data[at + 12 : at + 20] = struct.pack(">I", 1) + many
    else:
        data = bytearray(encoded(voice(), 16_000, "mp4", "aac", movflags="frag_keyframe+empty_moov"))
        at = data.index(b"trun")
        data[at + 4 : at + 12] = b"\0\0\0\1" + many
    return bytes(data)


def webm_bomb(seconds=3_600):
    "One packet of Opus silence, again and again."
    file = io.BytesIO()
    with av.open(file, "w", format="webm") as out:
        stream = out.add_stream(
            "libopus", rate=48_000, layout="mono", options={"frame_duration": "60", "b": "6000"}
        )
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 2_880), np.float32), format="flt", layout="mono")
        frame.sample_rate = 48_000
        packets = stream.encode(frame) + stream.encode(None)
        data = bytes(packets[0])
        for i in range(int(seconds / 0.06)):
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, stream.time_base or packets[0].time_base
            packet.pts = packet.dts = i * 2_880
            packet.duration = 2_880
            out.mux(packet)
    return file.getvalue()


@pytest.fixture(scope="module")
def kinds():
    x, x44, x48 = voice(), voice(44_100), voice(48_000)
    return {
        "a.wav": written(x, 16_000),
        "a24.wav": written(x44, 44_100, subtype="PCM_24"),
        "float.wav": written(voice(96_000), 96_000, subtype="FLOAT"),
        "a8.wav": written(x, 16_000, subtype="PCM_U8"),
        "mulaw.wav": written(voice(8_000), 8_000, subtype="ULAW"),
        "double.wav": written(x, 16_000, subtype="DOUBLE"),
        "adpcm.wav": written(x44, 44_100, subtype="IMA_ADPCM"),
        "a.flac": written(x, 16_000, "FLAC"),
        "a.ogg": written(x44, 44_100, "OGG", "VORBIS"),
        "a.opus": written(x48, 48_000, "OGG", "OPUS"),
        "a.mp3": written(x44, 44_100, "MP3", "MPEG_LAYER_III"),
        "a.aiff": written(x44, 44_100, "AIFF"),
        "aiff-named.wav": written(x44, 24_414, "AIFF"),
        "a.au": written(x, 16_000, "AU"),
        "a.caf": written(x, 16_000, "CAF"),
        "a.webm": encoded(x48, 48_000, "webm", "libopus"),
        "a.m4a": encoded(x44, 44_100, "mp4", "aac"),
        "film.mp4": encoded(x44, 44_100, "mp4", "aac", video=True),
        "a.aac": encoded(x44, 44_100, "adts", "aac"),
        "fragments.mp4": encoded(x44, 44_100, "mp4", "aac", movflags="frag_keyframe+empty_moov"),
        "a.wma": encoded(x44, 44_100, "asf", "wmav2"),
        "alac.m4a": encoded(x44, 44_100, "mp4", "alac"),
    }


def outcome(data, **kwargs):
    "What `load` may do with anything: a good clip, or an `AudioError` with a whole sentence."
    try:
        clip = load(data, **kwargs)
    except AudioError as e:
        assert str(e).startswith("<bytes> ") and str(e).endswith("."), str(e)
        return type(e)
    assert clip.dtype == np.float32 and clip.ndim == 1 and len(clip) >= 1_600 and np.isfinite(clip).all()
    return clip


# ---- the same sound, however it comes


def test_every_kind_by_path_bytes_and_file_object(kinds, tmp_path):
    for name, data in kinds.items():
        path = tmp_path / name
        path.write_bytes(data)
        clip = load(path)
        assert clip.dtype == np.float32 and clip.ndim == 1, name
        assert 0.5 < len(clip) / SAMPLE_RATE < 2 and 0.2 < np.abs(clip).max() < 0.4, name
        with open(path, "rb") as f:
            for other in (
                load(str(path)),
                load(data),
                load(bytearray(data)),
                load(memoryview(data)),
                load(f),
            ):
                assert np.array_equal(clip, other), name
            assert not f.closed


@pytest.mark.parametrize(
    "subtype,dtype",
    [
        ("PCM_16", "int16"),
        ("PCM_32", "int32"),
        ("PCM_U8", "uint8"),
        ("FLOAT", "float32"),
        ("DOUBLE", "float64"),
    ],
)
@pytest.mark.parametrize("rate", [8_000, 16_000, 24_414, 48_000])
def test_an_array_equals_its_file(subtype, dtype, rate):
    x = np.stack([voice(rate), voice(rate, seed=1)], axis=1)
    if dtype == "uint8":
        samples = np.round(x * 127 + 128).astype(np.uint8)
        data = wav(samples.tobytes(), channels=2, rate=rate, bits=8)
    else:
        samples = (x * np.iinfo(dtype).max).astype(dtype) if "int" in dtype else x.astype(dtype)
        data = written(samples, rate, subtype=subtype)
    clip = load(data)
    for array in (samples, samples.T, np.asfortranarray(samples), samples[::-1][::-1]):
        assert np.array_equal(clip, load(array, rate))


def test_channels_count_as_their_mean():
    left, right = voice(seed=1), voice(seed=2)
    assert np.array_equal(load(np.stack([left, right]), 16_000), (left + right) / 2)
    assert np.array_equal(load(np.stack([left, left, left, left]), 16_000), left)
    with pytest.raises(SilentAudio):
        load(np.stack([left, -left]), 16_000)


def test_a_clip_is_the_callers_own():
    x = voice()
    clip = load(x, 16_000)
    clip[:] = 0
    assert np.abs(x).max() > 0.2


def test_a_change_of_rate_half_way():
    blocks = [
        (voice(48_000)[:, None], 48_000),
        (voice(16_000)[:, None], 16_000),
        (voice(8_000)[:, None], 8_000),
    ]
    whole = audio._gather(blocks, "x", None)
    assert np.array_equal(whole, np.concatenate([resample(x[:, 0], rate, 16_000) for x, rate in blocks]))


def test_resampling_ends_where_it_should():
    for rate in (8_000, 11_025, 22_050, 24_414, 32_000, 44_100, 48_000, 96_000):
        y = resample(voice(rate), rate, 16_000)
        assert len(y) == 16_000 and y.dtype == np.float32
        assert np.array_equal(y, load(voice(rate), rate))


# ---- what people have


@needs_data
def test_files_as_distributed():
    files = sorted(Path(DATA, "native").glob("*.wav"))
    assert files
    for file in files:
        clip = load(file)
        assert 1 < len(clip) / SAMPLE_RATE < 5
        for twin in Path(DATA).glob(f"[rt]*/**/{file.stem}.flac"):  # made at 16 kHz by others
            assert np.abs(load(twin) - clip).max() <= 0.51 / 32_768


@needs_data
def test_very_quiet_recordings_are_not_silent():
    quiet = [p for actor in ("09", "20") for p in Path(DATA, "ravdess").rglob(f"*-{actor}.flac")]
    assert quiet
    assert min(np.abs(load(p)).max() for p in quiet) < 300 / 32_768


def test_what_counts_as_silent():
    x = voice()
    assert len(load(x / np.abs(x).max() * 5 / 32_768, 16_000)) == 16_000
    for flicker in (x * 0, x / np.abs(x).max() * 4 / 32_768):
        with pytest.raises(SilentAudio, match="^<array> is silent from start to end"):
            load(flicker, 16_000)


def test_headers_that_claim_more_or_less():
    data = (voice() * 32_767).astype("<i2").tobytes()
    want = load(wav(data))
    for claims in (2**32 - 1, 2**31, len(data) + 2, 0):  # streaming writers leave 0 or the largest number
        assert np.array_equal(load(wav(data, claims=claims)), want), claims
    assert len(load(wav(data, claims=8_000))) == 4_000
    for broken in (
        wav(data, channels=0),
        wav(data, rate=0),
        wav(data, rate=2**32 - 1),
        wav(data, bits=0),
        wav(data, channels=65_535, bits=8),
        wav(data, code=0x7777),
    ):
        assert outcome(broken) is NotAudio
    assert outcome(wav(data, rate=1)) is outcome(wav(data, rate=2**31 - 1)) is BadRate
    assert outcome(wav(data, channels=1_024, claims=2**31)) is TooShort
    assert outcome(wav(b"")) is EmptyAudio


def test_cut_short(kinds):
    for name, data in kinds.items():
        kept = outcome(data[: len(data) * 3 // 4])
        if name in (
            "a.wav",
            "a24.wav",
            "float.wav",
            "a.flac",
            "a.mp3",
            "a.aiff",
            "a.webm",
            "a.aac",
            "mulaw.wav",
        ):
            assert 0.4 < len(kept) / SAMPLE_RATE < 0.9, name
        cut = outcome(data[:60])
        assert isinstance(cut, type), name


def test_damage_in_the_middle_costs_the_middle():
    x = voice(seconds=10)
    for format, subtype in (("FLAC", "PCM_16"), ("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS")):
        data = bytearray(written(x, 16_000, format, subtype))
        data[len(data) // 2 : len(data) // 2 + 64] = bytes(64)
        assert len(outcome(bytes(data))) / SAMPLE_RATE > 7, format


# ---- one class a cause, and a sentence


def test_paths(tmp_path, monkeypatch):
    for path in ("no/such.wav", "", tmp_path / "lost.wav"):
        with pytest.raises(MissingAudio, match="does not exist; check the path"):
            load(path)
    with pytest.raises(UnreadableAudio, match="is a folder"):
        load(tmp_path)
    for path in ("a\0b.wav", "x" * 5_000):
        with pytest.raises(UnreadableAudio, match="cannot be read"):
            load(path)
    (tmp_path / "empty.wav").touch()
    with pytest.raises(EmptyAudio, match="empty.wav is empty, it has no bytes"):
        load(tmp_path / "empty.wav")
    with pytest.raises(BadRate, match="its own sample rate"):
        load(tmp_path / "empty.wav", 16_000)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(UnreadableAudio):
        load(tmp_path / "loop")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_and_devices_do_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    for path in (tmp_path / "pipe.wav", os.devnull):
        with pytest.raises(UnreadableAudio, match="no regular file"):
            load(path)


def test_no_permission(tmp_path, monkeypatch):
    path = tmp_path / "secret.wav"
    path.write_bytes(written(voice(), 16_000))

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(audio, "open", refuse, raising=False)  # root may read everything, so this is played
    with pytest.raises(UnreadableAudio, match="secret.wav may not be read by this user"):
        load(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_no_permission_in_earnest(tmp_path):
    path = tmp_path / "secret.wav"
    path.write_bytes(written(voice(), 16_000))
    path.chmod(0)
    with pytest.raises(UnreadableAudio, match="change its permissions"):
        load(path)


class Stream:
    "A stream that can only be read."

    def __init__(self, data, name=None):
        self.data = data
        if name is not None:
            self.name = name

    def read(self, n=-1):
        if isinstance(self.data, Exception):
            raise self.data
        return self.data


def test_file_objects(kinds):
    data = kinds["a.webm"]
    want = load(data)
    assert np.array_equal(load(Stream(data)), want)
    late = io.BytesIO(b"form field" + data)
    late.seek(10)
    assert np.array_equal(load(late), want) and not late.closed
    with tempfile.SpooledTemporaryFile() as f:
        f.write(data)
        f.seek(0)
        assert np.array_equal(load(f), want)
    with pytest.raises(EmptyAudio, match="<file> is empty"):
        load(f := io.BytesIO(b""))
    f.close()
    for bad, match in (
        (f, "<file> cannot be read"),
        (io.StringIO("abc"), "str instead of bytes"),
        (Stream(OSError(5, "Input/output error")), r"cannot be read \(Input/output error\)"),
        (Stream(None, name="mic.wav"), "mic.wav gives NoneType"),
    ):
        with pytest.raises(UnreadableAudio, match=match):
            load(bad)


def test_an_upload_bears_the_name_that_its_sender_gave():
    from werkzeug.datastructures import FileStorage

    with pytest.raises(NotAudio, match=r"^holiday.wav is not audio"):
        load(FileStorage(io.BytesIO(b"x" * 1_000), filename="holiday.wav", name="file"))
    clip = load(FileStorage(io.BytesIO(written(voice(), 16_000)), filename="a.wav"))
    assert len(clip) == 16_000


def test_a_disk_that_fails_half_way(tmp_path, kinds, monkeypatch):
    class Failing(io.FileIO):
        def readinto(self, buffer):
            raise OSError(5, "Input/output error")

        read = readall = readinto

    path = tmp_path / "a.webm"
    path.write_bytes(kinds["a.webm"])
    monkeypatch.setattr(audio, "open", lambda p, mode, buffering: Failing(p), raising=False)
    with pytest.raises(UnreadableAudio, match="Input/output error"):
        load(path)


def test_films(kinds):
    with pytest.raises(NoAudioStream, match="^<bytes> has no sound in it"):
        load(encoded(None, None, "mp4", None, video=True))
    assert len(load(kinds["film.mp4"])) > 15_000


def test_lengths():
    x = voice(48_000, 2)
    assert len(load(x, 48_000, max_seconds=2)) == 32_000
    for source, rate in (
        (x, 48_000),
        (written(x, 48_000), None),
        (encoded(x, 48_000, "webm", "libopus"), None),
    ):
        with pytest.raises(TooLong, match="lasts longer than 1.5 s"):
            load(source, rate, max_seconds=1.5)
    assert len(load(x[:4_800], 48_000)) == 1_600
    with pytest.raises(TooShort, match="lasts 0.099 s; at least 0.1 s"):
        load(x[:4_750], 48_000)
    assert len(load(x[:48], 48_000, min_seconds=0)) == 16
    with pytest.raises(EmptyAudio):
        load(x[:0], 48_000, min_seconds=0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("at", [0, 5_000, -1])
def test_one_number_that_is_none(bad, rate, at):
    x = np.stack([voice(rate), voice(rate)], axis=1)
    x[at, 1] = bad
    for source, given_rate in ((x, rate), (written(x, rate, subtype="FLOAT"), None)):
        with pytest.raises(NotFinite):
            load(source, given_rate)


@pytest.mark.filterwarnings("error")
def test_numbers_beyond_float32():
    for x in (np.full((8_000, 2), 3e38, np.float32), np.full(8_000, 1e300)):
        with pytest.raises(NotFinite):
            load(x, 16_000)


def test_arrays_that_are_none():
    for x in (
        np.zeros(8_000, np.int64),
        np.zeros(8_000, np.uint16),
        np.zeros(8_000, bool),
        np.zeros(8_000, complex),
        None,
        np.zeros((2, 3, 4)),
        np.float64(3),
        np.zeros((100, 200)),
        [[1.0], [1.0, 2.0]],
        {"a": 1},
        object(),
    ):
        with pytest.raises(BadArray, match="^<array> "):
            load(x, 16_000)
    for rate in (None, 0, -16_000, np.nan, np.inf, "16000", 1e12, 16):
        with pytest.raises(BadRate, match="sample rate"):
            load(voice(), rate)
    assert np.array_equal(load(voice().tolist(), 16_000), voice())
    assert np.array_equal(load(voice(), np.int64(16_000)), load(voice(), 16_000.0))


def test_errors_survive_a_process_pool():
    for kind in AudioError.__subclasses__():
        error = pickle.loads(pickle.dumps(kind("a.wav", "is odd; change it.")))
        assert type(error) is kind and str(error) == "a.wav is odd; change it."
        assert kind.__doc__


# ---- hostile

BOUNDED = """
import resource, sys
from ser_nbdev.audio import AudioError, load, _libav
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
_libav()
unit = 1 if sys.platform == "darwin" else 1024
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
for path in sys.argv[1:]:
    try: print(len(load(path, max_seconds=60)), end=" ")
    except AudioError as e: print(type(e).__name__, end=" ")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before) >> 20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on a process's memory is tested on Linux")
def test_ten_hours_in_a_few_kilobytes_take_no_memory(tmp_path):
    bombs = {
        "stream": flac_bomb(),
        "honest": flac_bomb(claims=1_400 * 65_535),
        "modest": flac_bomb(claims=200_000),
        "webm": webm_bomb(),
        "stsz": mp4_bomb("stsz"),
        "trun": mp4_bomb("trun"),
        "channels": wav(bytes(400_000), channels=1_000, claims=2**31),
        "rate": wav(bytes(4_000), rate=2**31 - 1),
    }
    assert len(bombs["honest"]) < 20_000
    for name, data in bombs.items():
        (tmp_path / name).write_bytes(data)
    out = subprocess.run(
        [sys.executable, "-c", BOUNDED, *(str(tmp_path / name) for name in bombs)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert out.returncode == 0, out.stderr
    *verdicts, grown = out.stdout.split()
    assert verdicts[:2] == ["TooLong", "TooLong"] and verdicts[3] == "TooLong", verdicts
    assert verdicts[2] == "TooLong" or verdicts[2] == "SilentAudio", verdicts
    assert all(v in ("EmptyAudio", "NotAudio", "TooShort", "BadRate") for v in verdicts[4:]), verdicts
    assert int(grown) < 100, f"{grown} MiB"


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.sampled_from(
        [
            b"",
            b"RIFF\xff\xff\xff\xffWAVEfmt ",
            b"fLaC",
            b"OggS\0\2",
            b"ID3\3\0",
            b"\xff\xfb\x90\x64",
            b"\0\0\0\x20ftypM4A ",
            b"\x1aE\xdf\xa3",
            b"FORM\0\0\1\0AIFF",
            b"#!AMR\n",
            b"caff\0\1\0\0",
            b".snd",
        ]
    ),
    st.binary(max_size=2_000),
)
def test_random_bytes(magic, data):
    outcome(magic + data, max_seconds=60)


def test_files_with_flipped_bytes(kinds, capfd):
    rng = random.Random(0)
    noise = 0
    for name, data in kinds.items():
        for flips in (1, 3, 10, 100):
            for _ in range(3):
                spoilt = bytearray(data)
                for _ in range(flips):
                    spoilt[rng.randrange(min(len(data), 2_000 if flips < 100 else len(data)))] = (
                        rng.randrange(256)
                    )
                outcome(bytes(spoilt), max_seconds=60)
        if name in ("a.webm", "a.m4a", "film.mp4", "a.aac"):
            noise += len(capfd.readouterr().err)
        else:
            capfd.readouterr()
    assert not noise, "ffmpeg writes to stderr"


def test_other_peoples_files(tmp_path):
    good = tmp_path / "good.wav"
    good.write_bytes(written(voice(), 16_000))
    for data in (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{good}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile '{good}'\n",
        f"{good}\n",
        "<html>" * 99,
        "%PDF-1.7\n" * 99,
    ):
        assert outcome(data.encode()) is NotAudio
    for url in (f"file:{good}", f"concat:{good}|{good}", "http://127.0.0.1:9/a.wav"):
        with pytest.raises(MissingAudio):
            load(url)
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0" + bytes(500)
    assert outcome(png) is NotAudio


def test_many_threads_hear_the_same(kinds):
    names = [name for name in kinds] * 4
    want = {name: load(data) for name, data in kinds.items()}
    with ThreadPoolExecutor(4) as pool:
        for name, clip in zip(names, pool.map(lambda name: load(kinds[name]), names)):
            assert np.array_equal(clip, want[name]), name


def test_no_file_stays_open(kinds, tmp_path):
    if not Path("/proc/self/fd").exists():
        pytest.skip("no /proc on this system")
    for name in ("a.wav", "a.webm"):
        (tmp_path / name).write_bytes(kinds[name])
    (tmp_path / "bad.wav").write_bytes(b"x" * 100)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        load(tmp_path / "a.wav"), load(tmp_path / "a.webm")
        for source, limit in (
            (tmp_path / "bad.wav", None),
            (tmp_path / "a.webm", 0.2),
            (tmp_path / "a.wav", 0.2),
        ):
            with pytest.raises(AudioError):
                load(source, max_seconds=limit)
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_import_is_light():
    code = (
        "import sys, ser_nbdev.audio; "
        "print({'av', 'scipy', 'pandas', 'librosa', 'tensorflow', 'matplotlib'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert out.stdout.strip() == "set()", out.stdout + out.stderr
