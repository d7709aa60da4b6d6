"The README's tables, written from the stored results; a test checks that the README quotes these very lines."

import json
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
PROTOCOLS = {
    "random": "random: both actresses and all words on both sides",
    "word": "by word: words never heard, both actresses known",
    "speaker": "by speaker: an actress never heard, only the other one to learn from",
}
ACTRESSES = {"tess-OAF": "the older", "tess-YAF": "the younger"}


def result(name: str) -> dict:
    "A stored result by name."
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def percent(share: float) -> str:
    "A share as the tables write it."
    return f"{100 * share:.1f}"


def interval(figure: dict) -> str:
    "A figure with its 95 % interval, in percent."
    return f"{percent(figure['value'])} ({percent(figure['low'])} to {percent(figure['high'])})"


def rows(*lines) -> str:
    "A Markdown table; the first line is its head."
    head, *body = [[str(cell) for cell in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *body])


def accuracy() -> str:
    "The baseline and ours on TESS, protocol by protocol."
    parts = result("accuracy")["parts"]
    lines = [["protocol", "test clips", "baseline", "our LSTM"]]
    for protocol, words in PROTOCOLS.items():
        baseline, ours = parts[f"baseline-{protocol}"], parts[f"lstm-{protocol}"]
        lines.append([words, ours["clips"], interval(baseline["accuracy"]), interval(ours["accuracy"])])
    for who, age in ACTRESSES.items():
        both = [parts[f"{model}-speaker"]["by"]["speaker"][who] for model in ("baseline", "lstm")]
        lines.append([f"- tested on {age} alone", both[1]["n"], *(percent(b["accuracy"]) for b in both)])
    centred = parts["lstm-speaker"]["centred_by_speaker"]
    apart = "apart: by speaker, centred on all of her clips, without labels"
    lines.append([apart, centred["clips"], "", interval(centred["accuracy"])])
    return rows(*lines)


def seeds() -> str:
    "Our LSTM by speaker with other seeds, each actress."
    lines = [["seed", *(f"tested on {age}" for age in ACTRESSES.values())]]
    for seed in (0, 1, 2):
        by = result("accuracy")["parts"]["lstm-speaker" + (f"-seed{seed}" if seed else "")]["by"]["speaker"]
        lines.append([seed, *(percent(by[who]["accuracy"]) for who in ACTRESSES)])
    return rows(*lines)


def ablation() -> str:
    "What each part of the recipe is worth, by speaker."
    lines = [["the recipe", "UAR", *(f"tested on {age}" for age in ACTRESSES.values())]]
    for name, told in result("ablation")["variants"].items():
        lines.append([name, interval(told["uar"]), *(percent(told["by"][who]["uar"]) for who in ACTRESSES)])
    return rows(*lines)


def published() -> str:
    "The baseline as its notebook trained it, taken apart."
    told = result("accuracy")["parts"]["published"]
    words = {
        "all": "all clips, as published",
        "seen": "clips it was trained on",
        "unseen": "clips it was not",
    }
    body = [[words[side], told["clips"][side], percent(told["accuracy"][side])] for side in words]
    return rows(["evaluated on", "clips", "accuracy"], *body)


def speed() -> str:
    "Both bundles and the baseline's way, side by side."
    told = result("speed")
    names = {
        "per_clip_ms": ("from path to answer, warm", "ms", ".1f"),
        "start_to_first_answer_s": ("from process start to the first answer", "s", ".2f"),
        "peak_memory_mb": ("peak memory", "MB", ".0f"),
    }
    lines = [["", "baseline's way", "LSTM", "ratio", "encoder", "ratio"]]
    for key, (words, unit, form) in names.items():
        line = [words, f"{told['baseline'][key]:{form}} {unit}"]
        for bundle, ratio in told["baseline_over"].items():
            line += [f"{told[bundle][key]:{form}} {unit}", f"{ratio[key]['median']:.1f}"]
        lines.append(line)
    return rows(*lines)


