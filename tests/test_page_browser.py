"""The page in a real browser: headless Chromium, driven by Playwright. Skips where there is none.

The microphone is a file. `SER_SHOTS=folder pytest tests/test_page_browser.py` keeps a screenshot of each view."""

import csv
import io
import os
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from flask import request
from page_stub import SHARES, Acted, Two, served

from ser_nbdev import audio, serving
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
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--host-resolver-rules=MAP voice.example 127.0.0.1",  # an address that is neither https nor localhost
]
SAMPLE = serving.samples()[0]
SECONDS = len(audio.load(SAMPLE)) / audio.SAMPLE_RATE


class Slow(Acted):
    "Takes its time while it is told to, and remembers what it was given, and under which name."

    pause, clip, name = 0.0, None, None

    def predict(self, source, **kw):
        time.sleep(Slow.pause)
        Slow.clip, Slow.name = source, getattr(request.files.get("file"), "filename", None)
        return super().predict(source, **kw)


@pytest.fixture(scope="module")
def servers():
    unsure = Acted(SHARES | {"happy": 0.41, "sad": 0.36}, unsure=True)
    nobody = Acted(emotion=serving.NO_SPEECH, confidence=0.93)
    with (
        served(create_app(Slow(), max_bytes=2 * 2**20)) as usual,
        served(create_app(unsure)) as unsure,
        served(create_app(nobody)) as nobody,
        served(create_app(Acted(), keys=("sesame",))) as locked,
        served(create_app(Two())) as two,
    ):
        yield {"usual": usual, "unsure": unsure, "nobody": nobody, "locked": locked, "two": two}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    microphone = tmp_path_factory.mktemp("microphone") / "says.wav"
    sf.write(microphone, np.concatenate([audio.load(p) for p in serving.samples()]), audio.SAMPLE_RATE)
    with playwright.sync_playwright() as p:
        flags = [*FLAGS, f"--use-file-for-fake-audio-capture={microphone}"]
        browser = p.chromium.launch(executable_path=BROWSER, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, servers):
    "Opens the page in a context of its own; a complaint of the browser, or a foreign address, fails the test."
    contexts, wrong = [], []

    def open_it(path="/", server="usual", host=None, **kw):
        where = servers[server]
        if host:
            where = where.replace("127.0.0.1", host)
        context = browser.new_context(**kw)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda e: wrong.append(str(e)))

        def complaint(message):
            expected = re.search(
                "status of (4|503)|ERR_FAILED|ERR_INTERNET|Cross-Origin-Opener-Policy", message.text
            )
            if message.type == "error" and not expected:
                wrong.append(message.text)

        def asked(ask):
            if not ask.url.startswith((where, "blob:" + where)):
                wrong.append(ask.url)

        page.on("console", complaint)
        page.on("request", asked)
        page.goto(where + path)
        return page

    yield open_it
    Slow.pause = 0.0
    for context in contexts:
        context.close()
    assert not wrong


def shot(page, name):
    if folder := os.environ.get("SER_SHOTS"):
        page.wait_for_timeout(700)  # the bars grow
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def fits(page):
    return page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def answered(page, clip=SAMPLE):
    "Hand in a clip, and wait for the answer."
    rows = page.locator("#rows tr").count()
    page.set_input_files("#file", [])
    page.set_input_files("#file", clip)
    page.wait_for_selector(f"#rows tr:nth-child({rows + 1})")
    page.wait_for_selector("#busy", state="hidden")


def until(page, holds):
    "Wait for an expression to hold. (Playwright's own way needs `eval`, which the page forbids.)"
    for _ in range(300):
        if page.evaluate(holds):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"it never came to be that {holds}")


def position(page):
    return float(page.get_attribute("#wave", "aria-valuenow"))


# ---- giving a clip


def test_upload(open_page):
    page = open_page()
    assert page.locator("#verdict .words li").count() == 7 and not page.is_visible("#history")
    answered(page)
    assert page.inner_text(".word").lower() == "happy" and "86 %" in page.inner_text(".sure")
    assert page.locator(".bars li").count() == 7
    assert page.evaluate("document.querySelector('.bars rect').getBoundingClientRect().width") > 50
    assert page.inner_text("#status") == "happy, 86 %" and page.inner_text("#sound-name") == SAMPLE.name
    stripe = "getComputedStyle(document.querySelector('.verdict'), '::before').backgroundColor"
    assert page.evaluate(stripe) == "rgb(178, 143, 0)"
    assert page.url.endswith("/") and page.inner_text("#rows tr").split()[0] == SAMPLE.name
    assert Slow.clip == SAMPLE.read_bytes() and Slow.name == "clip"  # its name stays at home


