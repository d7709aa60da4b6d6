"""How long the speech encoder takes for one clip, on one thread: LiteRT and onnxruntime, by length, depth and weights.

    python benchmarks/encoder_speed.py [--runs 60] [--starts 5]

Every variant has the same stand-in head: mean and deviation over time of each state, an embedding of 64, seven logits;
its weights are random and do not matter for the time. `published` is the file that the weights come from, as it is meant to
be run: by onnxruntime, on 8 s with zeros in front. All variants take turns, so that what else the machine does meets all.
Clips for the comparison with Keras are those of SER_DATA_DIR if it is set, otherwise the bundled samples.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import pin_threads, store

pin_threads(1)

import numpy as np  # noqa: E402

SECONDS = (1, 2, 4, 8)


def stand_in(depth: int):
    "An encoder with the published weights under a head of random ones."
    import keras
    from keras import layers, ops

    from ser_nbdev.encoder import load_published, published_weights, round_weights, speech_encoder

    keras.utils.set_random_seed(0)
    encoder = load_published(speech_encoder(depth, normed=True), published_weights())
    frames = keras.Input((None, 80))
    *states, sound = encoder(frames)
    weight = ops.expand_dims(ops.cast(sound, "float32"), -1)
    count, pooled = ops.sum(weight, axis=1), []
    for x in states:
        mean = ops.sum(x * weight, axis=1) / count
        square = ops.sum(ops.square(x - ops.expand_dims(mean, 1)) * weight, axis=1) / count
        pooled += [mean, ops.sqrt(ops.maximum(square, 1e-6))]
    embedding = layers.Dense(64, name="embedding")(ops.concatenate(pooled, axis=-1))
    return round_weights(keras.Model(frames, [embedding, layers.Dense(7, name="emotion")(embedding)]))


def onnx_twin(model, depth: int) -> bytes:
    "The same network, written down in ONNX node by node."
    import onnx
    from onnx import helper, numpy_helper

    w = {v.path: np.asarray(v) for v in model.variables}
    nodes, kept = [], {}

    def const(value):
        kept[name := f"c{len(kept)}"] = np.asarray(value)
        return name

    def op(kind, *inputs, **settings):
        names = [i if isinstance(i, str) else const(i) for i in inputs]
        nodes.append(helper.make_node(kind, names, [f"n{len(nodes)}"], **settings))
        return nodes[-1].output[0]

    def norm(x, name):
        return op("LayerNormalization", x, w[f"{name}/gamma"], w[f"{name}/beta"], epsilon=1e-5)

    def dense(x, name):
        y = op("MatMul", x, w[f"{name}/kernel"])
        return op("Add", y, w[f"{name}/bias"]) if f"{name}/bias" in w else y

    def convolve(x, i):
        kernel = w[f"stem/kernel{i}"].transpose(2, 1, 0)
        return op("Gelu", op("Conv", x, kernel, w[f"stem/bias{i}"], pads=[1, 1], strides=[i]))

    def heads(x):
        return op("Transpose", op("Reshape", x, np.array([1, -1, 6, 64])), perm=[0, 2, 1, 3])

    x = op("Transpose", convolve(convolve(op("Transpose", "frames", perm=[0, 2, 1]), 1), 2), perm=[0, 2, 1])
    size = op("Slice", op("Shape", x), np.array([1]), np.array([2]))
    start = op("Sub", np.array([400]), size)
    x = op("Add", x, op("Slice", w["stem/positions"], start, np.array([400]), np.array([0])))
    x = op("Reshape", x, np.array([-1, 384]))  # of rank 2 its int8 multiplications are nearly twice as fast
    states = [x]
    for i in range(1, depth + 1):
        y = norm(x, f"layer{i}/norm1")
        query, key, value = (heads(dense(y, f"layer{i}/{part}")) for part in ("query", "key", "value"))
        query = op("Mul", query, np.float32(0.125))
        weight = op("Softmax", op("MatMul", query, op("Transpose", key, perm=[0, 1, 3, 2])))
        mixed = op("Transpose", op("MatMul", weight, value), perm=[0, 2, 1, 3])
        x = op("Add", x, dense(op("Reshape", mixed, np.array([-1, 384])), f"layer{i}/out"))
        y = op("Gelu", dense(norm(x, f"layer{i}/norm2"), f"layer{i}/inner"))
        x = op("Add", x, dense(y, f"layer{i}/outer"))
        states.append(x)
    pooled, time_axis = [], np.array([0])
    for i, state in enumerate(states):
        x = norm(state, f"norm{i}")
        mean = op("ReduceMean", x, time_axis)
        off = op("Sub", x, mean)
        pooled += [mean, op("Sqrt", op("ReduceMean", op("Mul", off, off), time_axis))]
    embedding = dense(op("Reshape", op("Concat", *pooled, axis=-1), np.array([1, -1])), "embedding")
    outputs = [embedding, dense(embedding, "emotion")]
    f32 = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("frames", f32, [1, "frames", 80])],
        [helper.make_tensor_value_info(name, f32, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in kept.items()],
    )
    opset = [helper.make_opsetid("", 20)]
    return helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString()


def make(folder: Path):
    "Write every variant to `folder`, and say how far each is from Keras: (bytes, difference) by name."
    import onnxruntime as ort
    from onnxruntime.quantization import QuantType, quantize_dynamic

    from ser_nbdev.encoder import export_litert, run_litert, weights_file
    from ser_nbdev.logmel import encoder_frames

    (folder / "published.onnx").write_bytes(weights_file())
    clips, far = [encoder_frames(c) for c in speech()], {}

    def apart(ours, theirs):
        return [float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in zip(ours, theirs)]

    for depth in (4, 3, 2):
        model = stand_in(depth)
        expected = [np.asarray(model(c[None])[0])[0] for c in clips]
        for weights in ("float32", "float16", "int8") if depth == 4 else ("int8",):
            for exact in ((4, 2, 0) if depth == 4 else (2, 0)) if weights == "int8" else (4,):
                name = f"litert-{weights}-{depth}" + (f"-exact{exact}" if weights == "int8" else "")
                content = export_litert(model, weights, exact=exact)
                (folder / f"{name}.tflite").write_bytes(content)
                answers = [a["embedding"] for a in run_litert(content, clips)]
                far[name] = apart(answers, expected)
        if depth == 4:
            whole = folder / "onnx-float32-4.onnx"
            whole.write_bytes(onnx_twin(model, depth))
            quantise = dict(weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=["MatMul"])
            quantize_dynamic(whole, folder / "onnx-int8-4.onnx", **quantise)
            for name in ("onnx-float32-4", "onnx-int8-4"):
                session = ort.InferenceSession(folder / f"{name}.onnx")
                far[name] = apart([session.run(None, {"frames": c[None]})[0][0] for c in clips], expected)
    return far


def speech(n: int = 60):
    "Clips: of the corpora if there are any, otherwise those that ship."
    from ser_nbdev.audio import load
    from ser_nbdev.serving import samples

    if not os.environ.get("SER_DATA_DIR"):
        return [load(p) for p in samples()]
    from ser_nbdev import corpora

    return [load(p) for p in corpora.table().path.sample(n, random_state=0)]


def agreement(n: int = 600):
    """How often int8 gives the answer that Keras gives, by how many layers multiply in float32, on RAVDESS.

    The head is a linear one on the frozen states' means and deviations, four folds of actors; None without the corpus."""
    import keras
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from ser_nbdev import corpora
    from ser_nbdev.audio import load
    from ser_nbdev.encoder import export_litert, run_litert
    from ser_nbdev.logmel import encoder_frames

    if not os.environ.get("SER_DATA_DIR"):
        return None
    table = corpora.table(corpus="ravdess").sample(n, random_state=0).reset_index(drop=True)
    clips = [encoder_frames(load(p)) for p in table.path]
    model = stand_in(4)
    model = keras.Model(model.input, model.get_layer("embedding").input)
    x = {"keras": np.concatenate([np.asarray(model(c[None])) for c in clips])}
    for exact in (4, 2, 1, 0):
        content = export_litert(model, exact=exact)
        x[exact] = np.stack([a for answer in run_litert(content, clips) for a in answer.values()])
    answers = {name: np.empty(n, object) for name in x}
    folds = table.speaker.astype("category").cat.codes.to_numpy() % 4
    for fold in range(4):
        head = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=1000))
        head.fit(x["keras"][folds != fold], table.emotion[folds != fold])
        for name in x:
            answers[name][folds == fold] = head.predict(x[name][folds == fold])
    return {
        "clips": n,
        "accuracy": {str(k): float(np.mean(a == table.emotion)) for k, a in answers.items()},
        "same_answer": {str(k): float(np.mean(a == answers["keras"])) for k, a in answers.items()},
    }