def unseen_corpora() -> str:
    "The shipped bundle on corpora it has never heard."
    lines = [["corpus", "clips", "UAR"]]
    for name, report in result("bundle")["unseen_corpora"].items():
        lines.append([name.removesuffix(", never seen"), report["clips"], interval(report["uar"])])
    return rows(*lines)


def encoder() -> str:
    "The speech encoder for one clip on one thread, by runtime, weights, depth and length of the clip."
    told = result("encoder_speed")
    lengths = list(told["network_ms"])
    head = ["network", "file, MB", *(f"{n}, ms" for n in lengths), "memory, MB", "off by"]
    lines = []
    for name, facts in told["models"].items():
        kind, *rest = name.split("-")
        words = "published, padded to 8 s, onnxruntime"
        if rest:
            weights, depth, *exact = rest
            words = f"{depth} layers, {'LiteRT' if kind == 'litert' else 'onnxruntime'}, {weights}"
            if exact:
                n = int(exact[0].removeprefix("exact"))
                how = "float32" if n >= int(depth) else f"int8 after layer {n}" if n else "int8"
                words += f" weights, products in {how}"
        times = [f"{told['network_ms'][n][name]['min']:.1f}" for n in lengths]
        off = facts.get("difference_from_keras")
        off = f"{100 * off['median']:.2g} %" if off and off["median"] > 1e-4 else "0" if off else ""
        lines.append([words, f"{facts['megabytes']:.1f}", *times, f"{facts['peak_memory_mb']:.0f}", off])
    return rows(head, *lines)


def encoder_agreement() -> str:
    "How often the encoder in int8 answers as in Keras, by what multiplies in float32."
    told = result("encoder_speed")
    words = {"4": "everything", "2": "all but layers 3 and 4", "0": "all but layers 1 to 4"}
    lines = [["multiplied in float32", "same answer as Keras", "right", "2 s of speech"]]
    for exact, name in words.items():
        ms = told["network_ms"]["2 s"][f"litert-int8-4-exact{exact}"]["min"]
        same, right = (told["agreement"][key][exact] for key in ("same_answer", "accuracy"))
        lines.append([name, f"{percent(same)} %", f"{percent(right)} %", f"{ms:.1f} ms"])
    return rows(*lines)


def unseen() -> str:
    "The fine-tuned encoder where it has never been: alone, and adapted to each speaker."
    words = {
        "TESS, by word": "TESS (English) by word: words never heard, both actresses known",
        "TESS, an actress unseen": "TESS (English), an actress never heard",
        "RAVDESS, by actor": "RAVDESS (English), actors never heard, 8 emotions",
        "EmoDB, by speaker": "EmoDB (German), speakers never heard, two at a time",
        "EMOVO, a corpus unseen": "EMOVO (Italian), a corpus and a language never heard",
    }
    lines = [["UAR", "test clips", "alone", "adapted", "ECE alone"]]
    for name, told in result("unseen")["figures"].items():
        alone, adapted = told["alone"], told["adapted"]
        ece = f"{alone['calibration']['ece']:.3f}"
        lines.append([words[name], alone["clips"], interval(alone["uar"]), interval(adapted["uar"]), ece])
    return rows(*lines)


def adaptation() -> str:
    "UAR by number of unlabelled clips of the speaker, of any emotions or all of one."
    figures = {
        n: f for n, f in result("unseen")["figures"].items() if n != "TESS, by word"
    }  # voices that it knows
    counts = list(next(iter(figures.values()))["curve"])
    lines = [["clips of the speaker, unlabelled", *counts]]
    for name, told in figures.items():
        for curve, words in (("curve", "any emotions"), ("curve_one_emotion", "all of one emotion")):
            values = [percent(told[curve][k]["uar"]) for k in counts]
            lines.append([f"{name}: {words}", *values])
    return rows(*lines)


