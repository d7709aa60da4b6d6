"""Make the picture of the widget in JupyterLab, in nbs/images.

    python tools/make_lab_screenshot.py [FOLDER]

A notebook with the widget in its only cell is opened in a JupyterLab of its own and run in headless Chromium, as a user would
do it: the picture is the cell after a bundled clip was chosen, with the answer of the bundle that ships.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import nbformat
from make_screenshots import FOLDER, LARGEST, small

from ser_nbdev import serving

CELL = "from ser_nbdev.widget import ClipWidget\n\nClipWidget()"
DESK = {"viewport": {"width": 1000, "height": 900}, "color_scheme": "light", "device_scale_factor": 1.5}


@contextmanager
def lab(home):
    "The address of a JupyterLab on the notebooks in `home`, which nobody else can reach."
    quiet = {"open_browser": False, "allow_root": True, "ip": "127.0.0.1", "port": 0, "port_retries": 0}
    settings = {"ServerApp": quiet | {"root_dir": str(home)}, "IdentityProvider": {"token": "sesame"}}
    own = {f"JUPYTER_{kind}_DIR": str(home / f".{kind}") for kind in ("CONFIG", "DATA", "RUNTIME")}
    (home / ".CONFIG").mkdir()
    (home / ".CONFIG" / "jupyter_server_config.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "jupyterlab"]
    server = subprocess.Popen(
        command, env=os.environ | own, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not (url := address(home / ".RUNTIME")):
            if server.poll() is not None:
                sys.exit("JupyterLab did not start: try `make lab` to see why.")
            time.sleep(0.3)
        yield url
    finally:
        server.terminate()
        server.wait(30)


def address(runtime):
    "Of the server, from the file that it writes when it is ready; None before."
    for file in runtime.glob("jpserver-*.json"):
        with suppress(ValueError):  # half written
            return json.loads(file.read_text())["url"]


def shoot(page, where):
    "Open the notebook, run its cell, choose a clip."
    page.goto(f"{where}lab/tree/widget.ipynb?token=sesame&reset")
    cell = page.locator(".jp-CodeCell").first
    cell.locator(".cm-content").click(timeout=120_000)
    page.wait_for_function("document.body.innerText.includes('Idle')", timeout=120_000)
    page.keyboard.press("Control+Enter")
    choose = cell.locator(".jp-OutputArea input[type=file]")
    choose.wait_for(timeout=120_000)
    choose.set_input_files(serving.samples()[3])
    cell.locator(".jp-OutputArea :text('%')").first.wait_for(timeout=60_000)
    page.mouse.move(990, 890)
    page.wait_for_timeout(1000)
    return cell.screenshot()


def main(folder=FOLDER):
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        sys.exit("chromium was not found: install it (Debian: apt install chromium) to make the picture.")
    with tempfile.TemporaryDirectory() as home:
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
        book.metadata["kernelspec"] = dict(name="python3", display_name="Python 3", language="python")
        nbformat.write(book, Path(home, "widget.ipynb"))
        with lab(Path(home)) as where, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            png = small(shoot(browser.new_context(**DESK).new_page(), where))
            browser.close()
    if len(png) > LARGEST:
        sys.exit(f"The picture would have {len(png) / 1000:.0f} kB, and {LARGEST / 1000:.0f} are allowed.")
    new = folder / ".widget.new"
    new.write_bytes(png)
    os.replace(new, folder / "widget.png")
    print(f"widget.png {len(png) / 1000:5.0f} kB")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
