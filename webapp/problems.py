"""Everything that can go wrong, in one table, and how it is said: RFC 9457 problem documents, or a page for people."""

from flask import current_app, jsonify, render_template, request

#: Kind: (status, title). The kind is the end of the document's `type`; programs tell problems apart by it.
KINDS = {
    "malformed": (400, "The request cannot be understood"),
    "no-file": (400, "No clip was sent"),
    "unreadable": (400, "The clip cannot be decoded"),
    "adaptation": (400, "The adaptation is not one of this service"),
    "key": (401, "A key is needed"),
    "cross-site": (403, "The request comes from another site"),
    "not-found": (404, "There is nothing here"),
    "method": (405, "This address does not take that kind of request"),
    "slow": (408, "The request took too long to arrive"),
    "too-large": (413, "Too many bytes"),
    "too-long": (413, "The clip lasts too long"),
    "too-slow": (413, "The clip takes too long to read"),
    "not-audio": (415, "This is not audio"),
    "too-short": (422, "The clip is too short"),
    "silent": (422, "The clip is silent"),
    "not-finite": (422, "The samples are not numbers"),
    "no-speech": (422, "There is no speech to be heard"),
    "cannot-adapt": (422, "The model cannot adapt"),
    "too-many": (429, "Too many requests"),
    "broken": (500, "Something went wrong on the server"),
    "busy": (503, "The server is busy"),
    "lost": (503, "The work was lost"),
    "stopping": (503, "The server is stopping"),
}

PREFIX = "urn:ser-nbdev:problem:"
MEDIA_TYPE = "application/problem+json"

#: What is said of an HTTP status that comes without a sentence of ours.
SENTENCES = {
    400: ("malformed", "The request could not be understood."),
    404: ("not-found", "There is no such page here."),
    405: ("method", "This address does not take that kind of request."),
    413: ("too-large", "The request is larger than this server takes."),
    500: (
        "broken",
        "Something went wrong on the server, and the reason is in its log. The clip was not kept.",
    ),
}


class Problem(Exception):
    "A request that gets no answer: its kind, and the sentence that says what to do."

    def __init__(
        self,
        kind: str,  # one of `KINDS`
        sentence: str,  # for people: what is wrong, and its cure
        retry_after: int | None = None,  # seconds after which to try again
    ):
        super().__init__(sentence)
        self.kind, self.sentence, self.retry_after = kind, sentence, retry_after
        self.type, (self.status, self.title) = PREFIX + kind, KINDS[kind]

    @property
    def headers(self):
        found = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return found | ({"WWW-Authenticate": "Bearer"} if self.kind == "key" else {})

    def to_dict(self) -> dict:  # the document of RFC 9457
        return dict(type=self.type, title=self.title, status=self.status, detail=self.sentence)


def from_status(status, name):
    "The problem for a bare HTTP status, with the name that HTTP has for it."
    if status in SENTENCES:
        return Problem(*SENTENCES[status])
    problem = Problem("malformed", f"{name}.")
    problem.type, problem.status, problem.title = "about:blank", status, name
    return problem


def document(problem):
    "A problem as JSON, whoever asks."
    reply = jsonify(problem.to_dict())
    reply.status_code, reply.mimetype = problem.status, MEDIA_TYPE
    reply.headers.update(problem.headers)
    return reply


def wants_json():
    "Whether the client is a program: it asked for the API, or prefers JSON to HTML."
    rules = current_app.url_map.iter_rules()
    if request.path.startswith("/v1/") or request.path in {
        r.rule for r in rules if r.endpoint.startswith("api.")
    }:
        return True
    accept = request.accept_mimetypes
    return accept["application/json"] > accept["text/html"]


def say(problem):
    "A problem as JSON or as a page, as the client prefers."
    if wants_json():
        return document(problem)
    page = render_template("error.html", sentence=problem.sentence, status=problem.status)
    return page, problem.status, problem.headers