def sensitivity() -> str:
    "Points of adapted UAR that half or twice of each chosen number makes, by protocol."
    told = result("unseen")["sensitivity"]
    lines = [["the number", *next(iter(told.values()))]]
    for name, differences in told.items():
        lines.append([name, *(f"{100 * v:+.1f}".replace("-0.0", "+0.0") for v in differences.values())])
    return rows(*lines)


def robustness() -> str:
    "UAR on unheard speakers under noise, rooms, lines, loudness, length and speed."
    told = result("robustness")
    plain = told["conditions"]["as recorded"]["uar"]["value"]
    lines = [["condition", "UAR", "lost, points", "same answer"]]
    for name, r in told["conditions"].items():
        lost = f"{100 * (plain - r['uar']['value']):.1f}"
        lines.append([name, interval(r["uar"]), lost, f"{percent(r['same_answer'])} %"])
    return rows(*lines)


def encoder_ablation() -> str:
    "What each part of the encoder's recipe is worth, with one thing changed at a time."
    told = result("encoder_ablation")["variants"]
    head = [
        "a quarter as long as what ships",
        "4 actors, alone",
        "adapted",
        "EmoDB, alone",
        "adapted",
        "mean",
    ]
    lines = [head]
    for name, found in told.items():
        values = [found[c][k] for c in ("ravdess", "emodb") for k in ("own", "both, speaker's mean off")]
        lines.append([name, *map(percent, values), percent(sum(values) / len(values))])
    return rows(*lines)


def tries() -> str:
    "Other recipes at full length on some parts of the benchmark, beside the one that ships."
    lines = [["changed", "tested on", "alone", "as it ships", "adapted", "as it ships"]]
    for tried in result("tries")["tries"]:
        for side, told in tried["theirs"].items():
            ours = tried["ours"][side]
            lines.append(
                [f"`{tried['change']}`", side, *(percent(u[how]) for how in told for u in (told, ours))]
            )
    return rows(*lines)


def detection() -> str:
    "Frames that were taken for what they are not, by detector, and what each costs."
    kinds = ("speech", "pauses", "sounds made", "sounds recorded")
    lines = [["percent of frames wrong", *kinds, "mean of speech and the rest", "share of real time"]]
    for name, told in result("detection")["detectors"].items():
        wrong = told["wrong"]["all"]
        shares = [percent(wrong[k]) for k in (*kinds, "balanced")]
        lines.append([name, *shares, f"{told['real_time_share']:.4f}"])
    return rows(*lines)


def windows() -> str:
    "UAR of frames by window, hop and smoothing, on voices that the network had not heard."
    told = result("windows")["rows"]
    stays = (0, 4, 8, 16)

    def line(words, **how):
        how = dict(window=4, hop=4, pause=0.24, adapt=True, hindsight=True) | how
        by_stay = {r["stay"]: r["uar"] for r in told if all(r[k] == v for k, v in how.items())}
        return [words, *(percent(by_stay[s]) for s in stays)]

    lines = [["an emotion stays, seconds", "0 (no smoothing)", *stays[1:]]]
    lines += [line(f"windows of {w} s", window=w, hop=w) for w in (2, 3, 4, 8)]
    lines.append(line("windows of 4 s, one every 2 s", hop=2.0))
    lines.append(line("windows of 4 s, pauses of 0.5 s end them", pause=0.5))
    lines.append(line("windows of 4 s, without hindsight", hindsight=False))
    lines.append(line("windows of 4 s, a stranger's voice", adapt=False))
    lines.append(line("windows of 4 s, without hindsight, a stranger's", adapt=False, hindsight=False))
    return rows(*lines)