def test_drop_of_two_clips_and_a_text(open_page):
    page = open_page()
    page.evaluate(
        """async (address) => {
        const blob = await (await fetch(address)).blob();
        const data = new DataTransfer();
        data.items.add(new File([blob], "first.flac", { type: "audio/flac" }));
        data.items.add(new File(["no sound at all"], "words.txt", { type: "text/plain" }));
        data.items.add(new File([blob], "third.flac", { type: "audio/flac" }));
        const how = { dataTransfer: data, bubbles: true, cancelable: true };
        for (const type of ["dragenter", "dragover", "drop"])
            document.getElementById("drop").dispatchEvent(new DragEvent(type, how));
    }""",
        f"/samples/{SAMPLE.stem}",
    )
    page.wait_for_selector("#rows tr:nth-child(2)")
    page.wait_for_selector("#busy", state="hidden")
    assert page.locator("#rows th").all_inner_texts() == ["third.flac", "first.flac"]
    assert page.inner_text("#error").startswith("words.txt: The clip") and page.locator(".over").count() == 0
    page.click("#rows tr:nth-child(2) .link")  # an answer of the session is shown again
    assert page.inner_text("#sound-name") == "first.flac"


def test_sample(open_page):
    page = open_page()
    page.click(".sample >> nth=1")
    page.wait_for_selector(".word")
    assert page.url.endswith("/") and page.get_attribute(".sample >> nth=1", "aria-current") == "true"
    assert not page.is_checked("#rows input")  # the samples are not one voice
    answered(page)
    assert page.locator(".sample[aria-current]").count() == 0
    other = open_page(f"/?sample={SAMPLE.stem}")
    other.wait_for_selector("#rows tr")
    assert other.inner_text("#sound-name").startswith("Sample: ")


def test_record(open_page):
    page = open_page(permissions=["microphone"])
    page.click("#record")
    until(page, "document.querySelector('#booth .level').value > 0.05")
    page.wait_for_selector("#booth .elapsed:has-text('0:02 of 2:00')")
    assert page.evaluate("document.activeElement.className") == "stop"
    shot(page, "recording")
    page.click("#booth .stop")
    page.wait_for_selector(".word")
    clip = audio.load(Slow.clip)  # what the browser recorded can be read, and is what was said
    assert 1.8 < len(clip) / audio.SAMPLE_RATE < 4 and np.abs(clip).max() > 0.1
    assert page.inner_text("#rows th") == "Recording 1" and page.is_checked("#rows input")
    bars = "[...document.querySelectorAll('#wave rect')].map(r => r.getAttribute('height'))"
    until(page, f"new Set({bars}).size > 20")
    page.click(".part >> nth=2")  # a recording of the browser's own does not say how long it is
    until(page, f"Number(document.getElementById('wave').ariaValueNow) > {0.6 * 1.8}")
    assert page.locator("#play.playing").count() == 1


def test_a_recording_can_be_discarded(open_page):
    "And then nothing has been sent."
    page, sent = open_page(permissions=["microphone"]), []
    page.on("request", lambda request: request.method == "GET" or sent.append(request.url))
    page.click("#record")
    page.wait_for_selector("#booth .elapsed:has-text('0:01')")
    page.keyboard.press("Escape")
    page.wait_for_selector("#record")
    assert not page.is_visible("#booth") and not page.is_visible("#history")
    assert page.evaluate("document.activeElement.id") == "record" and not sent


def test_a_microphone_that_is_not_to_be_had(open_page):
    page = open_page()
    for name, words in [
        ("NotAllowedError", "refused"),
        ("NotFoundError", "No microphone"),
        ("AbortError", "another program"),
    ]:
        page.evaluate(
            "name => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', name)); }",
            name,
        )
        page.click("#record")
        page.wait_for_selector(f"#error:has-text('{words}')")
        assert page.is_visible("#record")


def test_where_the_browser_gives_no_microphone_the_page_says_why(open_page):
    page = open_page(host="voice.example")
    assert page.is_disabled("#record") and "https" in page.inner_text("#record-note")
    assert not page.is_visible("#learn-speak")
    answered(page)
    assert page.inner_text(".word").lower() == "happy"
    shot(page, "insecure")


