"""`fetch` against a server on this machine that breaks off, forgets ranges, lies and cuts."""

import hashlib
import io
import os
import random
import re
import shutil
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pooch
import pytest

from ser_nbdev import corpora
from ser_nbdev.corpora import FetchError, fetch, table

CLIPS = ["TESS/OAF_angry/OAF_back_angry.wav", "TESS/OAF_Sad/OAF_back_sad.wav", "TESS/F/YAF_back_fear.wav"]


def archive(*names, size=100_000, method=zipfile.ZIP_STORED):
    """A zip with incompressible files, big enough that it does not travel in one piece."""
    noise, file = random.Random(0), io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as z:
        for name in names or CLIPS:
            z.writestr(name, noise.randbytes(size))
    return file.getvalue()


def md5(data):
    return "md5:" + hashlib.md5(data).hexdigest()


@pytest.fixture
def site():
    """A server: `data` is what it has, a transfer breaks after `cut` bytes; `asked` and `sent` tell all."""
    state = SimpleNamespace(
        data=archive(), cut=None, ranges=True, length=True, etag='"one"', asked=[], sent=[]
    )

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            state.asked.append(dict(self.headers))
            if "zip" not in self.path:
                return self.send_error(404)
            total, start = len(state.data), 0
            wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            same = self.headers.get("If-Range") in (None, state.etag)
            if wanted and state.ranges and same:
                start = int(wanted[1])
                if start >= total:
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{total}")
                    self.send_header("Content-Length", "0")
                    return self.end_headers()
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            else:
                self.send_response(200)
            if state.etag:
                self.send_header("ETag", state.etag)
            if state.length:
                self.send_header("Content-Length", str(total - start))
            self.end_headers()
            end = total if state.cut is None else min(total, start + state.cut)
            self.wfile.write(state.data[start:end])
            state.sent.append((start, end))
            self.close_connection = True

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        state.url = f"http://127.0.0.1:{server.server_port}/tess.zip"
        yield state
        server.shutdown()


@pytest.fixture
def get(site, tmp_path):
    """Fetch TESS from the site, with the checksum of the right archive."""
    right = md5(site.data)
    usual = {"url": site.url, "checksum": right, "progress": False}
    return lambda **kw: fetch("tess", tmp_path, **usual | kw)


def broken(get, site, after=100_000):
    site.cut = after
    with pytest.raises(FetchError, match="broke off; [0-9]+ bytes are kept. Call this again and it"):
        get()
    site.cut = None


def test_whole_download(get, site, tmp_path):
    folder = get()
    assert folder == tmp_path / "tess"
    assert list(table(folder).emotion) == ["angry", "sad", "fear"]
    assert os.listdir(tmp_path) == ["tess"]  # no archive, no part stays behind
    assert "Range" not in site.asked[0]


def test_what_is_there_is_not_fetched_again(get, site):
    assert get() == get()
    assert len(site.asked) == 1


def test_the_progress_bar_counts_the_bytes(get, site, capfd):
    broken(get, site)
    get(progress=True)
    err = capfd.readouterr().err
    assert "download" in err and "100%" in err and "unpacking" in err


def test_broken_transfer_goes_on_where_it_stopped(get, site, tmp_path):
    broken(get, site)
    assert not (tmp_path / "tess").exists() and len(corpora.scan(tmp_path)) == 0
    kept = site.sent[0][1]
    get()
    assert site.asked[1]["Range"] == f"bytes={kept}-"
    assert site.asked[1]["If-Range"] == '"one"'
    assert site.sent == [(0, kept), (kept, len(site.data))]  # no byte twice
    assert len(table(tmp_path)) == 3


def test_many_breaks(get, site):
    for _ in range(3):
        broken(get, site, 70_000)
    get()
    assert [start for start, _ in site.sent] == [0, 70_000, 140_000, 210_000]


