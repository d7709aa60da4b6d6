"""How a notebook becomes a page of the site.

Every notebook in nbs/ becomes one, in the order of its name, without being told. Its directives are obeyed and
then gone: `hide`, `echo: false`, `output: false`, `fig-alt`. An exported cell becomes an entry of the API for each public name
(signature, docstring, one line for each commented parameter, a link to the source), and its code follows, folded.
Names in backticks become links. Nothing is imported or run.
"""

import ast
import copy
import inspect
import io
import json
import re
import tokenize
from configparser import ConfigParser
from functools import cache
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT / "nbs"
# The sidebar: a chapter belongs to the last of these whose name is not after its own.
GROUPS = {
    "0": "Sound and data",
    "04": "The workshop",
    "07a": "At work",
    "07d": "The workshop",
    "08": "At work",
    "tutorials": "Tutorials",
}

_config = ConfigParser(delimiters=["="])
_config.read(ROOT / "settings.ini", encoding="utf-8")
SETTINGS = _config["DEFAULT"]
LIB = SETTINGS["lib_path"]
BLOB, TREE = (f"{SETTINGS['git_url']}/{kind}/{SETTINGS['branch']}/" for kind in ("blob", "tree"))


# --- directives

_DIRECTIVE = re.compile(r"^[ \t]*#\|[ \t]*([\w-]+):?[ \t]*(.*?)[ \t]*$\n?", flags=re.M)


def directives(source: str) -> tuple[dict, str]:
    "The directives of a code cell, and the cell without them."
    return dict(_DIRECTIVE.findall(source)), _DIRECTIVE.sub("", source).strip("\n")


def alternative(text: str) -> str:
    "The value of a `fig-alt`, with or without the quotes that YAML allows."
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


# --- what the library defines, and where


def _definitions(tree, prefix=""):
    "Pairs of a qualified name and its node, for all that a module or a class defines."
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield prefix + (f"{patched(node)}." if patched(node) else "") + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield prefix + node.name, node
            yield from _definitions(node, f"{prefix}{node.name}.")
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for name in (n for t in targets for n in getattr(t, "elts", [t]) if isinstance(n, ast.Name)):
                yield prefix + name.id, node


def patched(node) -> str | None:
    "The class that `@patch` adds a function to."
    if any("patch" in ast.unparse(d).split("(")[0] for d in node.decorator_list):
        return ast.unparse(node.args.args[0].annotation)
    return None


@cache
def library() -> dict:
    "module -> {qualified name: line}, of everything that is defined in the library."
    return {
        path.stem: {name: node.lineno for name, node in _definitions(ast.parse(path.read_text("utf-8")))}
        for path in sorted((ROOT / LIB).glob("*.py"))
        if path.stem not in ("__init__", "_modidx")
    }


def source_link(module: str, name: str) -> str | None:
    "The address of a definition on GitHub."
    line = library().get(module.rpartition(".")[2], {}).get(name)
    return f"{BLOB}{module.replace('.', '/')}.py#L{line}" if line else None