# ---- the emotion over time


def test_a_part_is_heard_alone(open_page, tmp_path):
    clip, sound = tmp_path / "three.wav", np.concatenate([audio.load(p) for p in serving.samples()[:3]])
    sf.write(clip, sound, audio.SAMPLE_RATE)
    seconds = len(sound) / audio.SAMPLE_RATE
    page = open_page()
    answered(page, clip)
    parts = page.locator(".part")
    assert parts.count() == 3 and page.locator("#parts li").count() == 3
    assert parts.nth(2).get_attribute("aria-label") == "0:01.9 to 0:03.2: sad, 41 %, unsure"
    colours = page.locator("#wave rect").evaluate_all("all => all.map(r => r.className.baseVal)")
    assert colours[0] == "e-happy" and colours[-1] == "e-sad unsure" and len(colours) > 50
    parts.nth(2).click()
    page.wait_for_selector("#play.playing")
    assert position(page) >= 0.6 * seconds - 0.05
    assert page.locator("#wave rect.outside").count() > 30
    page.wait_for_selector("#play:not(.playing)")
    parts.nth(0).click()
    page.wait_for_selector("#play.playing")
    page.wait_for_selector("#play:not(.playing)")
    assert abs(position(page) - 0.5 * seconds) < 0.2  # it ends where the part does
    assert page.locator("#wave rect.outside").count() == 0
    page.click("#wave", position={"x": page.locator("#wave").bounding_box()["width"] * 0.8, "y": 20})
    page.wait_for_selector("#play.playing")
    page.wait_for_selector("#play:not(.playing)")
    assert abs(position(page) - seconds) < 0.1


def test_two_speakers_have_a_strip_each(open_page):
    page = open_page(server="two")
    answered(page)
    strips = page.locator(".strip")
    labels = strips.evaluate_all("all => all.map(s => s.ariaLabel)")
    assert labels == ["Emotion over time, left channel", "Emotion over time, right channel"]
    assert strips.nth(0).locator(".part").count() == 1 and strips.nth(1).locator(".part").count() == 2
    page.click("summary")
    assert "right" in page.inner_text("#parts li >> nth=1")


def test_a_long_recording_is_scrolled(open_page, tmp_path):
    long = tmp_path / "long.ogg"
    sf.write(long, np.tile(audio.load(SAMPLE), 120), audio.SAMPLE_RATE)
    page = open_page()
    answered(page, long)
    wide, seen = page.evaluate("['reel', 'window'].map(id => document.getElementById(id).clientWidth)")
    assert wide > seen + 200 and fits(page) and page.inner_text("#ticks").startswith("0:00")
    page.locator(".part >> nth=2").click()
    until(page, "document.getElementById('window').scrollLeft > 100")
    until(page, f"Number(document.getElementById('wave').ariaValueNow) > {0.6 * 120 * SECONDS}")


def test_what_the_browser_cannot_decode_has_an_answer_all_the_same(open_page, tmp_path):
    telephone = tmp_path / "old.au"
    sf.write(telephone, audio.load(SAMPLE), audio.SAMPLE_RATE, format="AU", subtype="PCM_16")
    page = open_page()
    answered(page, telephone)
    page.wait_for_selector("#unplayable")
    assert page.inner_text(".word").lower() == "happy" and page.is_disabled("#play")
    assert page.locator("#wave rect.e-happy").count() > 20  # flat, and in colour


# ---- what goes wrong


def test_errors_stand_beside_the_field(open_page, tmp_path):
    words, large = tmp_path / "words.txt", tmp_path / "large.wav"
    words.write_text("no sound at all " * 200)
    large.write_bytes(b"RIFF" + bytes(3 * 2**20))
    page = open_page()
    answered(page)
    page.set_input_files("#file", words)
    page.wait_for_selector("#error:not(:empty)")
    said = page.inner_text("#error")
    assert said.endswith(".") and page.get_attribute("#file", "aria-invalid") == "true"
    page.wait_for_selector("#sound", state="hidden")
    assert page.locator("#verdict .word").count() == 0  # no other clip's answer stands beside it
    page.set_input_files("#file", large)
    page.wait_for_selector("#error:has-text('larger than 2 MB')")
    answered(page)
    assert page.inner_text("#error") == "" and page.get_attribute("#file", "aria-invalid") is None


