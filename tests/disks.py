"Disks that are small, or may not be written to."

import os
import subprocess
from contextlib import contextmanager

import pytest


@contextmanager
def disk(folder, size="1m"):
    "A small disk, mounted on `folder`, which is made; what may be called to make it read-only. Skips where nothing can be mounted."
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True
    )
    if mount.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    finally:
        subprocess.run(["umount", folder], check=True)


def full(folder):
    "Fill the disk of a folder."
    with open(folder / "ballast", "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    os.sync()
