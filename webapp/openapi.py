"""The OpenAPI 3.1 document, made of what stands beside each address: the same words that the addresses check by."""

from ser_nbdev import __version__

from .problems import KINDS, MEDIA_TYPE, PREFIX

#: Clips in one request.
MAX_FILES = 16

YES, NO = ("1", "true", "yes"), ("0", "false", "no")

#: What any request that makes a worker listen may meet, besides what is said of the address.
GATE = ("malformed", "key", "cross-site", "slow", "too-large", "too-many", "broken", "busy", "lost")
CLIP = ("no-file", "too-large")
SOUND = ("unreadable", "not-audio", "too-short", "silent", "not-finite", "too-long", "too-slow")


def ref(name):
    return {"$ref": f"#/components/schemas/{name}"}


def json_of(schema):
    return {"application/json": {"schema": schema}}


def described(
    *,
    answer,  # media type -> {"schema": ...} of status 200
    problems=(),  # kinds of `problems.KINDS` that it may have
    files=0,  # clips that it takes, at most
    query=(),  # names among `QUERY`
    fields=(),  # names among `FIELDS`
):
    "Say of a view what it takes and gives; the first line of its docstring is the summary."

    def say(view):
        view.described = dict(answer=answer, problems=problems, files=files, query=query, fields=fields)
        return view

    return say


QUERY = {
    "timeline": {
        "description": "Whether the emotion over time is wanted too.",
        "schema": {"type": "string", "enum": [*YES, *NO]},
    }
}
FIELDS = {"adaptation": ref("Adaptation")}
CLIP_FIELD = {"type": "string", "contentMediaType": "application/octet-stream"}


def schemas(
    labels,  # that answers come from
    scored,  # how many emotions the scores of a clip are for
    words,  # see `jobs.words`
):
    "What is sent and answered, as JSON Schema."
    share = {"type": "number", "minimum": 0, "maximum": 1}
    seconds = {"type": "number", "minimum": 0, "description": "seconds"}
    shares = closed({label: share for label in labels})
    emotion = {"enum": [*labels, words["no_speech"]]}
    said = {"emotion": emotion, "confidence": share, "probabilities": shares, "unsure": {"type": "boolean"}}
    segment = {"start": seconds, "end": seconds, **said, "channel": {"enum": ["left", "right", None]}}
    problem = {
        "type": {"enum": [*(PREFIX + kind for kind in KINDS), "about:blank"]},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "One sentence: what is wrong, and its cure."},
    }
    number = {"type": "number", "exclusiveMinimum": -1e6, "exclusiveMaximum": 1e6}
    row = {"type": "array", "items": number, "minItems": scored, "maxItems": scored}
    clip = {"type": "array", "items": row, "minItems": 2, "maxItems": 2}
    known = {
        "model": {"type": "string", "description": "Which model it is for."},
        "scores": {"type": "array", "items": clip, "minItems": 1, "maxItems": words["most_known"]},
        "clips": {
            "type": "integer",
            "minimum": 1,
            "maximum": words["most_known"],
            "description": "how many scores",
        },
    }
    index = {"type": "integer", "minimum": 0, "description": "Which of the clips, in the order of sending."}
    results = [closed({"index": index, name: ref(name.title())}) for name in ("prediction", "problem")]
    timeline = {"type": "array", "items": ref("Segment")}
    return {
        "Prediction": closed({**said, "duration": seconds, "timeline": timeline}, optional={"timeline"}),
        "Segment": closed(segment, optional={"channel"}),
        "Results": closed({"results": {"type": "array", "items": {"oneOf": results}}}),
        "Adaptation": closed(known),
        "Adapted": closed({"adaptation": ref("Adaptation")}),
        "Problem": closed(problem),
    }


def closed(properties, optional=()):
    "An object with these properties and no others."
    needed = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}


def body(files, fields):
    "The form that an address takes."
    clips = {"type": "array", "items": CLIP_FIELD, "minItems": 1, "maxItems": files}
    form = {"file": CLIP_FIELD if files == 1 else clips, **{name: FIELDS[name] for name in fields}}
    how = {name: {"contentType": "application/json"} for name in fields}
    content = {"schema": closed(form, optional=fields) | {"additionalProperties": True}, "encoding": how}
    return {"required": True, "content": {"multipart/form-data": content}}


def answers(answer, problems):
    "By status: what is answered."
    found = {"200": {"description": "The answer.", "content": answer}}
    after = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
    for kind in problems:
        status, title = KINDS[kind]
        entry = found.setdefault(
            str(status), {"description": "", "content": {MEDIA_TYPE: {"schema": ref("Problem")}}}
        )
        entry["description"] += f"{title} (`{kind}`). "
        if status in (429, 503):
            entry["headers"] = after
    return {status: entry | {"description": entry["description"].strip()} for status, entry in found.items()}


def operation(view, method, name, locked):
    about = view.described
    problems = about["problems"]
    found = {"operationId": name, "summary": view.__doc__.strip().splitlines()[0]}
    if about["files"]:
        problems = dict.fromkeys((*GATE, *CLIP, *problems))
        found["requestBody"] = body(about["files"], about["fields"])
        found["security"] = [{"bearer": []}, {"header": []}] if locked else []
    if about["query"]:
        found["parameters"] = [{"name": n, "in": "query", **QUERY[n]} for n in about["query"]]
    return found | {"responses": answers(about["answer"], problems)}


def document(app):
    "The document of an application."
    engine, paths = app.extensions["engine"], {}
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        if hasattr(view, "described"):
            [method] = {m.lower() for m in rule.methods} - {"head", "options"}
            name = rule.endpoint.removeprefix("api.")
            entry = operation(view, method, name, app.config["SER_KEYS"])
            paths.setdefault(rule.rule, {})[method] = entry
    keys = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ser_nbdev: what does this voice sound like?",
            "version": __version__,
            "description": "Clips are decoded in memory and kept nowhere. Every error is a problem document (RFC 9457).",
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": schemas(engine.labels, len(engine.bundle.labels), engine.words),
            "securitySchemes": keys,
        },
    }