def test_a_server_that_is_gone(open_page):
    page = open_page()
    page.route("**/*", lambda route: route.abort() if route.request.method == "POST" else route.continue_())
    page.set_input_files("#file", SAMPLE)
    page.wait_for_selector("#error:has-text('did not answer')")


def test_a_server_that_is_busy_is_asked_again(open_page):
    page, asked = open_page(), []

    def busy_once(route):
        if route.request.method != "POST" or asked:
            return route.continue_()
        asked.append(route)
        route.fulfill(
            status=503, headers={"Retry-After": "1", "Content-Type": "text/html"}, body="<h1>Full.</h1>"
        )

    page.route("**/*", busy_once)
    page.set_input_files("#file", SAMPLE)
    page.wait_for_selector("#busy:has-text('asked again in 1 s')")
    page.wait_for_selector(".word")
    assert asked and page.inner_text("#error") == ""


def test_progress_and_a_way_out(open_page):
    page = open_page()
    Slow.pause = 3
    page.set_input_files("#file", SAMPLE)
    page.wait_for_selector("#busy:has-text('Listening…')")
    assert SAMPLE.name in page.inner_text("#busy") and page.get_attribute("#answer", "aria-busy") == "true"
    page.click("#busy .cancel")
    page.wait_for_selector("#record")
    assert page.inner_text("#status") == "Cancelled." and page.inner_text("#error") == ""
    assert not page.is_visible("#history") and page.get_attribute("#answer", "aria-busy") is None
    Slow.pause = 0
    answered(page)


def test_a_server_with_keys(open_page):
    page = open_page(server="locked")
    assert not page.is_visible("#key")
    page.set_input_files("#file", SAMPLE)
    page.wait_for_selector("#error:has-text('key')")
    page.fill("#key", "sesame")
    answered(page)
    page.reload()
    assert page.input_value("#key") == "sesame"


# ---- a voice that is known, and the session


def test_a_voice_is_learnt_from_speech_and_forgotten(open_page):
    page = open_page(permissions=["microphone"])
    answered(page)
    page.click("#learn-speak")
    page.wait_for_selector("#voice-booth .elapsed:has-text('0:01 of 0:20')")
    page.click("#voice-booth .stop")
    page.wait_for_selector("#known:has-text('Knows this voice from one clip')")
    page.wait_for_selector(".word:has-text('fear')")  # the answer that is looked at is made anew
    assert page.inner_text(".knows") == "It knows this voice from one clip."
    assert page.locator("#rows tr").count() == 1 and "Fear" in page.inner_text("#rows tr")
    page.click("nav a")
    page.click(".brand")
    page.wait_for_selector("#known")  # it lives as long as the tab
    answered(page)
    assert page.inner_text(".word").lower() == "fear"
    remembered = "const k = 'ser.voice', voice = JSON.parse(sessionStorage.getItem(k));"
    other = page.evaluate(
        f"(() => {{ {remembered} return JSON.stringify({{ ...voice, model: 'older' }}); }})()"
    )
    page.click("#forget")
    page.wait_for_selector(".word:has-text('happy')")
    assert page.is_visible("#learn-speak") and page.evaluate("sessionStorage.getItem('ser.voice')") is None
    assert page.evaluate("localStorage.length") == 0 and not page.context.cookies()
    page.evaluate("voice => sessionStorage.setItem('ser.voice', voice)", other)
    page.reload()  # what was learnt by a model that is gone is of no use
    assert page.is_visible("#learn-speak") and not page.is_visible("#known")


def test_a_voice_is_learnt_from_the_clips_of_the_session(open_page):
    page = open_page()
    assert page.is_disabled("#learn-clips")
    answered(page)
    page.click(".sample >> nth=2")
    page.wait_for_selector("#rows tr:nth-child(2)")
    answered(page)
    assert page.inner_text("#learn-clips") == "Use the 2 ticked clips"
    page.uncheck("#rows tr:nth-child(3) input")
    assert page.inner_text("#learn-clips") == "Use the ticked clip"
    page.check("#rows tr:nth-child(2) input")
    page.click("#learn-clips")
    page.wait_for_selector("#known:has-text('from 2 clips')")


