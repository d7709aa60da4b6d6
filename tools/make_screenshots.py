"""Make the README's pictures of the page, in nbs/images.

    python tools/make_screenshots.py             write them
    python tools/make_screenshots.py FOLDER      write them elsewhere

The page is served from here and looked at in headless Chromium (Debian: `apt install chromium`) through Playwright. Where
SER_DATA_DIR leads to the corpora, what is uploaded is an actor of RAVDESS who goes through some moods, and else the bundled clips,
which the microphone picks up too. The answers are real ones. (The model was trained on that actor, among others.)
"""

import io
import os
import shutil
import sys
import tempfile
from pathlib import Path
from threading import Thread

import numpy as np
import soundfile as sf
from PIL import Image

from ser_nbdev import audio, serving
from ser_nbdev.webapp import create_app
from ser_nbdev.webapp.server import address, listen, make_server

FOLDER = Path(__file__).resolve().parents[1] / "nbs" / "images"
LARGEST = 200_000  # bytes of a picture
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]
DESK = {"viewport": {"width": 1280, "height": 900}}
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}


#: What an actor of RAVDESS says, in the figures of its file names (emotion, intensity, repetition): happy, with changes.
SCENE = ["03-02-01", "03-02-02", "05-02-01", "03-01-01", "03-01-02", "04-02-01"]
ACTOR = "16"


def scene():
    "An actor whose mood changes, or, without the corpora, the bundled clips."
    if data := os.environ.get("SER_DATA_DIR"):
        spoken = {
            p.name[6:11] + p.name[14:17]: p for p in Path(data, "ravdess").rglob(f"03-01-*-01-??-{ACTOR}.*")
        }
        return [spoken[how] for how in SCENE]
    return serving.samples()


def joined(paths, pause):
    "Some clips, each followed by so many seconds of silence."
    silence = np.zeros(int(pause * audio.SAMPLE_RATE), np.float32)
    return np.concatenate([piece for path in paths for piece in (audio.load(path), silence)])


def served():
    "The address of the page, which ends with this process."
    sock = listen("127.0.0.1", 0)
    Thread(target=make_server(create_app(), sock).run, daemon=True).start()
    return address(sock)


def answered(page, clip):
    page.set_input_files("#file", clip)
    page.wait_for_selector("#rows tr")
    page.wait_for_selector("#busy", state="hidden")
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(900)  # the bars grow


def shoot_answer(page, clip):
    answered(page, clip)
    parts = page.locator(".part")
    parts.nth(parts.count() // 3).hover()
    page.wait_for_timeout(300)
    bottom = page.evaluate("document.querySelector('.rooms').getBoundingClientRect().bottom + scrollY")
    return page.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": 1280, "height": bottom + 12})


def shoot_phone(page, clip):
    answered(page, clip)
    page.locator("#answer").scroll_into_view_if_needed()
    page.evaluate("document.getElementById('answer').scrollIntoView({ behavior: 'instant' })")
    page.wait_for_timeout(300)
    return page.screenshot()


def shoot_recording(page, clip):
    page.tap("#record")
    page.wait_for_selector("#booth .elapsed:has-text('0:04')")
    return page.screenshot()


#: name: who shoots it, and in which browser
PICTURES = {
    "page-answer": (shoot_answer, DESK | {"color_scheme": "light"}),
    "page-phone": (shoot_phone, PHONE | {"color_scheme": "dark"}),
    "page-recording": (shoot_recording, PHONE | {"color_scheme": "light"}),
}


def small(png):
    "The picture as the bytes of a PNG without an alpha channel."
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()


def main(folder=FOLDER):
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sys.exit("playwright was not found: pip install -e '.[dev]' brings it.")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        sys.exit("chromium was not found: install it (Debian: apt install chromium) to make the pictures.")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        clip, microphone = Path(scratch, "A scene.wav"), Path(scratch, "microphone.wav")
        sf.write(clip, joined(scene(), 0.6), audio.SAMPLE_RATE)
        sf.write(microphone, joined(serving.samples(), 0.1), audio.SAMPLE_RATE)
        flags = [*FLAGS, f"--use-file-for-fake-audio-capture={microphone}"]
        browser, where = playwright.chromium.launch(executable_path=chromium, args=flags), served()
        for name, (shoot, how) in PICTURES.items():
            page = browser.new_context(**how, permissions=["microphone"]).new_page()
            page.goto(where)
            png = small(shoot(page, clip))
            if len(png) > LARGEST:
                sys.exit(
                    f"{name}.png would have {len(png) / 1000:.0f} kB, and {LARGEST / 1000:.0f} are allowed."
                )
            new = folder / f".{name}.new"
            new.write_bytes(png)
            os.replace(new, folder / f"{name}.png")
            print(f"{name}.png {len(png) / 1000:5.0f} kB")
        browser.close()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