def runner(path: Path, frames: np.ndarray):
    "A function without arguments that runs the model at `path` on `frames` once."
    if path.suffix == ".onnx":
        import onnxruntime as ort

        settings = ort.SessionOptions()
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1
        session = ort.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        if path.stem == "published":
            frames = np.pad(frames, ((800 - len(frames), 0), (0, 0))).T
        feed = {session.get_inputs()[0].name: np.ascontiguousarray(frames[None])}
        return lambda: session.run(None, feed)
    from ai_edge_litert.interpreter import Interpreter

    lite = Interpreter(str(path), num_threads=1)
    index = lite.get_input_details()[0]["index"]

    def run():
        lite.resize_tensor_input(index, (1, *frames.shape))
        lite.allocate_tensors()
        lite.set_tensor(index, frames[None])
        lite.invoke()
        return lite.get_tensor(lite.get_output_details()[0]["index"])

    return run


def timed(functions: dict, runs: int) -> dict:
    "Least and median milliseconds of each function, all in turn."
    took = {name: [] for name in functions}
    for i in range(runs + 3):
        for name, function in functions.items():
            began = time.perf_counter()
            function()
            if i >= 3:
                took[name].append(1e3 * (time.perf_counter() - began))
    return {name: {"min": min(t), "median": statistics.median(t)} for name, t in took.items()}


