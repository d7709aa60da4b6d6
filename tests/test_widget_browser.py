"""The widget in a real browser: its own module in a bare page, which hands what it sends to the real kernel's half.

The microphone is a file. Skips where there is no Chromium."""

import base64
import re

import pytest

from ser_nbdev import audio, serving

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (it is in the dev extra)")
widget = pytest.importorskip(
    "ser_nbdev.widget", reason="anywidget is not installed (it is in the notebook extra)"
)
import test_page_browser  # noqa: E402

pytestmark = pytest.mark.skipif(test_page_browser.BROWSER is None, reason="no Chromium was found on the PATH")

PAGE = """<!doctype html><meta charset="utf-8"><main></main><script type="module">
import widget from "./widget.js";
const heed = new Set(), state = { answer: "" };
const text = (buffer) => btoa(Array.from(new Uint8Array(buffer), (b) => String.fromCharCode(b)).join(""));
const model = {
  get: (name) => state[name],
  on: (event, f) => heed.add(f), off: (event, f) => heed.delete(f),
  send: async (content, callbacks, buffers) => {
    for (const answer of await kernel(content, text(buffers[0]))) {
      if (answer === state.answer) continue;
      state.answer = answer;
      heed.forEach((f) => f());
    }
  },
};
window.leave = widget.render({ model, el: document.querySelector("main") });
</script>"""
SPY = """const open = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices);
if (open) navigator.mediaDevices.getUserMedia = async (how) => { window.how = how; return (window.stream = await open(how)); };"""


browser = test_page_browser.browser  # with the same microphone


@pytest.fixture
def open_page(browser):
    "Opens a page with the widget in it; whatever it asks for beyond its own two files fails the test."
    contexts, wrong = [], []

    def open_it(where="http://127.0.0.1:9", script=SPY):
        box = widget.ClipWidget()
        context = browser.new_context()
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda e: wrong.append(str(e)))
        page.on("request", lambda r: r.url.startswith((where, "blob:")) or wrong.append(r.url))
        page.add_init_script(script)

        def kernel(source, content, clip):
            box._handle_custom_msg(content, [memoryview(base64.b64decode(clip))])
            return ["", box.answer]

        page.expose_binding("kernel", kernel)
        files = {"/": (PAGE, "text/html"), "/widget.js": (box._esm, "text/javascript")}

        def answer(route):
            body, kind = files[re.sub("^http://[^/]*", "", route.request.url)]
            route.fulfill(body=body, content_type=kind)

        page.route(f"{where}/**", answer)
        page.goto(f"{where}/")
        page.wait_for_selector("button")
        return page, box

    yield open_it
    for context in contexts:
        context.close()
    assert not wrong


def answered(page, says=""):
    page.wait_for_function(
        "says => document.querySelector('main div').textContent.includes(says || '%')", arg=says
    )
    return page.locator("main div").first


def test_a_recording_is_heard(open_page):
    page, box = open_page()
    page.click("text=Record")
    page.wait_for_selector("text=Recording: 2 s of 30")
    page.click("text=Stop")
    answered(page)
    seconds = len(audio.load(box.clip)) / audio.SAMPLE_RATE
    assert 1.5 < seconds < 6 and box.prediction.duration == pytest.approx(seconds)
    assert box.prediction.emotion in page.inner_text("main div b")
    assert page.inner_text("[role=status]") == "" and page.inner_text("button") == "Record"
    assert page.locator("audio").is_visible()
    assert page.evaluate("stream.getTracks().map((t) => t.readyState)") == ["ended"]
    assert page.evaluate("how.audio.noiseSuppression") is False


def test_a_file_is_heard_and_the_next_one_too(open_page):
    page, box = open_page()
    for sample in (serving.samples()[0], serving.samples()[3], serving.samples()[3]):
        page.set_input_files("input", sample)
        heard = serving.Recognizer().predict(sample)
        answered(page, f"{heard.confidence:.0%}, a clip of {heard.duration:.1f} s")
        assert box.clip == sample.read_bytes()
        page.wait_for_function("!document.querySelector('[role=status]').textContent")


def test_what_is_no_sound_is_told_in_a_sentence(open_page):
    page, box = open_page()
    page.set_input_files("input", {"name": "notes.wav", "mimeType": "audio/wav", "buffer": b"no sound" * 20})
    assert answered(page, "The clip").inner_text().startswith("The clip is not audio")
    page.set_input_files("input", serving.samples()[0])
    answered(page)
    assert box.prediction


def test_what_is_too_large_is_not_sent(open_page, tmp_path):
    (tmp_path / "hour.wav").write_bytes(bytes(9_000_001))
    page, box = open_page()
    page.set_input_files("input", tmp_path / "hour.wav")
    page.wait_for_selector("text=more than 9 MB")
    assert box.clip is None


@pytest.mark.parametrize(
    "error, sentence",
    [
        ("NotFoundError", "No microphone"),
        ("NotAllowedError", "was refused"),
        ("AbortError", "could not be opened"),
    ],
)
def test_without_a_microphone_it_says_so(open_page, error, sentence):
    fails = f"navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', '{error}'))"
    page, box = open_page(script=fails)
    page.click("text=Record")
    page.wait_for_selector(f"[role=status]:has-text('{sentence}')")
    assert page.locator("button").is_enabled() and box.clip is None


def test_a_page_that_may_not_record_says_so(open_page):
    page, _ = open_page(where="http://voice.example")
    page.click("text=Record")
    page.wait_for_selector("[role=status]:has-text('only to pages of https')")


def test_a_cell_that_goes_away_lets_go_of_the_microphone(open_page):
    page, box = open_page()
    page.click("text=Record")
    page.wait_for_selector("text=Recording: 1 s of 30")
    page.evaluate("leave()")
    assert page.evaluate("stream.getTracks().map((t) => t.readyState)") == ["ended"]
    page.wait_for_timeout(300)
    assert box.clip is None
