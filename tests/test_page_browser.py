"""The page in a real browser: headless Chromium, driven by Playwright. Skips where there is none.

`SER_SHOTS=folder pytest tests/test_page_browser.py` keeps a screenshot of each view."""

import os
import shutil
from pathlib import Path

import pytest
from page_stub import Stub, served

from ser_nbdev import serving
from ser_nbdev.webapp import create_app

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed (it is in the dev extra)"
)
BROWSER = next(
    filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome", "chrome"])), None
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium was found on the PATH")

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
    "--mute-audio",
]
SAMPLE = serving.samples()[0]


@pytest.fixture(scope="module")
def where():
    with served(create_app(Stub(), max_bytes=2 * 2**20)) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, where):
    "Opens the page in a context of its own; a complaint of the browser, or a foreign address, fails the test."
    contexts, wrong = [], []

    def open_it(path="/", **kw):
        context = browser.new_context(**kw)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda e: wrong.append(str(e)))
        page.on(
            "console",
            lambda m: (
                wrong.append(m.text)
                if m.type == "error" and "status of 4" not in m.text and "ERR_FAILED" not in m.text
                else None
            ),
        )
        page.on(
            "request",
            lambda r: wrong.append(r.url) if not r.url.startswith((where, "blob:" + where)) else None,
        )
        page.goto(where + path)
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert not wrong


def shot(page, name):
    if folder := os.environ.get("SER_SHOTS"):
        page.wait_for_timeout(700)  # the bars grow
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def fits(page):
    return page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_upload(open_page):
    page = open_page()
    assert page.locator(".words li").count() == 7
    shot(page, "start")
    page.set_input_files("#file", SAMPLE)
    page.wait_for_selector(".word")
    assert page.inner_text(".word").lower() == "happy" and "86 %" in page.inner_text(".sure")
    assert page.locator(".bars li").count() == 7
    assert page.evaluate("document.querySelector('.bars rect').getBoundingClientRect().width") > 50
    assert (
        page.get_attribute("#audio", "src").startswith("blob:")
        and page.inner_text("#clip-name") == SAMPLE.name
    )
    page.wait_for_selector("#status:not(:empty)", state="attached")
    assert page.inner_text("#status") == "happy, 86 %"
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.verdict')).borderLeftColor")
        == "rgb(178, 143, 0)"
    )
    shot(page, "answer")


def test_the_clip_can_be_heard(open_page):
    page = open_page()
    page.set_input_files("#file", SAMPLE)
    page.wait_for_selector(".word")
    heard = page.evaluate("""async () => {
        const audio = document.getElementById("audio");
        await audio.play();
        return audio.duration;
    }""")
    assert 0.5 < heard < 3


def test_drop(open_page):
    page = open_page()
    page.evaluate(
        """async (address) => {
        const blob = await (await fetch(address)).blob();
        const data = new DataTransfer();
        data.items.add(new File([blob], "dropped.flac", { type: "audio/flac" }));
        const how = { dataTransfer: data, bubbles: true, cancelable: true };
        for (const type of ["dragenter", "dragover", "drop"])
            document.getElementById("drop").dispatchEvent(new DragEvent(type, how));
    }""",
        f"/samples/{SAMPLE.stem}",
    )
    page.wait_for_selector(".word")
    assert page.inner_text("#clip-name") == "dropped.flac" and page.locator(".over").count() == 0


def test_sample(open_page):
    page = open_page()
    page.click(".sample >> nth=1")
    page.wait_for_selector(".word")
    assert page.url.endswith("/") and page.get_attribute("#audio", "src").startswith("/samples/")
    assert page.get_attribute(".sample >> nth=1", "aria-current") == "true" and page.is_visible("#player")
    page.set_input_files("#file", SAMPLE)
    page.wait_for_selector("#audio[src^=blob]")
    assert page.locator(".sample[aria-current]").count() == 0


