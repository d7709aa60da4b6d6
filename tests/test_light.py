"The way from a clip to an answer is light, in the library, the command and the page."

import subprocess
import sys

import pytest

HEAVY = (
    "tensorflow",
    "keras",
    "librosa",
    "numba",
    "pandas",
    "scipy",
    "sklearn",
    "matplotlib",
    "nbdev",
    "IPython",
)
WAYS = {
    "library": "from ser_nbdev.serving import Recognizer, samples; Recognizer().predict(samples()[0])",
    "command": "import sys; sys.argv = ['ser', 'predict']\n"
    "from ser_nbdev.cli import main\ntry: main()\nexcept SystemExit as e: assert not e.code, e.code",
    "page": "from ser_nbdev.webapp import create_app; from ser_nbdev.serving import samples\n"
    "answer = create_app().test_client().post('/predict', data={'file': (open(samples()[0], 'rb'), 'a.flac')})\n"
    "assert answer.status_code == 200, answer.json",
}


@pytest.mark.parametrize("way", WAYS)
def test_nothing_heavy_is_imported(way):
    code = f"{WAYS[way]}\nimport sys\nprint('loaded:', [m for m in {HEAVY} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert run.stdout.rstrip().endswith("loaded: []"), run.stdout


def test_a_bundle_opens_in_half_a_second_and_says_nothing():
    code = (
        "import time; start = time.perf_counter()\n"
        "from ser_nbdev.serving import Bundle\n"
        "imported = time.perf_counter(); Bundle(); print(time.perf_counter() - imported)"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True) for _ in range(3)]
    assert min(float(r.stdout) for r in runs) < 0.5
    assert all(not r.stderr for r in runs), runs[0].stderr