def start(path: Path):
    "Seconds and peak memory in MB of a fresh process that opens the model at `path` and runs it on 2 s once."
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from common import pin_threads; pin_threads(1)\n"
        "from pathlib import Path; import numpy as np; from encoder_speed import runner\n"
        f"runner(Path({str(path)!r}), np.zeros((200, 80), np.float32))()"
    )
    began = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"this failed:\n{code}")
    return time.perf_counter() - began, usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def measure(folder: Path, runs: int) -> dict:
    "Times by variant and length, and of the whole path from a clip of 2 s in memory."
    from ser_nbdev.logmel import encoder_frames

    rng, result = np.random.default_rng(0), {}
    files = sorted(folder.iterdir())
    for seconds in SECONDS:
        frames = rng.normal(size=(100 * seconds, 80)).astype(np.float32)
        result[f"{seconds} s"] = timed({p.stem: runner(p, frames) for p in files}, runs)
    clip = rng.normal(size=32000).astype(np.float32)
    frames = encoder_frames(clip)
    litert, published = (
        runner(folder / f, frames) for f in ("litert-int8-4-exact2.tflite", "published.onnx")
    )
    path = {
        "front end": lambda: encoder_frames(clip),
        "ours": lambda: (encoder_frames(clip), litert()),
        "published": lambda: (encoder_frames(np.pad(clip, (96000, 0)), top_db=None), published()),
    }
    return {"network_ms": result, "path_2s_ms": timed(path, runs)}


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--runs", type=int, default=60)
    args.add_argument("--starts", type=int, default=5)
    args.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    args.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    args = args.parse_args()
    if args.make:
        (args.make / "far.json").write_text(json.dumps([make(args.make), agreement()]))
        return
    if args.measure:
        print(json.dumps(measure(args.measure, args.runs)))
        return
    with tempfile.TemporaryDirectory() as name:
        # each in a process of its own: a child's peak memory counts what its parent held when it was born
        folder, this = Path(name), [sys.executable, __file__, "--runs", str(args.runs)]
        subprocess.run([*this, "--make", name], check=True, stdout=subprocess.DEVNULL)
        far, same = json.loads((folder / "far.json").read_text())
        (folder / "far.json").unlink()
        run = subprocess.run([*this, "--measure", name], check=True, stdout=subprocess.PIPE, text=True)
        result = json.loads(run.stdout)
        models = {}
        for path in sorted(folder.iterdir()):
            starts = [start(path) for _ in range(args.starts)]
            models[path.stem] = {
                "megabytes": path.stat().st_size / 1e6,
                "start_to_first_answer_s": min(s for s, _ in starts),
                "peak_memory_mb": statistics.median(m for _, m in starts),
            }
            if path.stem in far:
                off = far[path.stem]
                models[path.stem]["difference_from_keras"] = {
                    "median": statistics.median(off),
                    "most": max(off),
                }
    for name, facts in models.items():
        times = "  ".join(f"{n}: {t[name]['min']:.2f} ms" for n, t in result["network_ms"].items())
        print(f"{name:22} {facts['megabytes']:5.1f} MB  {facts['peak_memory_mb']:4.0f} MB  {times}")
    print({name: round(t["min"], 2) for name, t in result["path_2s_ms"].items()})
    store("encoder_speed", {"runs": args.runs, "threads": 1, "agreement": same, "models": models, **result})


if __name__ == "__main__":
    main()
