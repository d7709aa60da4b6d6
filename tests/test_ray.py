"The same batch on a Ray cluster of three nodes, some of which do not live to see its end."

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import killer
import numpy as np
import pytest
import soundfile as sf
from test_engine import children
from test_scale import fill, read_rows

from ser_nbdev import features, scale
from ser_nbdev.engine import EngineError, Ray
from ser_nbdev.scale import batch
from ser_nbdev.serving import samples

pytest.importorskip("ray", reason="Ray is not installed: pip install 'ser_nbdev[ray]'")

QUIET = dict(progress=False, bundle="tess-lstm")
SLOW = (
    "import sys, killer; from ser_nbdev import scale; scale._Ear = killer.Ear\n"
    "scale.batch(*sys.argv[2:], bundle='tess-lstm', engine='ray', address=sys.argv[1], workers=4, progress=False)"
)
ENV = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "RAY_USAGE_STATS_ENABLED": "0"}


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["PYTHONPATH"] = ENV["PYTHONPATH"]  # the nodes' workers find `killer`
    small = dict(num_cpus=3, object_store_memory=100_000_000)
    for turn in range(3):  # Ray gives its processes 30 s to start, and a busy machine may take longer
        cluster = Cluster()
        try:
            cluster.add_node(**small, include_dashboard=False)
            nodes = [cluster.add_node(**small) for _ in range(2)]
            break
        except Exception:
            cluster.shutdown()
            if turn == 2:
                raise
    yield cluster, nodes
    cluster.shutdown()


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    "Files that take a while, one that kills a worker, one that is broken; and what the local engine makes of them."
    home = tmp_path_factory.mktemp("ray")
    folder = fill(home / "x", 900, "{:04d}-slow.flac")
    os.link(folder / "0000-slow.flac", folder / "poison.flac")
    (folder / "broken.wav").write_text("no sound")
    with pytest.MonkeyPatch.context() as m:
        m.setattr(scale, "_Ear", killer.Ear)
        batch(folder, home / "whole.csv", workers=3, **QUIET)
    return folder, (home / "whole.csv").read_bytes()


def test_the_result_is_the_same_to_the_last_byte(cluster, tmp_path):
    (tmp_path / "x").mkdir()
    for i, sample in enumerate(samples() * 8):  # the bundle that ships, on what it is for
        (tmp_path / "x" / f"{i}{sample.suffix}").write_bytes(sample.read_bytes())
    done = batch(
        tmp_path / "x",
        tmp_path / "ray.csv",
        engine="ray",
        address=cluster[0].address,
        workers=4,
        progress=False,
    )
    assert done.scored == 40 and done.errors == 0
    batch(tmp_path / "x", tmp_path / "local.csv", progress=False)
    assert (tmp_path / "ray.csv").read_bytes() == (tmp_path / "local.csv").read_bytes()


def actors():
    "Processes of Ray's that keep a worker of ours."
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if line.startswith(b"ray::") and b"MapBatches" in line and children(int(entry.name)):
            found.append(int(entry.name))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_driver_is_killed_and_a_laptop_goes_on(cluster, slow, tmp_path, monkeypatch):
    folder, whole = slow
    run = subprocess.Popen(
        [sys.executable, "-c", SLOW, cluster[0].address, folder, tmp_path / "t.csv"], env=ENV
    )
    until = time.monotonic() + 90
    while (
        not (tmp_path / "t.csv.unfinished-journal").exists()
        and run.poll() is None
        and time.monotonic() < until
    ):
        time.sleep(0.1)
    time.sleep(1.5)
    run.send_signal(signal.SIGKILL)
    run.wait(10)
    monkeypatch.setattr(scale, "_Ear", killer.Ear)
    done = batch(folder, tmp_path / "t.csv", workers=3, **QUIET)
    assert done.files == 902 and (tmp_path / "t.csv").read_bytes() == whole


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_node_and_an_actor_are_killed_in_the_middle(cluster, slow, tmp_path):
    (cluster, nodes), (folder, whole) = cluster, slow
    run = subprocess.Popen([sys.executable, "-c", SLOW, cluster.address, folder, tmp_path / "t.csv"], env=ENV)
    until = time.monotonic() + 240  # a busy machine takes its time to start actors
    while len(some := actors()) < 2 and run.poll() is None and time.monotonic() < until:
        time.sleep(0.1)
    os.kill(some[0], signal.SIGKILL)
    time.sleep(0.5)
    assert run.poll() is None
    cluster.remove_node(nodes.pop(), allow_graceful=False)
    assert run.wait(180) == 0
    assert (tmp_path / "t.csv").read_bytes() == whole


def test_a_file_that_takes_too_long_is_a_row(cluster, tmp_path, monkeypatch):
    "A decoder that hangs on one node holds up nothing: the rest is heard, here and there the same."
    folder = fill(tmp_path / "x", 20)
    os.link(folder / "0000.flac", folder / "0000-stuck.flac")
    monkeypatch.setattr(scale, "_Ear", killer.Ear)
    where = dict(engine="ray", address=cluster[0].address, workers=2)
    begun = time.monotonic()
    rows = list(read_rows(batch(folder, tmp_path / "t.csv", **QUIET, **where, time_limit=5).out))
    assert time.monotonic() - begun < 90 and len(rows) == 21
    told = {Path(row["path"]).name: row["error"] for row in rows if row["error"]}
    assert list(told) == ["0000-stuck.flac"]
    assert "took more than 5 s and was given up" in told["0000-stuck.flac"]


def test_features_come_from_the_cluster(cluster, tmp_path):
    paths = [tmp_path / f"{i}.wav" for i in range(20)]
    for i, path in enumerate(paths):
        sf.write(path, np.random.default_rng(i).normal(0, 0.1, 8000), 16_000)
    engine, cache = Ray(2, cluster[0].address), features.FeatureCache(tmp_path / "cache")
    one = features.extract(paths, features.Frontend(), progress=False)
    many = features.extract(paths, features.Frontend(), cache, workers=engine, progress=False)
    for x, y in zip(one, many, strict=True):
        np.testing.assert_array_equal(x, y)
    assert len(list((tmp_path / "cache").glob("*/*.npy"))) == 20


def test_what_fails_is_told(cluster, tmp_path):
    fill(tmp_path / "x", 2)
    with pytest.raises(EngineError, match="Ray does not answer at"):
        batch(tmp_path / "x", tmp_path / "t.csv", engine="ray", address="127.0.0.1:1", **QUIET)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        list(Ray(1, cluster[0].address).run(partial(open, "/nowhere"), [(0, 0)]))