def test_killed_before_the_part_is_renamed(get, site, monkeypatch):
    def die(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr(corpora.os, "link", die)
        with pytest.raises(KeyboardInterrupt):
            get()
    get()
    assert site.asked[1]["Range"] == f"bytes={len(site.data)}-"  # answered by 416: there is no rest
    assert len(site.sent) == 1


@pytest.mark.parametrize("links", [True, False], ids=["", "no hard links"])
def test_killed_while_the_checksum_is_made(get, site, tmp_path, monkeypatch, links):
    """That takes seconds for a large archive, which must not be lost by them."""

    def die(*args, **kw):
        raise SystemExit

    with monkeypatch.context() as m:
        if not links:
            m.setattr(corpora.os, "link", lambda *args: os.stat(tmp_path / "nowhere"))
        m.setattr(pooch.core, "hash_matches", die)
        m.setattr(os, "remove", lambda *args: None)  # as if by kill -9: nothing is tidied
        with pytest.raises(SystemExit):
            get()
    get()
    assert len(site.sent) == (1 if links else 2) and os.listdir(tmp_path) == ["tess"]


def test_killed_when_all_is_there(get, site, tmp_path, monkeypatch):
    with monkeypatch.context() as m:
        m.setattr(corpora.shutil, "rmtree", lambda *args, **kw: None)
        get()
    assert len(os.listdir(tmp_path)) == 2
    get()
    assert os.listdir(tmp_path) == ["tess"] and len(site.asked) == 1


def test_killed_while_unpacking(get, site, tmp_path, monkeypatch):
    extract, done = zipfile.ZipFile.extract, []

    def die(self, member, *args):
        if done:
            raise KeyboardInterrupt
        done.append(extract(self, member, *args))

    with monkeypatch.context() as m:
        m.setattr(zipfile.ZipFile, "extract", die)
        m.setattr(corpora.shutil, "rmtree", lambda *args, **kw: None)  # as if by kill -9: nothing is tidied
        with pytest.raises(KeyboardInterrupt):
            get()
    assert not (tmp_path / "tess").exists() and len(corpora.scan(tmp_path)) == 0
    assert len(table(get())) == 3
    assert len(site.asked) == 1  # the archive was whole and is not fetched again


def test_server_without_ranges_sends_it_all_again(get, site):
    broken(get, site)
    site.ranges = False
    get()
    assert "Range" in site.asked[1] and site.sent[1] == (0, len(site.data))


def test_a_file_that_changed_in_between_is_not_patched_together(get, site):
    broken(get, site)
    site.data, site.etag = archive(size=120_000), '"two"'
    get(checksum=md5(site.data))
    assert site.asked[1]["If-Range"] == '"one"' and site.sent[1] == (0, len(site.data))


def test_a_part_longer_than_the_file_is_thrown_away(get, site):
    broken(get, site, 250_000)
    site.data, site.etag = archive(size=10_000), None
    get(checksum=md5(site.data))
    assert site.sent[-1] == (0, len(site.data))


def test_wrong_checksum(get, site, tmp_path):
    site.data = archive(size=90_000)
    with pytest.raises(FetchError, match="its checksum differs. It was removed; call this again"):
        get()
    assert not (tmp_path / "tess").exists()
    assert not [n for _, _, names in os.walk(tmp_path) for n in names]
    assert len(table(get(checksum=md5(site.data)))) == 3


def test_the_published_checksum_is_the_default(get, site):
    with pytest.raises(FetchError, match="checksum differs"):
        get(checksum="published")


def test_no_checksum_is_said_and_the_sum_printed(site, tmp_path, capsys):
    site.data = archive("wav/03a01Fa.wav", "wav/16b10Wb.wav")
    fetch("emodb", tmp_path, url=site.url, progress=False)
    assert capsys.readouterr().out == (
        f"There is no checksum for {site.url}; the SHA-256 of what came is "
        f"{hashlib.sha256(site.data).hexdigest()}\n"
    )


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-2000],
        lambda data: data[:5],
        lambda data: b"",
        lambda data: b"<html>Log in</html>",
        lambda data: data[:5000] + bytes(50) + data[5050:],
    ],
    ids=["cut", "stump", "empty", "page", "flipped"],
)
def test_truncated_or_damaged_archive_without_checksum(get, site, tmp_path, spoil):
    whole, site.data = site.data, spoil(site.data)
    with pytest.raises(FetchError, match="damaged or cut short .*removed. Call this"):
        get(checksum=None)
    assert not (tmp_path / "tess").exists()
    site.data = whole
    assert len(table(get(checksum=None))) == 3


def test_cut_by_a_server_that_does_not_tell_the_length(get, site, tmp_path):
    site.length, site.cut = False, 150_000
    with pytest.raises(FetchError, match="checksum differs"):
        get()
    with pytest.raises(FetchError, match="damaged or cut short"):
        get(checksum=None)
    assert not (tmp_path / "tess").exists()


