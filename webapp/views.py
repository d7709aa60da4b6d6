"""The page: the addresses for people, each a few lines."""

import json
from pathlib import Path

from flask import Blueprint, Response, abort, current_app, render_template, request, send_file, url_for
from markupsafe import Markup

from ser_nbdev.emotions import COLORS

from .api import judge, sent_adaptation, too_large, uploaded
from .problems import Problem

views = Blueprint("views", __name__)

#: Every word of the page. The templates have them as `t`, the scripts as the module `texts.js`.
TEXTS = json.loads((Path(__file__).parent / "static/texts.json").read_text(encoding="utf-8"))


def recognizer():
    return current_app.extensions["engine"]


def samples():
    "The bundled clips by name. A client picks a name out of this, and never a path."
    return {path.stem: path for path in map(Path, recognizer().words["samples"])}


@views.route("/", methods=["GET", "POST"])
def home():
    "The page. A form that is sent here, or a sample that is asked for, gives the page with the answer in it."
    prediction = error = known = None
    status, headers = 200, {}
    sample = request.args.get("sample") if request.method == "GET" else None
    there = samples()
    try:
        if request.method == "POST":
            clip, known = uploaded()[0], sent_adaptation()
            prediction = overall(judge(clip, timeline=True, adaptation=known))
        elif sample is not None:
            prediction = overall(judge((there.get(sample) or abort(404)).read_bytes(), timeline=True))
    except Problem as no:
        error, status, headers = no.sentence, no.status, no.headers
    page = render_template(
        "index.html",
        p=prediction,
        known=known and known["clips"],
        no_speech=recognizer().words["no_speech"],
        error=error,
        samples=there,
        sample=sample,
        adapt_address=url_for("api.adapt"),
        too_large=too_large(),
        max_bytes=current_app.config["SER_MAX_BYTES"],
        max_seconds=current_app.config["SER_MAX_SECONDS"],
    )
    return page, status, headers


def overall(answer):
    """What the page says of a whole clip. Of several parts it is their mean by duration, so that the word in large letters
    fits the parts beneath it; `parts` says how many there are."""
    nobody = recognizer().words["no_speech"]
    spoken = [s for s in answer["timeline"] if s["emotion"] != nobody]
    if len(spoken) < (1 if answer["emotion"] == nobody else 2):
        return {**answer, "parts": 1}
    weights = [s["end"] - s["start"] for s in spoken]
    mean = {
        label: sum(w * s["probabilities"][label] for w, s in zip(weights, spoken)) / sum(weights)
        for label in answer["probabilities"]
    }
    best = max(mean, key=mean.get)
    heard = {"emotion": best, "confidence": mean[best], "probabilities": mean, "parts": len(spoken)}
    return {**answer, **heard, "unsure": mean[best] < bundle().threshold}


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
    html = md.renderer.render(tokens, md.options, {})
    # what is wider than the page is scrolled, and by keyboard too
    html = html.replace("<pre>", '<pre tabindex="0">').replace("</table>", "</table></div>")
    return Markup(html.replace("<table>", '<div class="wide-table" tabindex="0"><table>'))


@views.get("/model")
def model():
    "The card of the bundle that answers, as its author wrote it."
    text = recognizer().bundle.card_md()
    return render_template("model.html", card=rendered(text))


@views.get("/emotions.css")
def emotions_css():
    "One class a label, with its colour; a style sheet, because the page allows no inline style."
    day = "".join(f".e-{label} {{ --emotion: {color}; }}\n" for label, color in COLORS.items())
    night = "".join(
        f"  .e-{label} {{ --emotion: color-mix(in srgb, {color} 75%, white); }}\n"
        for label, color in COLORS.items()
    )
    rules = f"{day}@media (prefers-color-scheme: dark) {{\n{night}}}\n"
    return Response(rules, mimetype="text/css", headers={"Cache-Control": "max-age=3600"})


@views.get("/texts.js")
def texts_js():
    "The words of the page, for its scripts."
    answer = Response(f"export default {json.dumps(TEXTS)};\n", mimetype="text/javascript")
    answer.headers["Cache-Control"] = "no-cache"
    answer.add_etag()
    return answer.make_conditional(request)


@views.app_context_processor
def texts():
    return {"t": TEXTS}


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


@views.app_template_filter()
def clock(seconds, fine=False):
    "A time within a clip: 0:07, 12:30, 1:02:03; `fine`: 0:07.4."
    tenths = int(10 * seconds + 0.5) if fine else 10 * int(seconds)
    whole = tenths // 10
    hours, minutes, seconds = whole // 3600, whole // 60 % 60, whole % 60
    text = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    return f"{text}.{tenths % 10}" if fine else text


@views.app_template_filter()
def word(emotion):
    "A label in the language of the page."
    return TEXTS["emotions"].get(emotion, emotion)


@views.app_template_global()
def plural(forms, n):
    "The form that belongs to a number, with the number in it."
    return forms["one" if n == 1 else "other"].format(n=n)