def test_errors_stand_beside_the_field(open_page, tmp_path):
    words, large = tmp_path / "words.txt", tmp_path / "large.wav"
    words.write_text("no sound at all " * 200)
    large.write_bytes(b"RIFF" + bytes(3 * 2**20))
    page = open_page()
    page.set_input_files("#file", words)
    page.wait_for_selector("#error:not(:empty)")
    said = page.inner_text("#error")
    assert said.endswith(".") and page.get_attribute("#file", "aria-invalid") == "true"
    page.wait_for_selector("#player", state="hidden")
    shot(page, "error")
    page.set_input_files("#file", large)
    page.wait_for_selector("#error:has-text('larger than 2 MB')")
    page.set_input_files("#file", SAMPLE)
    page.wait_for_selector(".word")
    assert page.inner_text("#error") == "" and page.get_attribute("#file", "aria-invalid") is None


def test_a_server_that_is_gone(open_page):
    page = open_page()
    page.route("**/*", lambda route: route.abort() if route.request.method == "POST" else route.continue_())
    page.set_input_files("#file", SAMPLE)
    page.wait_for_selector("#error:has-text('did not answer')")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390])
def test_phone(open_page, scheme, width):
    page = open_page(
        viewport={"width": width, "height": 800}, color_scheme=scheme, has_touch=True, is_mobile=True
    )
    assert fits(page)
    page.tap(".sample >> nth=0")
    page.wait_for_selector(".word")
    assert fits(page)
    page.wait_for_timeout(300)
    assert page.evaluate(
        "document.querySelector('.word').getBoundingClientRect().top < innerHeight"
    )  # it is in view
    shot(page, f"phone-{width}-{scheme}")


def luminance(rgb):
    parts = [c / 255 for c in rgb]
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(open_page, scheme, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("no sound at all " * 200)
    page = open_page("/?sample=plain", color_scheme=scheme)
    shot(page, f"desk-{scheme}")
    page.set_input_files("#file", words)
    page.wait_for_selector("#error:not(:empty)")
    pairs = page.evaluate("""() => [...document.querySelectorAll("h1, h2, h3, p, a, li span, strong")]
        .filter((e) => e.checkVisibility() && e.textContent.trim() && !e.matches(".skip, .quiet"))
        .map((e) => {
            let back = e, color = "rgba(0, 0, 0, 0)";
            for (; back && color === "rgba(0, 0, 0, 0)"; back = back.parentElement)
                color = getComputedStyle(back).backgroundColor;
            return [e.textContent.trim().slice(0, 30), getComputedStyle(e).color, color];
        })""")
    assert len(pairs) > 20
    for text, ink, paper in pairs:
        if not (ink.startswith("rgb(") and paper.startswith("rgb(")):
            continue
        a, b = (luminance([int(c) for c in color[4:-1].split(",")]) for color in (ink, paper))
        assert (max(a, b) + 0.05) / (min(a, b) + 0.05) >= 4.5, (text, ink, paper)


def test_keyboard_alone(open_page):
    page = open_page()
    reached = []
    for _ in range(6):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert reached[0] == "skip" and "file" in reached and "sample" in reached
    page.focus(".sample")
    page.keyboard.press("Enter")
    page.wait_for_selector(".word")


def test_without_javascript(open_page):
    page = open_page(java_script_enabled=False)
    page.set_input_files("#file", SAMPLE)
    page.click("button")
    page.wait_for_selector(".word")
    assert "86 %" in page.inner_text(".sure")
    page.click(".sample >> nth=0")
    page.wait_for_selector("#player audio")
    assert "?sample=" in page.url
    page.click("button")
    page.wait_for_selector("#error:not(:empty)")
    assert "No clip was sent" in page.inner_text("#error")
    shot(page, "no-javascript")


def test_the_card(open_page):
    page = open_page()
    page.click("nav a")
    page.wait_for_selector(".model")
    assert fits(page)
    shot(page, "model")
