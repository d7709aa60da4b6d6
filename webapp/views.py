"""The addresses of the service, each a few lines."""

from flask import Blueprint, Response, abort, current_app, jsonify, render_template, request, send_file
from markupsafe import Markup
from werkzeug.exceptions import RequestEntityTooLarge

from ser_nbdev import audio, serving
from ser_nbdev.emotions import COLORS

views = Blueprint("views", __name__)

#: The status that belongs to each cause; what else cannot be read is 400.
STATUS = {
    audio.TooLong: 413,
    audio.NotAudio: 415,
    audio.NoAudioStream: 415,
    audio.TooShort: 422,
    audio.SilentAudio: 422,
    audio.NotFinite: 422,
}


class Refused(Exception):
    "A clip that gets no answer: the status and the sentence that says why."

    def __init__(self, status, sentence):
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


def recognizer():
    return current_app.extensions["recognizer"]()


def samples():
    "The bundled clips by name. A client picks a name out of this, and never a path."
    return {path.stem: path for path in serving.samples()}


def too_large():
    size = current_app.config["SER_MAX_BYTES"] / 2**20
    return (
        f"The clip is larger than {size:.3g} MB, the limit here: "
        "send a shorter one, or a compressed one such as mp3 or ogg."
    )


def uploaded():
    "The bytes in the form field `file`."
    try:
        file = request.files.get("file")
    except RequestEntityTooLarge:
        raise Refused(413, too_large()) from None
    if file is None or not (file.filename or file.stream.getbuffer().nbytes):
        raise Refused(400, "No clip was sent: choose a file, or send it in the form field named file.")
    data = file.stream.getvalue()
    if len(data) > current_app.config["SER_MAX_BYTES"]:
        raise Refused(413, too_large())
    return data


def judge(source):
    "The prediction for a clip, as bytes or as the path of a sample."
    try:
        return recognizer().predict(source, max_seconds=current_app.config["SER_MAX_SECONDS"])
    except audio.AudioError as error:
        status = next((s for cause, s in STATUS.items() if isinstance(error, cause)), 400)
        raise Refused(status, f"The clip {error.problem}") from error


@views.post("/predict")
def predict():
    "The answer for programs: JSON with `emotion, confidence, probabilities, duration, unsure`, or with `error`."
    try:
        p = judge(uploaded())
    except Refused as no:
        return jsonify(error=no.sentence), no.status
    return jsonify(
        emotion=p.emotion,
        confidence=float(p.confidence),
        duration=float(p.duration),
        probabilities={label: float(share) for label, share in p.probabilities.items()},
        unsure=bool(p.unsure),
    )


@views.route("/", methods=["GET", "POST"])
def home():
    "The page. A form that is sent here, or a sample that is asked for, gives the page with the answer in it."
    prediction = error = None
    status, sample = 200, request.args.get("sample") if request.method == "GET" else None
    there = samples()
    try:
        if request.method == "POST":
            prediction = judge(uploaded())
        elif sample is not None:
            prediction = judge(there.get(sample) or abort(404))
    except Refused as no:
        error, status = no.sentence, no.status
    return (
        render_template(
            "index.html",
            p=prediction,
            no_speech=serving.NO_SPEECH,
            error=error,
            samples=there,
            sample=sample,
            too_large=too_large(),
            max_bytes=current_app.config["SER_MAX_BYTES"],
            max_seconds=current_app.config["SER_MAX_SECONDS"],
        ),
        status,
    )


@views.get("/samples/<name>")
def sample(name):
    "A bundled clip, to be heard."
    path = samples().get(name) or abort(404)
    return send_file(path, conditional=True)


def rendered(markdown):
    "Markdown as HTML; HTML in it is shown, not obeyed, and alignment becomes a class."
    from markdown_it import MarkdownIt

    md = MarkdownIt("js-default")
    tokens = md.parse(markdown)
    for token in tokens:
        if style := token.attrs.pop("style", None):
            token.attrSet("class", str(style).replace("text-align:", "to-"))
    return Markup(md.renderer.render(tokens, md.options, {}))


@views.get("/model")
def model():
    "The card of the bundle that answers, as its author wrote it."
    text = (recognizer().bundle.folder / "card.md").read_text(encoding="utf-8")
    return render_template("model.html", card=rendered(text))


@views.get("/emotions.css")
def emotions_css():
    "One class a label, with its colour; a style sheet, because the page allows no inline style."
    rules = "\n".join(f".e-{label} {{ --emotion: {color}; }}" for label, color in COLORS.items())
    return Response(rules + "\n", mimetype="text/css", headers={"Cache-Control": "max-age=3600"})


@views.get("/healthz")
def healthz():
    "Whether the process answers."
    return jsonify(status="ok")


@views.app_template_global()
def bundle():
    "The bundle that answers."
    return recognizer().bundle


@views.app_template_global()
def labels():
    "The emotions that it chooses from."
    return recognizer().labels


@views.app_template_filter()
def lasting(seconds):
    "A duration for people: 1.4 s, 45 s, 10 minutes."
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.3g} minutes"


@views.app_template_filter()
def percent(share):
    "A share for people; only certainty itself is called 100 %."
    return "> 99 %" if 0.995 <= share < 1 else "< 1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"
