"Archives that lie in a bucket, `s3://` and `gs://`: against servers on this machine that speak the stores' own protocols."

import os
import subprocess
import sys

import pytest
from test_scale import QUIET, is_one_sentence, ser

from ser_nbdev.scale import BatchError, batch, listing, read_rows
from ser_nbdev.serving import Recognizer, samples

CLIPS = {"calls/b/1.flac": 1, "calls/a/0.flac": 0, "calls/a/2 ü#?%.flac": 1, "other/3.flac": 0}
SERVE = {
    "s3": """import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()""",
    "gs": """import sys
from gcp_storage_emulator.server import create_server
server = create_server("127.0.0.1", 0, in_memory=True)
server.start()
print(server._api._httpd.server_port, flush=True)
sys.stdin.read()
server.stop()""",
}


class Store:
    "A server of one protocol with a bucket, in a process of its own, and what clients must know of it."

    def __init__(self, protocol):
        self.protocol = protocol
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.process = subprocess.Popen([sys.executable, "-c", SERVE[protocol]], **pipes)
        url = f"http://127.0.0.1:{self.process.stdout.readline().strip()}"
        keys = dict(AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="y", AWS_DEFAULT_REGION="us-east-1")
        self.names = {"s3": dict(keys, AWS_ENDPOINT_URL=url), "gs": dict(STORAGE_EMULATOR_HOST=url)}[protocol]

    def stop(self):
        self.process.communicate("", timeout=30)


@pytest.fixture(scope="module", params=SERVE)
def store(request):
    pytest.importorskip({"s3": "s3fs", "gs": "gcsfs"}[request.param])
    pytest.importorskip({"s3": "moto.server", "gs": "gcp_storage_emulator"}[request.param])
    import fsspec

    store = Store(request.param)
    with pytest.MonkeyPatch.context() as names:
        for name, value in store.names.items():
            names.setenv(name, value)
        fs = fsspec.filesystem(store.protocol, skip_instance_cache=True)
        fs.mkdir("archive")
        fs.pipe({f"archive/{name}": samples()[i].read_bytes() for name, i in CLIPS.items()})
        fs.pipe({"archive/calls/empty.wav": b"", "archive/calls/notes.txt": b"no sound"})
        fs.pipe("archive/list.csv", b"path,who\nother/3.flac,A\ncalls/none.flac,A\ncalls/b/1.flac,B\n")
        yield store
    store.stop()


def test_a_folder_in_a_bucket_is_heard_as_one_on_disk(store, tmp_path):
    url = f"{store.protocol}://archive"
    rows = list(read_rows(batch(f"{url}/calls", tmp_path / "t.csv", **QUIET).out))
    names = ["calls/a/0.flac", "calls/a/2 ü#?%.flac", "calls/b/1.flac", "calls/empty.wav"]
    assert [row["path"] for row in rows] == [f"{url}/{name}" for name in names]
    assert "is empty, it has no bytes" in rows.pop()["error"]
    for name, row in zip(names, rows):
        one = Recognizer("tess-lstm").predict(samples()[CLIPS[name]])
        assert (row["emotion"], row["confidence"], row["error"]) == (one.emotion, one.confidence, None)
    assert len(list(read_rows(batch(url, tmp_path / "u.csv", **QUIET).out))) == 5  # the bucket itself


def test_a_manifest_in_a_bucket(store, tmp_path):
    rows = list(read_rows(batch(f"{store.protocol}://archive/list.csv", tmp_path / "t.csv", **QUIET).out))
    assert [row["path"] for row in rows] == ["other/3.flac", "calls/none.flac", "calls/b/1.flac"]
    assert [row["error"] and row["error"].partition(" ")[2] for row in rows] == [
        None, "does not exist; check the address.", None]  # fmt: skip


def test_a_manifest_here_of_clips_there(store, tmp_path):
    names = [
        f"{store.protocol}://{place}"
        for place in ("archive/other/3.flac", "nobody/3.flac", "archive/calls/b/1.flac")
    ]
    (tmp_path / "list.txt").write_text("\n".join(names))
    rows = list(read_rows(batch(tmp_path / "list.txt", tmp_path / "t.csv", **QUIET, max_bytes=10**6).out))
    assert [row["path"] for row in rows] == names and [bool(row["error"]) for row in rows] == [
        False,
        True,
        False,
    ]
    small = list(read_rows(batch(tmp_path / "list.txt", tmp_path / "u.csv", **QUIET, max_bytes=1000).out))
    assert ["is larger than" in row["error"] for row in small] == [True, False, True]


@pytest.mark.parametrize("place", ["archive/nothing", "nobody/calls"])
def test_a_place_that_is_not_there(store, place):
    with pytest.raises(BatchError, match="does not exist; give a folder or a manifest"):
        list(listing(f"{store.protocol}://{place}"))


def test_the_command_says_it_and_nothing_else(store, tmp_path):
    done = ser(
        "batch",
        f"{store.protocol}://archive/other",
        "--out",
        tmp_path / "t.csv",
        "--bundle",
        "tess-lstm",
        "--workers",
        1,
    )
    assert done.returncode == 0 and "1 file" in done.stdout
    told = [line for line in done.stderr.splitlines() if "file" not in line and line.strip()]
    assert not told, done.stderr
    done = ser("batch", f"{store.protocol}://nobody/calls", "--out", tmp_path / "u.csv")
    assert done.returncode == 1 and is_one_sentence(done.stderr) and not list(tmp_path.glob("u.csv*"))


def test_a_store_without_a_key_is_a_sentence(tmp_path):
    pytest.importorskip("s3fs")
    keyless = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "", "AWS_SHARED_CREDENTIALS_FILE": ""}
    env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")} | keyless
    done = ser("batch", "s3://archive/calls", "--out", tmp_path / "t.csv", env=env)
    assert done.returncode == 1 and is_one_sentence(done.stderr) and "credentials" in done.stderr
