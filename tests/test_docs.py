"""The site is built once, as `make docs` does, and walked: every page, link, anchor, picture and source link."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs"))
import chapters  # noqa: E402

NOTEBOOKS = sorted(p for p in (ROOT / "nbs").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
BROWSER = next(
    filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome", "chrome"])), None
)


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    "The folder of the site; a warning of Sphinx, such as a link to nowhere, is an error."
    folder = tmp_path_factory.mktemp("docs")
    command = [Path(sys.executable).parent / "sphinx-build", "-q", "-W", "--keep-going", "-c", ROOT / "docs"]
    built = subprocess.run(
        [*command, "-d", folder / "doctrees", ROOT / "nbs", folder / "html"], capture_output=True, text=True
    )
    assert built.returncode == 0 and not built.stderr, built.stderr
    return folder / "html"


@pytest.fixture(scope="session")
def pages(site):
    return {
        path.relative_to(site).as_posix(): BeautifulSoup(path.read_text("utf-8"), "html.parser")
        for path in sorted(site.rglob("*.html"))
    }


@pytest.fixture(scope="session")
def own(pages):
    "The pages that notebooks became."
    return {f"{p.relative_to(ROOT / 'nbs').with_suffix('')}.html": p for p in NOTEBOOKS}


def test_every_notebook_is_a_page_with_a_title_in_the_sidebar(pages, own):
    sidebar = {a.get_text(): a["href"] for a in pages["index.html"].select(".sidebar-tree a.reference")}
    for name, path in own.items():
        assert len(pages[name].select("h1")) == 1, name
        title = json.loads(path.read_text("utf-8"))["cells"][0]["source"][0].lstrip("# ").strip()
        assert pages[name].title.get_text().startswith(title), name
        assert name == "index.html" or sidebar[title] == name
    assert len(pages["index.html"].select(".sidebar-tree p.caption")) >= 4
    order = [href for href in sidebar.values() if href in own and "/" not in href]
    assert order == [f"{page}.html" for page in chapters.chapters() if "/" not in page]
    work = [href for href in order if chapters.group(href) == "At work"]
    assert work == sorted(work) and order[-len(work) :] == work and "07d_comparison.html" not in work


def test_pages_lead_to_the_one_before_and_the_one_after(pages):
    there = chapters.chapters()
    for before, after in zip(there, there[1:]):
        ahead = pages[f"{before}.html"].select_one("a.next-page")["href"]
        assert (Path(before).parent / ahead).with_suffix("").name == Path(after).name


def test_no_link_or_anchor_is_broken(site, pages):
    anchors = {name: {t["id"] for t in page.select("[id]")} | {""} for name, page in pages.items()}
    walked = 0
    for name, page in pages.items():
        for tag, key in (("a", "href"), ("link", "href"), ("img", "src"), ("script", "src")):
            for target in (t[key] for t in page.find_all(tag) if t.get(key)):
                parts = urlsplit(target)
                if parts.scheme or parts.netloc:
                    assert tag == "a" or "canonical" in str(page.find(tag, {key: target})), target
                    continue
                file = (site / name).parent.joinpath(unquote(parts.path)) if parts.path else site / name
                assert file.is_file(), f"{name} leads to {target}"
                inside = file.resolve().relative_to(site.resolve()).as_posix()
                if parts.fragment and inside in anchors:
                    assert unquote(parts.fragment) in anchors[inside], f"{name} leads to {target}"
                walked += 1
    assert walked > 1000


def test_links_into_the_repository_lead_to_files_and_definitions(pages):
    lines, walked = {}, 0
    for name, page in pages.items():
        for a in page.find_all("a", href=True):
            for start in (chapters.BLOB, chapters.TREE):
                if not a["href"].startswith(start):
                    continue
                path, _, line = a["href"].removeprefix(start).partition("#L")
                assert (ROOT / path).exists(), f"{name} leads to {path}"
                if line:
                    of = lines.setdefault(path, (ROOT / path).read_text("utf-8").split("\n"))
                    full = a.find_previous("dt")["id"]
                    assert re.search(rf"\b{full.rpartition('.')[2]}\b", of[int(line) - 1]), full
                    walked += 1
    assert walked > 150


def test_what_is_public_has_an_entry_with_its_parameters(pages):
    ids = Counter(tag["id"] for page in pages.values() for tag in page.select("dt[id]"))
    for module, names in chapters.documented().items():
        for name in names:
            assert ids[f"ser_nbdev.{module}.{name}"] == 1, (module, name)
    entry = pages["08_serving.html"].find(id="ser_nbdev.serving.Recognizer.predict").find_parent("dl")
    said = entry.get_text(" ")
    for part in (
        "max_seconds",
        "samples per second of an array, in Hz",
        "Raises a subclass of",
        "Prediction",
    ):
        assert part in said, part
    assert entry.select_one("a[href$='#ser_nbdev.audio.AudioError']")


def test_no_directive_is_in_sight(pages):
    for name, page in pages.items():
        assert "#|" not in page.get_text(), name
        assert "show_doc" not in page.get_text(), name


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_picture_is_described(notebook):
    for cell in json.loads(notebook.read_text("utf-8"))["cells"]:
        kinds = [kind for out in cell.get("outputs", []) for kind in out.get("data", {})]
        if any(kind.startswith("image/") for kind in kinds):
            told, _ = chapters.directives("".join(cell["source"]))
            assert len(told.get("fig-alt", "")) > 30, (
                f"{notebook.name}, cell {cell['id']}: say what the picture shows, in a first line `#| fig-alt: ...`"
            )


def test_descriptions_arrive_on_the_page(pages, own):
    for name in own:
        for image in pages[name].select("article img"):
            assert len(image.get("alt", "")) > 30 and "_images" not in image["alt"], (name, image)
    assert pages["00_emotions.html"].select_one("article img")


def test_nothing_comes_from_elsewhere(site, pages):
    for name, page in pages.items():
        for tag in page.select("script[src], img[src], link[rel=stylesheet], audio[src], iframe"):
            assert not urlsplit(tag.get("src") or tag.get("href")).netloc, (name, tag)
    for sheet in (site / "_static").rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//", sheet.read_text("utf-8")), sheet


def test_chapters_open_in_binder_and_in_colab_where_they_are_ready_for_it(pages, own):
    for name, path in own.items():
        offered = {a.get_text(): a["href"] for a in pages[name].select("p.chapter a")}
        file = path.relative_to(ROOT).as_posix()
        assert offered["Open in Binder"].endswith(f"labpath={file}")
        ready = "google.colab" in path.read_text("utf-8")
        assert ("Open in Colab" in offered) == ready
        if ready:
            assert offered["Open in Colab"].endswith(f"/blob/{chapters.SETTINGS['branch']}/{file}")
            assert f"{chapters.SETTINGS['git_url']} /content" in path.read_text("utf-8")
    assert "-e .[train,notebook]" in (ROOT / "binder" / "requirements.txt").read_text()


def test_the_search_index_knows_the_functions(site):
    index = (site / "searchindex.js").read_text("utf-8")
    for name in ("cross_validate", "write_bundle", "fit_adaptation"):
        assert name in index, name


# --- how a page is made


def book(*cells):
    "The JSON of a notebook with these cells: text, or code that starts with #|."
    made = [
        (
            dict(cell_type="code", id=f"c{i}", source=c, metadata={}, outputs=[], execution_count=None)
            if c.startswith("#|")
            else dict(cell_type="markdown", id=f"c{i}", source=c, metadata={})
        )
        for i, c in enumerate(cells)
    ]
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def made(*cells, page="07_new"):
    return [c for c in json.loads(chapters.page(page, book(*cells)))["cells"]]


def test_directives_are_obeyed_and_gone():
    _, _, echo, told = made("# A", "#| hide\nsecret = 1", "#| echo: false\nx = 1", '#| fig-alt: "A b"\ny = 2')
    assert (echo["source"], echo["metadata"]["tags"]) == ("x = 1", ["remove-input"])
    assert (told["source"], told["metadata"]["mystnb"]) == ("y = 2", {"image": {"alt": "A b"}})


def test_the_state_of_widgets_is_left_out():
    "With it, myst-nb has require.js fetched from another server."
    stored = json.loads(book("# A"))
    stored["metadata"]["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {}}}
    assert "widgets" not in json.loads(chapters.page("07_new", json.dumps(stored)))["metadata"]


def test_an_export_becomes_an_entry_and_its_code_is_folded():
    code = '#| export\ndef f(\n    a: int,  # how many\n    *,\n    b=dict(x=1),  # what <else>\n) -> str:  # a word\n    "Does `f`."'
    _, _, entry, source = made("# A", "#| default_exp new", code)
    assert "{py:function} f(a: int, *, b=dict(...)) -> str" in entry["source"]
    for line in (
        ":param a: how many",
        ":param b: what &lt;else>",
        ":returns: a word",
        ":module: ser_nbdev.new",
    ):
        assert line in entry["source"], entry["source"]
    assert source["metadata"]["tags"] == ["hide-input"] and source["source"].startswith("def f(")


def test_names_and_files_become_links():
    text = (
        "`Recognizer`, `load`, `audio.load`, [x](../Makefile), [y](01_audio.ipynb#The-Clip), [z](https://a.b)"
    )
    said = made("# A", text)[2]["source"]
    assert "{py:obj}`Recognizer <ser_nbdev.serving.Recognizer>`" in said or "`Recognizer`, " in said
    assert chapters.linked("`Recognizer` and `load`", None).endswith("and `load`")
    assert "{py:obj}`audio.load <ser_nbdev.audio.load>`" in chapters.linked("`audio.load`", None)
    assert f"[x]({chapters.BLOB}Makefile), [y](01_audio.ipynb#the-clip), [z](https://a.b)" in said


def test_a_new_tutorial_is_a_page_without_being_told(tmp_path):
    for name in ("docs", "ser_nbdev"):
        shutil.copytree(
            ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.tflite")
        )
    shutil.copy(ROOT / "settings.ini", tmp_path)
    (tmp_path / "webapp" / "static").mkdir(parents=True)
    shutil.copy(ROOT / "webapp" / "static" / "icon.svg", tmp_path / "webapp" / "static")
    (tmp_path / "nbs" / "tutorials").mkdir(parents=True)
    new = book(
        "# Post\n\n> A tutorial",
        "[home](../index.ipynb), [Makefile](../../settings.ini), it costs $5 or $6, and $x^2$",
        "#| eval: false\n!ls | wc",
        "#| slow\n%%bash\ncurl 127.0.0.1",
    )
    (tmp_path / "nbs" / "index.ipynb").write_text(book("# Home\n\n> motto", "Text."))
    (tmp_path / "nbs" / "tutorials" / "post.ipynb").write_text(new)
    command = [Path(sys.executable).parent / "sphinx-build", "-q", "-W", "-c", "docs", "nbs", "out"]
    built = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert built.returncode == 0 and not built.stderr, built.stderr
    page = BeautifulSoup((tmp_path / "out" / "tutorials" / "post.html").read_text("utf-8"), "html.parser")
    links = [a["href"] for a in page.select("article a")]
    assert {"../index.html", f"{chapters.BLOB}settings.ini"} <= set(links)
    assert "it costs $5 or $6" in page.get_text() and len(page.select("math msup")) == 1
    assert "curl 127.0.0.1" in page.get_text() and "#|" not in page.get_text()
    home = BeautifulSoup((tmp_path / "out" / "index.html").read_text("utf-8"), "html.parser")
    assert home.select_one(".sidebar-tree a[href='tutorials/post.html']").get_text() == "Post"


def test_nbdev_can_process_every_chapter_for_quarto(tmp_path):
    "What `nbdev_preview` does before Quarto comes in: it runs imports and exported cells, from the top."
    for name in ("nbs", "ser_nbdev", "tests", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "settings.ini", tmp_path)
    code = "from nbdev.serve import proc_nbs\nif __name__ == '__main__': proc_nbs('nbs', n_workers=1)"
    (tmp_path / "process.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "process.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    there = {p.relative_to(tmp_path / "_proc").as_posix() for p in (tmp_path / "_proc").rglob("*.ipynb")}
    assert there == {p.relative_to(ROOT / "nbs").as_posix() for p in NOTEBOOKS}


# --- in a browser, without a server


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is in the dev extra")
    if BROWSER is None:
        pytest.skip("no Chromium was found on the PATH")
    with playwright.sync_playwright() as p:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        browser = p.chromium.launch(executable_path=BROWSER, args=flags)
        yield browser
        browser.close()


def test_search_works_from_a_folder(site, browser):
    page = browser.new_page()
    page.goto(f"{site.as_uri()}/index.html")
    page.fill("input[name=q]", "cross_validate")
    page.press("input[name=q]", "Enter")
    page.wait_for_selector("#search-results li a")
    found = page.locator("#search-results li a").evaluate_all("links => links.map(a => a.href)")
    assert any("#ser_nbdev.training.cross_validate" in url for url in found), found
    page.close()


@pytest.mark.parametrize("width, scheme", [(390, "light"), (1280, "dark")])
def test_pages_fit_and_nothing_serious_is_in_the_way(site, browser, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is in the dev extra").Axe()
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    for name in ("index", "05_model", "08_serving", "search"):
        page.goto(f"{site.as_uri()}/{name}.html")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        broken = axe.run(page).response["violations"]
        serious = [(v["id"], v["nodes"][0]["html"]) for v in broken if v["impact"] in ("serious", "critical")]
        assert not serious, (name, serious)
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", paper)[:3])) < 380) == (scheme == "dark"), paper
    context.close()
