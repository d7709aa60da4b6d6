"`make lab` opens JupyterLab on the notebooks, with a kernel that has the library; no data set is needed."

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytest.importorskip("jupyterlab", reason="jupyterlab is not installed (it is in the dev extra)")
ASKED = """
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name="python3", cwd="nbs")
code = "import os, sys, ser_nbdev, ser_nbdev.widget; print(sys.prefix, ser_nbdev.__file__, os.environ.get('SER_DATA_DIR'))"
client.execute_interactive(code, timeout=120)
client.stop_channels()
manager.shutdown_kernel(now=True)
"""


@pytest.fixture
def alone(tmp_path):
    "An environment without a data set, and without the settings of whoever runs this."
    env = {k: v for k, v in os.environ.items() if k != "SER_DATA_DIR" and not k.startswith("JUPYTER")}
    for kind in ("CONFIG", "DATA", "RUNTIME"):
        env[f"JUPYTER_{kind}_DIR"] = str(tmp_path / kind)
    (tmp_path / "CONFIG").mkdir()
    quiet = {"open_browser": False, "allow_root": True, "ip": "127.0.0.1", "port": 0, "port_retries": 0}
    settings = {"ServerApp": quiet, "IdentityProvider": {"token": "sesame"}}
    (tmp_path / "CONFIG" / "jupyter_server_config.json").write_text(json.dumps(settings))
    return env | {"IPYTHONDIR": str(tmp_path / "ipython")}


def told():
    "What `make lab` runs, once everything is installed."
    make = ["make", "-n", "--no-print-directory", "-o", f"{sys.prefix}/.dev", "lab", f"VENV={sys.prefix}"]
    return (
        subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True)
        .stdout.splitlines()[-1]
        .split()
    )


def address(folder, server, most=90):
    "Of the server, from the file that it writes when it is ready."
    for _ in range(most * 5):
        for file in folder.glob("jpserver-*.json"):
            try:
                return json.loads(file.read_text())["url"]
            except ValueError:  # half written
                pass
        assert server.poll() is None, server.stderr.read().decode()
        time.sleep(0.2)
    raise AssertionError(f"JupyterLab was not ready after {most} s")


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_lab_opens_on_the_notebooks_with_a_kernel(alone, tmp_path):
    server = subprocess.Popen(told(), cwd=ROOT, env=alone, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        where = address(tmp_path / "RUNTIME", server)

        def ask(path):
            with urlopen(
                Request(where + path, headers={"Authorization": "token sesame"}), timeout=30
            ) as reply:
                return reply.read().decode()

        kernels = json.loads(ask("api/kernelspecs"))
        assert kernels["default"] in kernels["kernelspecs"]
        there = {entry["path"]: entry["type"] for entry in json.loads(ask("api/contents"))["content"]}
        assert there["index.ipynb"] == there["08_serving.ipynb"] == "notebook"
        assert there["tutorials"] == "directory"
        assert "JupyterLab" in ask("lab")
        with pytest.raises(URLError):
            urlopen(where + "api/contents", timeout=30)
    finally:
        server.terminate()
        server.communicate(timeout=30)


def test_the_kernel_has_the_library_and_needs_no_data_set(alone):
    run = subprocess.run(
        [sys.executable, "-c", ASKED], cwd=ROOT, env=alone, capture_output=True, text=True, timeout=180
    )
    assert run.returncode == 0, run.stderr
    prefix, library, data = run.stdout.split()
    assert (Path(prefix), data) == (Path(sys.prefix), "None")
    assert Path(library).parent == ROOT / "ser_nbdev"


@pytest.mark.skipif(
    not (shutil.which("chromium") or shutil.which("google-chrome")), reason="no Chromium was found"
)
def test_the_widget_answers_in_jupyterlab_itself(tmp_path):
    "A notebook is opened and run, a clip chosen and answered: the command that makes the picture in its chapter."
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed (it is in the dev extra)")
    shoot = [sys.executable, ROOT / "tools" / "make_lab_screenshot.py", tmp_path]
    done = subprocess.run(shoot, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "widget.png").stat().st_size > 20_000
