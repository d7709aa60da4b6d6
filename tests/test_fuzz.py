"""What fuzzing has found worth keeping (`tools/fuzz.py`), once more: an answer or the project's own error, in bounds.

One process a target, with a limit on its memory, so that nothing that happens to it happens to the tests."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORPUS = Path(__file__).parent / "fuzz_corpus"


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on a process's memory is tested on Linux")
@pytest.mark.parametrize("target", ["audio", "bundle", "corpora"])
def test_nothing_that_was_found_is_found_again(target):
    if target == "corpora":
        pytest.importorskip("pandas")
    kept = list((CORPUS / target).iterdir())
    assert len(kept) > 3
    command = [sys.executable, ROOT / "tools" / "fuzz.py", "replay", target]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-3000:]
    assert f"{target}: {len(kept)} inputs" in done.stdout


def test_it_is_small():
    assert sum(p.stat().st_size for p in CORPUS.rglob("*") if p.is_file()) < 200_000


def test_a_fault_would_be_seen(tmp_path):
    """The net has no hole: an error of another kind, two sentences, a number that is none."""
    code = """
import sys; sys.path.insert(0, sys.argv[1])
import fuzz
from ser_nbdev import audio
for wrong in (KeyError("x"), audio.NotAudio("a", "is not audio;\\nTraceback."), MemoryError()):
    def load(*args, **kw): raise wrong
    audio.load = load
    try: fuzz.TARGETS["audio"](b"RIFF")
    except BaseException as e: print(type(e).__name__)
"""
    done = subprocess.run([sys.executable, "-c", code, ROOT / "tools"], capture_output=True, text=True)
    assert done.stdout.split() == ["KeyError", "AssertionError", "MemoryError"], done.stderr