def recording() -> str:
    "An hour of speech, and live streams, by bundle."
    told = result("recording")
    lines, minutes = [["", *told["hour"]]], f"{told['minutes']:g} minutes of speech"

    def line(words, figures, write):
        lines.append([words, *map(write, figures.values())])

    for kind, words in (("wav", "WAV, 16 kHz"), ("mp3", "MP3, 44.1 kHz")):
        hour = {bundle: kinds[kind] for bundle, kinds in told["hour"].items()}
        line(f"{minutes}, {words}", hour, lambda h: f"1/{h['real_time_over_cpu']:.0f} of real time")
        line("- peak memory", hour, lambda h: f"{h['peak_mb']:.0f} MB, {h['memory_ratio']:.2f} of a minute's")
    for key, words in (("median_ms", "median"), ("p99_ms", "99 of 100 within")):
        line(f"answer after a window's last sample, {words}", told["delay"], lambda d: f"{d[key]:.0f} ms")
    line("ten streams: a chunk is done, 99 of 100 within", told["live"], lambda x: f"{x['p99_ms']:.0f} ms")
    line("- of one core", told["live"], lambda x: percent(x["cores_taken"]) + " %")
    return rows(*lines)


#: Those that are compared, in the order of the tables, and what they are called.
SYSTEMS = {
    "baseline": "baseline: mean MFCCs, LSTM",
    "egemaps": "openSMILE eGeMAPS, SVM",
    "compare": "openSMILE ComParE, SVM",
    "convolutions": "convolutions from scratch",
    "frozen": "frozen encoder, linear head",
    "ours": "ours, each clip alone",
    "ours, adapted": "ours, adapted to the speaker",
}


def peers() -> str:
    "UAR of the peers and of ours, by every protocol; our LSTM where it can stand beside them."
    told = result("peers")
    lines = [["UAR", *told["figures"]]]
    for key, words in SYSTEMS.items():
        cells = [f["systems"].get(key) for f in told["figures"].values()]
        lines.append([words, *(interval(c["uar"]) if c else "-" for c in cells)])
    cells = [told["lstm"].get(name) for name in told["figures"]]
    lines.append(
        ["our small LSTM, learnt from TESS alone", *(interval(c["uar"]) if c else "" for c in cells)]
    )
    lines.append(["clips", *(f["systems"]["ours"]["clips"] for f in told["figures"].values())])
    return rows(*lines)


def peers_against(how: str = "ours") -> str:
    "How much more ours has than each peer, and how sure that is."
    told, lines = result("peers")["figures"], []
    for name, figure in told.items():
        for peer, c in figure["against"][how].items():
            u, m = ({k: 100 * v for k, v in c["uar"].items()}, c["mcnemar"])
            difference = f"{u['difference']:+.1f} ({u['low']:+.1f} to {u['high']:+.1f})"
            counts = [m["only_ours"], m["only_theirs"], "< 0.001" if m["p"] < 0.001 else f"{m['p']:.3f}"]
            lines.append([name, SYSTEMS[peer], difference, c["drawn"], *counts])
    head = ["protocol", "beside", "points of UAR", "drawn by", "right: only ours", "only theirs", "p"]
    return rows(head, *lines)


def peers_speed() -> str:
    "Time, memory and size of the peers and of ours, side by side."
    told = result("peers")["speed"]
    if not told:
        return "Not measured yet: `make bench` does it."
    words = SYSTEMS | {"tess-lstm": "our small LSTM", "speech-encoder": "our encoder"}
    columns = {
        "per_clip_ms": ("a clip, warm", ".1f", " ms"),
        "start_to_first_answer_s": ("start to first answer", ".2f", " s"),
        "clips_per_s_one": ("clips a second, one core", ".0f", ""),
        "clips_per_s_two": ("two cores", ".0f", ""),
        "times_real_time": (f"{told['minutes']:g} minutes of speech", ".0f", ""),
        "peak_memory_mb": ("memory", ".0f", " MB"),
        "installed_mb": ("installed", ".0f", " MB"),
        "model_mb": ("model", ".1f", " MB"),
    }
    lines = [["", *(c[0] for c in columns.values())]]
    for way, found in told["ways"].items():
        values = {k: f"{found[k]:{form}}{unit}" for k, (_, form, unit) in columns.items()}
        values["times_real_time"] = f"1/{values['times_real_time']} of real time"
        lines.append([words[way], *values.values()])
    return rows(*lines)