def test_a_voice_that_says_nothing_is_not_learnt(open_page, tmp_path):
    page = open_page()
    answered(page)
    page.route(
        "**/v1/adapt",
        lambda route: route.fulfill(
            status=422,
            content_type="application/problem+json",
            body='{"detail": "No speech was heard in it."}',
        ),
    )
    page.click("#learn-clips")
    page.wait_for_selector("#voice-error:has-text('No speech was heard in it.')")
    assert page.is_visible("#stranger") and page.inner_text("#error") == ""


def test_the_session_can_be_taken_home(open_page, tmp_path):
    odd = tmp_path / '=1+1, "quoted" <img src=x>.flac'
    odd.write_bytes(SAMPLE.read_bytes())
    page = open_page()
    answered(page)
    answered(page, odd)
    assert page.inner_text("#rows th >> nth=0") == odd.name and page.locator("#rows img").count() == 0
    with page.expect_download() as got:
        page.click("#csv")
    assert got.value.suggested_filename == "emotions.csv"
    rows = list(csv.DictReader(io.StringIO(Path(got.value.path()).read_text(encoding="utf-8"))))
    assert [r["clip"] for r in rows] == [SAMPLE.name, "'" + odd.name]  # in order, and no formula
    assert rows[0]["emotion"] == "happy" and rows[0]["unsure"] == "false" and rows[0]["known_by"] == "0"
    assert float(rows[0]["confidence"]) == SHARES["happy"] and float(rows[0]["sad"]) == SHARES["sad"]
    assert abs(float(rows[0]["seconds"]) - SECONDS) < 0.01
    page.reload()
    assert page.locator("#rows tr").count() == 2 and page.locator("#rows .link").count() == 0
    page.click("#clear")
    assert not page.is_visible("#history") and page.evaluate("sessionStorage.getItem('ser.history')") == "[]"


# ---- whoever looks at it, and with what


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390])
def test_phone(open_page, scheme, width):
    how = dict(viewport={"width": width, "height": 800}, color_scheme=scheme, has_touch=True, is_mobile=True)
    page = open_page(**how, permissions=["microphone"])
    assert fits(page)
    page.tap("#record")
    page.wait_for_selector("#booth")
    assert fits(page)
    page.tap("#booth .discard")
    page.tap(".sample >> nth=0")
    page.wait_for_selector("#rows tr")
    until(page, "document.querySelector('.word').getBoundingClientRect().top < innerHeight")
    page.tap("summary")
    assert fits(page)
    papers = {"light": "rgb(247, 245, 241)", "dark": "rgb(20, 20, 24)"}
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == papers[scheme]
    shot(page, f"phone-{width}-{scheme}")


def test_keyboard_alone(open_page):
    page = open_page(permissions=["microphone"])
    reached = []
    for _ in range(6):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert reached == ["skip", "brand", "", "record", "file", "sample"]
    page.focus("#record")
    page.keyboard.press("Enter")
    page.wait_for_selector("#booth .elapsed:has-text('0:01')")
    page.keyboard.press("Enter")  # on Stop, which has the focus
    page.wait_for_selector(".word")
    page.wait_for_selector("#busy", state="hidden")
    assert page.evaluate("document.activeElement.id") == "record"
    page.focus("#wave")
    page.keyboard.press("End")
    until(
        page,
        "(w => w.ariaValueMax > 0 && w.ariaValueMax - w.ariaValueNow < 0.2)(document.getElementById('wave'))",
    )
    assert page.get_attribute("#wave", "aria-valuetext").startswith("0:01")
    page.keyboard.press("Home")
    until(page, "Number(document.getElementById('wave').ariaValueNow) === 0")
    page.keyboard.press("Tab")
    assert "happy" in page.evaluate("document.activeElement.ariaLabel")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert "sad" in page.evaluate("document.activeElement.ariaLabel") and "sad" in page.inner_text("#readout")
    page.keyboard.press("Enter")
    page.wait_for_selector("#play.playing")
    assert position(page) > 0
    page.keyboard.press("Tab")  # one stop for the whole strip
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_without_javascript(open_page):
    page = open_page(java_script_enabled=False)
    assert not page.is_visible("#record") and not page.is_visible("#voice")
    page.set_input_files("#file", SAMPLE)
    page.click("button:visible")
    page.wait_for_selector(".word")
    assert "86 %" in page.inner_text(".sure")
    page.click("summary")
    assert "sad" in page.inner_text("#parts li >> nth=2").lower()
    page.click(".sample >> nth=0")
    page.wait_for_selector(".player audio")
    assert "?sample=" in page.url
    page.click("button:visible")
    page.wait_for_selector("#error:not(:empty)")
    assert "No clip was sent" in page.inner_text("#error")
    shot(page, "no-javascript")


