"""The site: `make docs` runs Sphinx over nbs/ with these settings. What a page shows is decided in chapters.py."""

import re
import sys
from configparser import ConfigParser
from pathlib import Path

import latex2mathml.converter
from docutils import nodes

sys.path.insert(0, str(Path(__file__).parent))
import chapters  # noqa: E402

parser = ConfigParser(delimiters=["="])
parser.read(chapters.ROOT / "settings.ini", encoding="utf-8")
settings = parser["DEFAULT"]

project = settings["title"]
author = settings["author"]
copyright = settings["copyright"]
version = release = settings["version"]
language = "en"

extensions = ["myst_nb", "sphinx.ext.linkcode", "sphinx_copybutton"]
exclude_patterns = ["**.ipynb_checkpoints", "_proc", "**.md"]
templates_path = ["templates"]
nb_execution_mode = "off"  # the stored outputs are shown: nothing runs, nothing is fetched
nb_merge_streams = True
nb_render_markdown_format = "myst"
nb_code_prompt_show = nb_code_prompt_hide = "Source"
myst_enable_extensions = ["dollarmath", "fieldlist"]
myst_dmath_allow_digits = myst_dmath_allow_space = False  # $5 is a price
myst_heading_anchors = 4
# two rooms may use one name, and a cell may hold what no lexer knows
suppress_warnings = ["mystnb.unknown_mime_type", "ref.python", "misc.highlighting_failure"]
add_module_names = False
python_maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"
copybutton_exclude = ".linenos, .gp, .go"

html_math_renderer = "mathml"
html_theme = "furo"
html_title = project
html_favicon = "../webapp/static/icon.svg"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_baseurl = f"{settings['doc_host']}{settings['doc_baseurl']}/"
html_theme_options = {
    "top_of_page_buttons": ["view"],
    "source_view_link": f"{settings['git_url']}/blob/{settings['branch']}/nbs/{{filename}}",
    "footer_icons": [{"name": "GitHub", "url": settings["git_url"], "html": "GitHub", "class": ""}],
}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "github-dark"


def linkcode_resolve(domain, info):
    "Where on GitHub a name is defined."
    return chapters.source_link(info["module"], info["fullname"])


def accessible(app, name, template, context, doctree):
    "What screen readers and keyboards need and the theme leaves out: code can be scrolled, headings have a level."

    def lines(found):
        "A signature of several lines, which is no list of definitions."
        tags = {"<dl>": '<span class="sig-lines">', "<dd>": '<span class="sig-line">'}
        return re.sub(r"</?d[ld]>", lambda t: tags.get(t[0], "</span>"), found[0])

    wide = r'<(pre|div class="(?:table-wrapper|output text_html)[^"]*")(?=[ >])'
    body = re.sub(wide, r'<\1 tabindex="0"', context.get("body", ""))
    context["body"] = re.sub(r'<dt class="sig .*?</dt>', lines, body, flags=re.S)
    tree = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = tree.replace('role="heading"', 'role="heading" aria-level="2"')


def formula(self, node):
    "MathML, which browsers draw by themselves: no script, no fonts, no network."
    shown = "block" if node.tagname == "math_block" else "inline"
    self.body.append(latex2mathml.converter.convert(node.astext(), display=shown))
    raise nodes.SkipNode


def setup(app):
    app.connect(
        "source-read", lambda app, name, source: source.__setitem__(0, chapters.page(name, source[0]))
    )
    app.connect("html-page-context", accessible, priority=900)  # after the theme's own
    app.add_html_math_renderer("mathml", (formula, None), (formula, None))
