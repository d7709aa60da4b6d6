"What every benchmark needs: one thread, a note on the machine, a result that is stored whole or not at all."

import json
import os
import platform
import sys
import tempfile
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def pin_threads(n: int = 1):
    "Let every library of this process, and of those it starts, use `n` threads; call it before importing them."
    names = "OMP OPENBLAS MKL NUMEXPR TF_NUM_INTRAOP TF_NUM_INTEROP".split()
    os.environ.update(
        {f"{name}_{'THREADS' if name.startswith('TF') else 'NUM_THREADS'}": str(n) for name in names}
    )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def store(name: str, result: dict):
    "Write `results/<name>.json` with the machine it was measured on."
    machine = {"python": platform.python_version(), "system": platform.system(), "cores": os.cpu_count()}
    RESULTS.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=RESULTS, suffix=".tmp", delete=False, encoding="utf-8") as f:
        said = [Path(a).name if Path(a).is_absolute() else a for a in sys.argv]  # no machine's folders
        json.dump({"command": " ".join(["python", *said]), "machine": machine, **result}, f, indent=1)
        f.write("\n")
    os.chmod(f.name, 0o644)
    os.replace(f.name, RESULTS / f"{name}.json")
    print(f"stored in {RESULTS.name}/{name}.json")