@cache
def documented() -> dict:
    "module -> the public names that its chapter gives an entry of the API."
    found = {}
    for path in chapters():
        module, names = None, set()
        for cell in json.loads((NBS / f"{path}.ipynb").read_text("utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                said, code = directives("".join(cell["source"]))
                module = said.get("default_exp", module)
                if {"export", "exports"} & said.keys():
                    names |= {name for name, _ in public(code)}
        found.setdefault(module, set()).update(names)
    return {module: names for module, names in found.items() if module}


def resolve(name: str, module: str | None) -> str | None:
    "The full name of what `name` means in the chapter of `module`; the chapter's own names come first."
    known = documented()
    if name in known.get(module, ()):
        return f"{LIB}.{module}.{name}"
    first, _, rest = name.partition(".")
    if rest and rest in known.get(first, ()):
        return f"{LIB}.{first}.{rest}"
    if not re.search("[A-Z_]", name):  # a word like `load` may mean anything
        return None
    homes = [home for home, names in known.items() if name in names]
    return f"{LIB}.{homes[0]}.{name}" if len(homes) == 1 else None


# --- the entries of the API


def public(code: str):
    "Pairs of a qualified name and its node, for what a cell defines for its users."
    for name, node in _definitions(ast.parse(code)):
        data = isinstance(node, (ast.Assign, ast.AnnAssign))
        if not any(part.startswith("_") for part in name.split(".")) and not (data and "." in name):
            yield name, node


def comments(code: str) -> dict:
    "line -> the comment that ends it."
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    return {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}


def parameters(node, said: dict):
    "Pairs of a parameter and the comment beside it; the last pair is what is returned."
    a = node.args
    args = [*a.posonlyargs, *a.args, *([a.vararg] if a.vararg else []), *a.kwonlyargs]
    args += [a.kwarg] if a.kwarg else []
    start = node.body[0].lineno
    ends = [arg.lineno for arg in args[1:]] + [node.returns.lineno if node.returns else start]
    for arg, end in zip(args, ends):
        last = max(arg.lineno, end - 1)
        beside = [said[line] for line in range(arg.lineno, last + 1) if line in said and line < start]
        if beside and end > arg.lineno:
            yield arg.arg, beside[0]
    head = node.returns.end_lineno if node.returns else None
    if head in said:
        yield "return", said[head]


def fields(node, said: dict):
    "Pairs of a dataclass's field and the comment beside it."
    for line in node.body:
        if isinstance(line, ast.AnnAssign) and line.end_lineno in said:
            yield line.target.id, said[line.end_lineno]


def _short(value):
    "A default value that has room in a signature."
    return ast.Call(value.func, [ast.Constant(...)], []) if isinstance(value, ast.Call) else value


def signature(node, drop_first: bool) -> str:
    "The arguments as they are written, on one line."
    args = copy.deepcopy(node.args)
    for defaults in (args.defaults, args.kw_defaults):  # of a call only what is called
        defaults[:] = [d and _short(d) for d in defaults]
    text = ast.unparse(args)
    if drop_first:
        first = node.args.args[0]
        text = text.removeprefix(ast.unparse(first)).removeprefix(", ")
    return f"({text})" + (f" -> {ast.unparse(node.returns)}" if node.returns else "")


def entry(name: str, node, code: str, module: str) -> str:
    "One name of the API as a directive of Sphinx's Python domain."
    said = comments(code)
    doc, about, head, options = "", [], name, [f":module: {LIB}.{module}"]
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        kind, value = "data", ast.unparse(node.value) if node.value else ""
        if value and len(value) <= 60:
            options.append(f":value: {value}")
        doc = said.get(node.lineno, "")
    elif isinstance(node, ast.ClassDef):
        kind = (
            "exception" if any(re.search("Error|Exception", ast.unparse(b)) for b in node.bases) else "class"
        )
        made = next((n for n in node.body if getattr(n, "name", "") == "__init__"), None)
        about = list(parameters(made, said)) if made else list(fields(node, said))
        head += signature(made, True) if made else ""
        doc = ast.get_docstring(node) or ""
    else:
        how = " ".join(map(ast.unparse, node.decorator_list))
        kind = "method" if "." in name else "function"
        if "property" in how or "as_prop" in how:
            kind = "property"
            options += [f":type: {ast.unparse(node.returns)}"] if node.returns else []
        else:
            static = "staticmethod" in how
            head += signature(node, "." in name and not static)
        options += [":classmethod:"] if re.search("cls_method|classmethod", how) else []
        about = [(p, text) for p, text in parameters(node, said)]
        doc = ast.get_docstring(node) or ""
    lines = [f":param {p}: {text}" if p != "return" else f":returns: {text}" for p, text in about]
    body = "\n".join([linked(inspect.cleandoc(doc), module), "", *(linked(line, module) for line in lines)])
    return f"``````{{py:{kind}}} {head}\n" + "\n".join(options) + f"\n\n{escaped(body).strip()}\n``````"


def escaped(text: str) -> str:
    "Markdown in which `<` opens nothing, outside of code."
    parts = re.split(r"(`+[^`]*`+)", text)
    return "".join(p if p.startswith("`") else p.replace("<", "&lt;") for p in parts)


# --- the text


def linked(text: str, module: str | None) -> str:
    "Markdown whose names in backticks lead to their entries; headings, links and code are left as they are."

    def link(found):
        name = found[1]
        full = resolve(name.removesuffix("()"), module)
        return f"{{py:obj}}`{name} <{full}>`" if full else found[0]

    out, fenced = [], False
    for line in text.split("\n"):
        fenced ^= line.lstrip().startswith("```")
        plain = fenced or line.startswith(("#", "    ")) or "](" in line
        out.append(line if plain else re.sub(r"(?<![`\]\[}])`([A-Za-z_][\w.]*(?:\(\))?)`(?!`)", link, line))
    return "\n".join(out)


def relinked(text: str, page: str) -> str:
    "Markdown whose links lead to chapters by their anchors, and to other files of the repository on GitHub."

    def link(found):
        target, _, anchor = found[1].partition("#")
        if re.match(r"\w+:", target):
            return found[0]
        if target and not target.endswith(".ipynb"):
            path = (NBS / page).parent.joinpath(target).resolve()
            if path.is_relative_to(ROOT) and not path.is_relative_to(NBS):
                return f"]({TREE if path.is_dir() else BLOB}{path.relative_to(ROOT).as_posix()})"
        return f"]({target}{'#' + anchor.lower() if anchor else ''})"

    return re.sub(r"\]\(([^()\s]+)\)", link, text)


# --- the page


def group(path: str) -> str:
    "Where a page stands in the sidebar."
    return [name for first, name in GROUPS.items() if first <= path][-1]


def chapters() -> list:
    "All pages but the home page, in order: the chapters by group and name, then the tutorials as the home page mentions them."
    home = (NBS / "index.ipynb").read_text("utf-8")
    found = [p.relative_to(NBS).with_suffix("").as_posix() for p in NBS.rglob("*.ipynb")]
    found = [
        p for p in found if p != "index" and not any(q.startswith((".", "_")) for q in PurePosixPath(p).parts)
    ]
    groups = list(dict.fromkeys(GROUPS.values()))
    return sorted(
        found, key=lambda p: (groups.index(group(p)), home.find(f"{p}.ipynb") if "/" in p else 0, p)
    )


def contents() -> str:
    "The sidebar, as the table of contents that Sphinx takes."
    groups = {}
    for path in chapters():
        groups.setdefault(group(path), []).append(path)
    groups["Reference"] = ["All names <genindex>"]
    lists = (
        "\n".join(["```{toctree}", ":hidden:", f":caption: {g}", "", *p, "```"]) for g, p in groups.items()
    )
    return "\n\n".join(lists)


def heading(page: str, module: str | None, colab: bool) -> str:
    "What stands below the title: the module, and where the chapter can be opened."
    file = f"{SETTINGS['nbs_path']}/{page}.ipynb"
    repo, branch = f"{SETTINGS['user']}/{SETTINGS['repo']}", SETTINGS["branch"]
    links = {"Notebook": f"{BLOB}{file}"}
    if colab:
        links["Open in Colab"] = f"https://colab.research.google.com/github/{repo}/blob/{branch}/{file}"
    links["Open in Binder"] = f"https://mybinder.org/v2/gh/{repo}/{branch}?labpath={file}"
    row = "".join(f'<a href="{url}">{text}</a>' for text, url in links.items())
    code = f"<code>{LIB}.{module}</code>" if module else ""
    here = f"\n\n```{{py:currentmodule}} {LIB}.{module}\n```" if module else ""
    return f'<p class="chapter">{code}{row}</p>{here}'


def page(name: str, source: str) -> str:
    "The notebook that Sphinx reads, as JSON, in place of the one in nbs/."
    book = json.loads(source)
    said = [directives("".join(c["source"]))[0] for c in book["cells"] if c["cell_type"] == "code"]
    module = next((d["default_exp"] for d in said if "default_exp" in d), None)
    colab = "google.colab" in source
    cells, seen = [], set()

    def add(text):
        made = dict(cell_type="markdown", id=f"made-{len(cells)}", metadata={}, source=text)
        cells.append(made)

    for cell in book["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            cells.append(cell | {"source": relinked(linked(text, module), name)})
            if len(cells) == 1:
                add(heading(name, module, colab))
        elif cell["cell_type"] == "code":
            told, code = directives(text)
            if {"hide", "default_exp"} & told.keys() or told.get("include") == "false" or not code:
                continue
            exported = {"export", "exports", "exporti"} & told.keys()
            if exported and "exporti" not in told:
                for symbol, node in public(code):
                    again = "" if symbol not in seen else ":no-index:\n"
                    seen.add(symbol)
                    add(entry(symbol, node, code, module).replace(":module:", f"{again}:module:", 1))
            cells.append(shown(cell, code, told, bool(exported), name))
    if name == "index":
        add(contents())
    metadata = book["metadata"] | {"language_info": {"name": "python", "pygments_lexer": "ipython3"}}
    metadata.pop("widgets", None)  # their state would have scripts fetched from elsewhere
    return json.dumps(book | {"cells": cells, "metadata": metadata})


def shown(cell: dict, code: str, told: dict, exported: bool, page: str) -> dict:
    "A code cell as its directives want it: folded where it is exported, with its pictures described."
    imports = all(isinstance(n, (ast.Import, ast.ImportFrom)) for n in _parsed(code))
    defines = exported and re.search(r"^(@|def |class |async )", code, flags=re.M)
    tags = ["hide-input"] if imports or defines else []
    tags += ["remove-input"] if told.get("echo") == "false" else []
    tags += ["remove-output"] if told.get("output") == "false" else []
    metadata = {"tags": tags}
    if "fig-alt" in told:
        metadata["mystnb"] = {"image": {"alt": alternative(told["fig-alt"])}}
    return cell | {
        "source": code,
        "metadata": metadata,
        "outputs": [output(o, page) for o in cell["outputs"]],
    }


def _parsed(code: str) -> list:
    "The statements of a cell; none of one that is no plain Python, such as a cell with a magic."
    try:
        return ast.parse(code).body or [None]
    except SyntaxError:
        return [None]


def output(out: dict, page: str) -> dict:
    "An output without what only a notebook can show."
    if "data" not in out:
        return out
    data = {kind: value for kind, value in out["data"].items() if not kind.startswith("application/")}
    if "text/markdown" in data:
        data["text/markdown"] = relinked("".join(data["text/markdown"]), page)
    return out | {"data": data}