def test_offline_everything_but_the_answer_is_there(open_page):
    page = open_page()
    answered(page)
    page.context.set_offline(True)
    page.set_input_files("#file", [])
    page.set_input_files("#file", SAMPLE)
    page.wait_for_selector("#error:has-text('did not answer')")
    page.click("#rows .link")
    page.click(".part >> nth=0")
    page.wait_for_selector("#play.playing")
    fonts = page.evaluate("[...document.fonts].filter(f => f.status === 'loaded').map(f => f.family)")
    assert len(fonts) == 2


def test_no_motion_for_those_who_want_none(open_page):
    page = open_page(reduced_motion="reduce", permissions=["microphone"])
    page.click("#record")
    until(page, "document.querySelector('#booth .level').value > 0.05")
    page.wait_for_selector("#booth .elapsed:has-text('0:01')")
    page.click("#booth .stop")
    page.wait_for_selector(".word")
    assert page.evaluate("document.getAnimations().length") == 0


# ---- axe-core


def axe(page, view, dark=False):
    "Fails for what axe-core calls serious or critical: all of its rules in light, in dark those about colour."
    from axe_playwright_python.sync_playwright import Axe

    colour = {"runOnly": ["color-contrast", "link-in-text-block"]}
    for scheme, rules in (("light", {}), ("dark", colour))[: 1 + dark]:
        page.emulate_media(color_scheme=scheme)
        until(page, "document.getAnimations().every(a => a.playState !== 'running')")
        found = Axe().run(page, options={"resultTypes": ["violations"], **rules}).response
        assert found["passes"]
        bad = [v for v in found["violations"] if v["impact"] in ("serious", "critical")]
        told = [(v["id"], [n["html"][:150] for n in v["nodes"]]) for v in bad]
        assert not bad, (view, scheme, told)


def test_axe_finds_nothing_serious(open_page, tmp_path):
    pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed (dev extra)")
    words = tmp_path / "words.txt"
    words.write_text("no sound at all " * 200)
    page = open_page(permissions=["microphone"])
    axe(page, "empty", dark=True)
    page.click("#record")
    page.wait_for_selector("#booth .elapsed:has-text('0:01')")
    axe(page, "recording", dark=True)
    page.click("#booth .stop")
    page.wait_for_selector("#rows tr")
    page.click("summary")
    axe(page, "answer")
    page.click("#learn-clips")
    page.wait_for_selector(".knows")
    page.wait_for_selector("#busy", state="hidden")
    axe(page, "known", dark=True)
    page.set_input_files("#file", words)
    page.wait_for_selector("#error:not(:empty)")
    axe(page, "error", dark=True)
    for server in ("unsure", "nobody"):
        page = open_page(server=server)
        answered(page)
        axe(page, server, dark=True)
    phone = dict(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = open_page(**phone)
    answered(page)
    axe(page, "phone")
    for path in ("/model", "/nowhere"):
        axe(open_page(path), path)


def test_axe_while_it_works_and_where_there_is_no_microphone(open_page):
    pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed (dev extra)")
    page = open_page(host="voice.example", reduced_motion="reduce")
    Slow.pause = 3
    page.set_input_files("#file", SAMPLE)
    page.wait_for_selector("#busy:has-text('Listening…')")
    axe(page, "working", dark=True)


def test_unsure_and_no_speech_explain_themselves(open_page):
    page = open_page(server="unsure")
    answered(page)
    why = page.inner_text(".why").replace("\xa0", " ")
    assert "41 % is less than the 50 %" in why and "Sad comes next with 36 %" in why
    assert page.inner_text("#status") == "unsure: happy, 41 %" and "unsure" in page.inner_text("#rows tr")
    page = open_page(server="nobody")
    answered(page)
    assert "names no emotion" in page.inner_text(".why") and page.inner_text(".word").lower() == "no speech"
    assert page.locator(".verdict[class*='e-']").count() == 0


def test_the_card_is_a_click_away(open_page):
    page = open_page()
    page.click("nav a")
    page.wait_for_selector(".model")
    assert fits(page)
    shot(page, "model")
