"The kernel's half of the widget: bytes in, HTML out. The browser's half is in test_widget_browser.py."

import subprocess
import sys

import pytest
from bs4 import BeautifulSoup
from test_webapp import BAD

from ser_nbdev import serving

widget = pytest.importorskip(
    "ser_nbdev.widget", reason="anywidget is not installed (it is in the notebook extra)"
)


def send(to, *clips, kind="clip"):
    "As the browser does."
    to._handle_custom_msg({"kind": kind}, [memoryview(clip) for clip in clips])


@pytest.fixture(scope="module")
def box():
    return widget.ClipWidget()


def test_a_clip_is_answered(box):
    clip = serving.samples()[0].read_bytes()
    send(box, clip)
    assert box.prediction == serving.Recognizer().predict(clip) and box.clip == clip
    assert box.answer == box.prediction._repr_html_()
    assert "answer" in box.keys and "clip" not in box.keys  # what the browser is told


@pytest.mark.parametrize("bad", [kind for kind in BAD if kind != "too long"])
def test_what_cannot_be_heard_is_a_sentence(box, bad):
    send(box, serving.samples()[0].read_bytes())
    send(box, BAD[bad][0])
    said = BeautifulSoup(box.answer, "html.parser").get_text()
    assert said.startswith("The clip ") and said.endswith(".") and box.prediction is None


def test_other_messages_are_left_alone(box):
    send(box, serving.samples()[0].read_bytes())
    was = box.answer
    send(box, b"x", kind="anywidget-command")
    send(box)
    assert box.answer == was


def test_the_recognizer_that_is_given_answers():
    known = serving.Recognizer().adapt(serving.samples()[:3])
    box = widget.ClipWidget(known)
    send(box, serving.samples()[3].read_bytes())
    assert box.prediction == known.predict(serving.samples()[3])


def test_nothing_comes_from_elsewhere(box):
    assert "import " not in box._esm.replace("export default", "") and "http" not in box._esm.replace(
        "https or of", ""
    )


def test_without_anywidget_it_says_what_to_install():
    code = "import sys; sys.modules['anywidget'] = None\nimport ser_nbdev.widget"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "pip install 'ser_nbdev[notebook]'" in run.stderr.splitlines()[-1], run.stderr