@pytest.mark.parametrize(
    "name",
    [
        "../OAF_back_sad.wav",
        "a/../../OAF_back_sad.wav",
        "/tmp/OAF_back_sad.wav",
        "..\\OAF_back_sad.wav",
        "C:\\OAF_back_sad.wav",
    ],
)
def test_zip_slip(get, site, tmp_path, name):
    site.data = archive(*CLIPS, name)
    with pytest.raises(FetchError, match="would write outside its folder"):
        get(checksum=None)
    assert not [n for _, _, names in os.walk(tmp_path) for n in names]


def test_zip_with_a_link(get, site, tmp_path):
    file = io.BytesIO(site.data)
    with zipfile.ZipFile(file, "a") as z:
        link = zipfile.ZipInfo("TESS/out")
        link.external_attr = 0o120777 << 16
        z.writestr(link, "/etc")
    site.data = file.getvalue()
    with pytest.raises(FetchError, match="would write outside its folder"):
        get(checksum=None)


def test_an_archive_of_something_else(get, site, tmp_path):
    site.data = archive("holiday/beach.jpg")
    with pytest.raises(FetchError, match="holds no clip of tess"):
        get(checksum=None)
    assert not (tmp_path / "tess").exists()


def test_not_there(get, site):
    with pytest.raises(FetchError, match="404 Not Found; look up where tess lies now and give url="):
        get(url=site.url.replace("tess.zip", "gone"))


def test_nobody_answers(get):
    with pytest.raises(FetchError, match="broke off; 0 bytes"):
        get(url="http://127.0.0.1:9/tess.zip")


def test_disk_full_while_downloading(get, site, tmp_path):
    """A real limit of the system on the size of a file, which writing runs into half way."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, limits[1]))
    try:
        with pytest.raises(FetchError, match="cannot be stored.*what has arrived is kept"):
            get()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (tmp_path / "tess").exists()
    get()
    assert site.asked[1]["Range"].startswith("bytes=1")  # some bytes were kept
    assert len(table(tmp_path)) == 3


def test_disk_full_while_unpacking(get, site, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as m:
        m.setattr(zipfile.ZipFile, "extract", full)
        with pytest.raises(FetchError, match="No space left on device.*make room"):
            get()
    assert not (tmp_path / "tess").exists()
    get()
    assert len(site.asked) == 1


def test_more_than_fits(get, site, monkeypatch):
    monkeypatch.setattr(corpora.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(FetchError, match="are needed, 0 MB are free"):
        get()


def test_an_archive_that_grows_a_hundredfold(get, site, tmp_path, monkeypatch):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr(CLIPS[0], bytes(2_000_000))
    site.data = file.getvalue()
    assert len(table(get(checksum=None))) == 1  # small enough, whatever the ratio
    shutil.rmtree(tmp_path / "tess")
    monkeypatch.setattr(corpora, "_ROOM", 1_000_000)
    with pytest.raises(FetchError, match="would grow to 1 MB, a hundred times its size; it was removed"):
        get(checksum=None)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_packed_in_an_unusual_way(get, site, tmp_path, method):
    """LZMA takes as much memory as the archive asks for."""
    site.data = archive(method=method, size=1_000)
    with pytest.raises(FetchError, match="packed in an unusual way; it was removed"):
        get(checksum=None)
    assert os.listdir(tmp_path) == []


def test_folder_that_cannot_be_written(site, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FetchError, match="cannot be stored"):
        fetch("tess", tmp_path / "file", url=site.url)


def test_a_folder_of_that_name_with_other_things_is_not_overwritten(get, tmp_path):
    (tmp_path / "tess").mkdir()
    (tmp_path / "tess" / "notes.txt").write_text("mine")
    with pytest.raises(FetchError, match="cannot be stored"):
        get()
    assert (tmp_path / "tess" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "corpus, way",
    [
        ("emovo", "on request"),
        ("savee", "registration"),
        ("crema-d", "git lfs install"),
        ("demo", r"call `demo\(\)`"),
    ],
)
def test_corpora_that_are_no_plain_download_say_how(tmp_path, corpus, way):
    with pytest.raises(FetchError, match=way):
        fetch(corpus, tmp_path)


def test_own_address_of_a_corpus_on_request(site, tmp_path):
    site.data = archive("EMOVO/f1/gio-f1-b1.wav")
    assert list(table(fetch("emovo", tmp_path, url=site.url, progress=False)).speaker) == ["emovo-f1"]


def test_no_folder_named(monkeypatch):
    monkeypatch.delenv("SER_DATA_DIR", raising=False)
    with pytest.raises(corpora.CorpusError, match="set SER_DATA_DIR"):
        fetch("tess")
    with pytest.raises(corpora.CorpusError, match="known ones are"):
        fetch("iemocap", ".")
