"""What is done with clips, in this process or in a worker's: plain values in, plain values out."""

import numpy as np

from ser_nbdev import audio, serving

#: The kind of problem (see `problems.KINDS`) that belongs to each cause; what else cannot be read is "unreadable".
CAUSES = {
    audio.TooLong: "too-long",
    audio.NotAudio: "not-audio",
    audio.NoAudioStream: "not-audio",
    audio.TooShort: "too-short",
    audio.SilentAudio: "silent",
    audio.NotFinite: "not-finite",
}


def words():
    "What of the library the page and the description of the API speak of, as plain values."
    samples = [str(path) for path in serving.samples()]
    return {"no_speech": serving.NO_SPEECH, "most_known": serving.MOST_KNOWN, "samples": samples}


PIECE = 4.0  # seconds of a longer recording that count as one clip of its speaker


class Refused(Exception):
    "A job without a result: the kind of the problem, and its sentence."

    def __init__(self, kind, sentence):
        super().__init__(kind, sentence)
        self.kind, self.sentence = kind, sentence


def known(recognizer, adaptation):
    "The recognizer for the speaker of an adaptation, or for anybody."
    if adaptation is None:
        return recognizer
    try:
        return recognizer.with_speaker(adaptation)
    except serving.BundleError as error:
        raise Refused("adaptation", f"The adaptation is of no use here. {error}") from None


def predict(recognizer, clips, *, max_seconds, timeline=False, adaptation=None):
    "The prediction for one clip, with its timeline if it is asked for."
    who, clip = known(recognizer, adaptation), clips[0]
    p = who.predict(clip, max_seconds=max_seconds)
    answer = {
        "emotion": p.emotion,
        "confidence": float(p.confidence),
        "probabilities": {label: float(share) for label, share in p.probabilities.items()},
        "duration": float(p.duration),
        "unsure": bool(p.unsure),
    }
    if timeline:
        answer["timeline"] = [s.to_dict() for s in who.timeline(clip, max_seconds=max_seconds)]
    return answer


def adapt(recognizer, clips, *, max_seconds, adaptation=None):
    "What is known of a speaker after some clips, long ones taken piece by piece."
    who, pieces = known(recognizer, adaptation), []
    for clip in clips:
        samples = audio.load(clip, max_seconds=max_seconds)
        pieces += np.array_split(samples, max(1, round(len(samples) / (PIECE * audio.SAMPLE_RATE))))
    heard = []
    for piece in pieces:
        try:
            heard.append(who.hear(piece, audio.SAMPLE_RATE, max_seconds=max_seconds))
        except audio.SilentAudio:  # a pause in a recording that is not silent
            continue
    try:
        knows = who.adapt(heard)
    except serving.BundleError as error:
        raise Refused("cannot-adapt", f"{error}") from None
    if knows.known_by == who.known_by:
        raise Refused("no-speech", "No speech was heard in it: say something, nearer to the microphone.")
    return {"adaptation": knows.speaker()}


TASKS = {"predict": predict, "adapt": adapt}


def run(recognizer, task, clips, **how):
    "Do one of `TASKS`; raises `Refused`."
    try:
        return TASKS[task](recognizer, clips, **how)
    except audio.AudioError as error:
        kind = next((k for cause, k in CAUSES.items() if isinstance(error, cause)), "unreadable")
        raise Refused(kind, f"The clip {error.problem}") from error
