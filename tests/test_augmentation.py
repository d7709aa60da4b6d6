"Augmentation under odd lengths, extreme values, broken numbers, threads; and that it weighs nothing."

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ser_nbdev import augmentation as au
from ser_nbdev.audio import SAMPLE_RATE

RNG = np.random.default_rng
ROOM = au.impulse_response(0.3, 3, RNG(0))
SAME_LENGTH = {
    "gain": lambda clip: au.gain(clip, 12),
    "tilt": lambda clip: au.tilt(clip, (-9, 9, 0)),
    "band": lambda clip: au.band(clip, 300, 3000),
    "low-pass": lambda clip: au.band(clip, 0, 3000),
    "mu-law": au.mu_law,
    "telephone": au.telephone,
    "telephone, mu-law": lambda clip: au.telephone(clip, True),
    "room": lambda clip: au.room(clip, ROOM),
    "noise": lambda clip: au.add_noise(clip, au.noise(len(clip), "babble", RNG(1)), 5),
    "loud noise": lambda clip: au.add_noise(clip, np.ones(1), -40),
}
CLIPPED = {"gain", "mu-law"}
CODECS = [name for name in au.CODECS if name != "gsm"]
BUSY = au.Disguise(noisy=1, clipping=1)


@st.composite
def clips(draw, longest=700):
    "Clips of few samples, of any loudness from none to a thousand times full scale, float32 or float64."
    dtype, size = draw(st.sampled_from([np.float32, np.float64])), draw(st.integers(1, longest))
    values = st.floats(-1, 1, width=32, allow_subnormal=True)
    scale = draw(st.sampled_from([1e-38, 1e-9, 1, 1, 1000]))
    return draw(arrays(dtype, size, elements=values)) * dtype(scale)


def sound(seconds=1.0, seed=0):
    "A clip that swells and fades like speech."
    return 0.1 * au.noise(int(seconds * SAMPLE_RATE), "babble", RNG(seed))


@pytest.mark.parametrize("name", SAME_LENGTH)
@settings(max_examples=40, deadline=None)
@given(clip=clips())
def test_any_clip_stays_a_clip(name, clip):
    before = clip.copy()
    heard = SAME_LENGTH[name](clip)
    assert heard.shape == clip.shape and heard.dtype == np.float32 and np.isfinite(heard).all()
    np.testing.assert_array_equal(clip, before)  # and the one that went in is as it was
    if name in CLIPPED:
        assert np.abs(heard).max() <= 1


@pytest.mark.parametrize("name", CODECS)
@settings(max_examples=8, deadline=None)
@given(clip=clips())
def test_any_clip_passes_a_codec(name, clip):
    heard = au.codec(clip, name)
    assert heard.shape == clip.shape and heard.dtype == np.float32 and np.isfinite(heard).all()


@pytest.mark.parametrize("n", [1599, 1601, 7919, 16_000, 16_001, 31_957])
@pytest.mark.parametrize("name", CODECS)
def test_codecs_keep_time_at_every_length(name, n):
    clip = sound(2)[:n]
    heard = au.codec(clip, name)
    size = 2**16
    alike = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(clip, size)), size)
    assert len(heard) == n and abs((alike.argmax() + size // 2) % size - size // 2) <= 3


@settings(max_examples=25, deadline=None)
@given(clip=clips(), seed=st.integers(0, 2**32))
def test_any_voice_takes_any_clip(clip, seed):
    voice = BUSY.draw(RNG(seed))
    heard = voice(clip, RNG(seed + 1))
    assert heard.dtype == np.float32 and np.isfinite(heard).all() and np.abs(heard).max() <= 1
    assert abs(len(heard) - len(clip) / voice.speed) <= 0.04 * len(clip) / voice.speed + 1
    np.testing.assert_array_equal(heard, voice(clip, RNG(seed + 1)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(bad):
    clip = sound()
    clip[100] = bad
    voice = au.Voice()
    ways = [*SAME_LENGTH.values(), lambda c: au.codec(c, "opus"), lambda c: voice(c, RNG(0))]
    for way in [*ways, lambda c: au.add_noise(sound(), c, 3), lambda c: au.room(sound(), c)]:
        with pytest.raises(ValueError, match="NaN or infinite"):
            way(clip)


@pytest.mark.parametrize(
    "bad", [np.zeros(0, np.float32), np.zeros((2, 8), np.float32), np.zeros(8, np.int16)]
)
def test_what_is_no_clip_is_refused(bad):
    for way in [*SAME_LENGTH.values(), lambda c: au.codec(c, "opus"), lambda c: au.Voice()(c, RNG(0))]:
        with pytest.raises(ValueError):
            way(bad)


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(au.NOT_SPEECH), seed=st.integers(0, 2**32), n=st.integers(1, 9000))
def test_no_speech_of_any_length(kind, seed, n):
    sound = au.not_speech(kind, RNG(seed), n / SAMPLE_RATE)
    assert len(sound) == n and sound.dtype == np.float32 and np.isfinite(sound).all()
    assert np.abs(sound).max() <= 10 ** (-3 / 20) + 1e-6
    if n >= 1600:
        assert np.abs(sound).max() > 1e-3  # it can be heard


@settings(max_examples=60, deadline=None)
@given(
    x=st.tuples(st.integers(1, 60), st.integers(1, 90)),
    seed=st.integers(0, 999),
    shares=st.tuples(*[st.floats(0, 1)] * 2),
    counts=st.tuples(*[st.integers(0, 3)] * 2),
)
def test_masks_change_a_copy_and_no_more_than_they_may(x, seed, shares, counts):
    frames = RNG(seed).standard_normal(x).astype(np.float32)
    before = frames.copy()
    hidden = au.mask_frames(frames, RNG(seed), *shares, *counts)
    np.testing.assert_array_equal(frames, before)
    assert hidden.shape == x and hidden.dtype == np.float32
    rows, columns = (min(1, share * count) for share, count in zip(shares, counts))
    assert np.mean(hidden != frames) <= rows + columns - rows * columns + 1e-9


def test_a_voice_is_the_same_in_other_threads_and_processes():
    clip, voices = sound(), [BUSY.draw(RNG(seed)) for seed in range(48)]
    assert len({voice.line[0] for voice in voices}) == 4
    with ThreadPoolExecutor(4) as pool:
        heard = list(pool.map(lambda voice: voice(clip, RNG(1)), voices))
    for voice, one in zip(voices, heard):
        np.testing.assert_array_equal(one, voice(clip, RNG(1)))
    code = (
        "import sys, hashlib, numpy as np; from ser_nbdev.augmentation import Disguise, noise; R = np.random.default_rng\n"
        "clip = 0.1 * noise(16000, 'babble', R(0))\n"
        "voices = [Disguise(noisy=1, clipping=1).draw(R(seed)) for seed in range(48)]\n"
        "sys.stdout.buffer.write(b''.join(v(clip, R(1)).tobytes() for v in voices))"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert there == b"".join(one.tobytes() for one in heard)


def test_nothing_heavy_is_imported():
    heavy = ("tensorflow", "keras", "librosa", "numba", "pandas", "scipy", "sklearn", "matplotlib", "av")
    code = f"import sys, ser_nbdev.augmentation; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
