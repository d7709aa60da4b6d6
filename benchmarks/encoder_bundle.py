"""Make the encoder that ships: fine-tune it on every corpus, teach it what is no speech, calibrate, convert, write the card.

    SER_DATA_DIR=... python benchmarks/encoder_bundle.py [--out ser_nbdev/bundles/speech-encoder] [--folder runs/unseen]

The figures on the card are those of results/unseen.json and results/robustness.json, where the same recipe was trained and
tested fold by fold; from these held-out scores come adaptation and calibration too. About a quarter of an hour on one core,
if frames are in the cache; goes on where it was killed. Whether the bundle answers what Keras answers is counted over all clips.
"""

import argparse
from pathlib import Path

from common import RESULTS, pin_threads, store

pin_threads(1)

import numpy as np  # noqa: E402
import tables  # noqa: E402
from unseen import tests  # noqa: E402

from ser_nbdev import corpora, finetuning, serving  # noqa: E402
from ser_nbdev.adaptation import Adaptation  # noqa: E402
from ser_nbdev.audio import load  # noqa: E402
from ser_nbdev.augmentation import NOT_SPEECH, not_speech  # noqa: E402
from ser_nbdev.features import FeatureCache  # noqa: E402

LIMITS = (
    "It learnt from acted speech: 38 people who were asked to sound angry or sad in a studio. What people sound like who "
    "are angry or sad it has not heard.",
    "English, German and Italian voices only, all of adults.",
    "On a corpus and a language that it has never heard it is wrong in more than half of the clips, and far too sure of itself: see EMOVO.",
    "It judges up to 4 s at a time, one speaker at a time. Two people who talk at once are heard as one.",
    "What is no speech it knows from synthetic noises, tones, engines and simple music. Recorded music and song it may take for speech.",
)


def speech_apart(table, folder, cache, clips=400):
    "How often speech of people never heard is taken for none, and kinds of sound never heard for speech."
    split = tests(table)["fold1"][0]
    tuned = finetuning.tune(split.train, finetuning.Tuning(), folder / "fold1", cache=cache, progress=False)
    people = finetuning.cast(split.train, tuned.recipe, cache=cache, progress=False)
    missed, rng = {}, np.random.default_rng(7)
    for half in (NOT_SPEECH[::2], NOT_SPEECH[1::2]):
        listening = finetuning.detect_speech(tuned, people, kinds=half)
        for kind in sorted(set(NOT_SPEECH) - set(half)):
            sounds = [not_speech(kind, rng, rng.uniform(1, 4)) for _ in range(20)]
            missed[kind] = float(np.mean(listening.hear(sounds)[1] > 0))
    listening = finetuning.detect_speech(tuned, people)
    heard = split.test.sample(min(clips, len(split.test)), random_state=0)
    spoken = listening.hear([load(p) for p in heard.path])[1]
    return {
        "taken_for_speech_by_kind_never_heard": missed,
        "taken_for_speech": float(np.mean(list(missed.values()))),
        "speech_taken_for_none": float(np.mean(spoken < 0)),
        "speech_clips": len(heard),
        "least_log_odds_of_speech": float(spoken.min()),
    }


def agreement(tuned, bundle, table):
    "How often the bundle's most likely emotion is the one that Keras finds, over all clips."
    same, largest = [], 0.0
    ours = tuned.scores(table)
    for path, theirs in zip(table.path, ours):
        scores, _ = bundle.hear(load(path))
        same.append(scores.sum(axis=0).argmax() == theirs.sum(axis=0).argmax())
        largest = max(largest, float(np.abs(scores - theirs).max()))
    return {
        "clips": len(table),
        "same_answer": float(np.mean(same)),
        "largest_difference_of_a_score": largest,
    }


def uneven(by):
    "For whom it is better and for whom worse, as a sentence."
    people, sides = [r["uar"] for r in by["speaker"].values()], by["gender"]
    women, men, least, most = map(
        tables.percent, (sides["female"]["uar"], sides["male"]["uar"], min(people), max(people))
    )
    return (
        f"It hears some people better than others. Of RAVDESS's actors the women are judged with {women} % UAR and the men "
        f"with {men} %, single ones with {least} to {most} %."
    )


def sections():
    "What the card tells beside the usual: adaptation, what is left unanswered, the world."
    told = tables.result("unseen")
    lines = [["at least as sure as", "answered", "wrong"]]
    for r in told["strangers_risk_coverage"]:
        lines.append([r["threshold"], f"{tables.percent(r['coverage'])} %", f"{tables.percent(r['risk'])} %"])
    ece = told["strangers"]["calibration"]["ece"]
    words = (
        f"All speakers of all corpora, never heard by the network nor by what calibrated it; ECE {told['ece_by_speaker']:.3f} "
        f"where every speaker counts the same, {ece:.3f} where every clip does (more than half of them are of two women).\n\n"
    )
    found = {
        "Protocols": tables.unseen(),
        "Known by some clips": tables.adaptation(),
        "Answered and wrong": words + tables.rows(*lines),
    }
    if (RESULTS / "robustness.json").exists():
        found["Noise, rooms, lines"] = tables.robustness()
    return found


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--out", default="ser_nbdev/bundles/speech-encoder")
    args.add_argument("--folder", type=Path, default=Path("runs/unseen"))
    args.add_argument("--cache", type=Path, default=Path("runs/frames"))
    args = args.parse_args()
    cache, table = FeatureCache(args.cache), corpora.table()
    told = tables.result("unseen")
    tuned = finetuning.tune(table, finetuning.Tuning(), args.folder / "all", cache=cache, progress=False)
    people = finetuning.cast(table, tuned.recipe, cache=cache, progress=False)
    listening = finetuning.detect_speech(tuned, people)
    reports = {}
    for name, figure in told["figures"].items():
        reports[name] = figure["alone"]
        reports[f"{name}, adapted"] = figure["adapted"]
    bundle = finetuning.export_encoder_bundle(
        listening,
        args.out,
        adaptation=Adaptation.from_dict(told["ships"]),
        threshold=told["unsure_below"],
        speech=0.0,
        fitted="Fitted on clips of all four corpora, each scored by a network that had not heard the speaker.",
        reports=reports,
        name="speech-encoder",
        limits=(*LIMITS, uneven(told["figures"]["RAVDESS, by actor"]["alone"]["by"])),
        further=sections(),
    )
    size = sum(p.stat().st_size for p in bundle.folder.iterdir()) / 1e6
    found = {"megabytes": size, "agreement_with_keras": agreement(listening, bundle, table)}
    print(found)
    found["speech"] = speech_apart(table, args.folder, cache)
    print(found["speech"])
    samples = {p.name: str(serving.Recognizer(bundle).predict(p)) for p in serving.samples()}
    store("encoder_bundle", {**found, "samples": samples})


if __name__ == "__main__":
    main()
