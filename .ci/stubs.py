"""Types for those who use the library: a .pyi beside each module, and a look at the code itself.

Classes grow by `@patch`, which no type checker follows. So each module is written out as if every patched method stood
in its class, a default of None saying so in the type; mypy checks that, and mypy's stubgen makes the .pyi of it.
`.ci/sync.py` writes the stubs beside the modules and compares them.

    python .ci/stubs.py    exit 1 and a line per finding
"""

import ast
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WITHOUT = ("_modidx.py",)


def plain(source: str) -> str:
    "A module's code with every patched method in its class."
    tree = ast.parse(source)
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    for node in [n for n in tree.body if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]:
        how = {ast.unparse(d).partition("(")[0]: ast.unparse(d) for d in node.decorator_list}
        if "patch" not in how:
            continue
        first = node.args.args[0]
        owner = classes[
            ast.unparse(first.annotation)
        ]  # a class of another module is a KeyError: write it here
        first.annotation = None
        kind = {"as_prop": "property", "cls_method": "classmethod"}
        node.decorator_list = [d for d in node.decorator_list if ast.unparse(d) != how["patch"]]
        node.decorator_list += [ast.Name(name) for key, name in kind.items() if key in how["patch"]]
        tree.body.remove(node)
        owner.body.append(node)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            _say_none(node.args)
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def _say_none(args):
    "`x: int = None` becomes `x: int | None = None`, which is what it means."
    positional = [*args.posonlyargs, *args.args]
    pairs = list(zip(positional[len(positional) - len(args.defaults) :], args.defaults))
    for arg, default in pairs + list(zip(args.kwonlyargs, args.kw_defaults)):
        silent = arg.annotation and "None" not in (told := ast.unparse(arg.annotation)) and told != "Any"
        if silent and isinstance(default, ast.Constant) and default.value is None:
            arg.annotation = ast.BinOp(arg.annotation, ast.BitOr(), ast.Constant(None))


def write_plain(library: Path, folder: Path):
    "The modules of `library`, written out plainly, into `folder`."
    folder.mkdir(parents=True)
    for module in sorted(library.glob("*.py")):
        if module.name not in WITHOUT:
            (folder / module.name).write_text(plain(module.read_text("utf-8")), encoding="utf-8")


def write_stubs(library: Path):
    "A .pyi beside every module of `library`; nothing is imported."
    with tempfile.TemporaryDirectory() as tmp:
        package = Path(tmp, library.name)
        write_plain(library, package)
        command = [Path(sys.executable).parent / "stubgen", "--parse-only", "-q", "-o", Path(tmp, "out")]
        files = sorted(p.relative_to(tmp) for p in package.glob("*.py"))
        done = subprocess.run([*command, *files], cwd=tmp, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"stubgen failed:\n{done.stdout}{done.stderr}")
        for stub in Path(tmp, "out", library.name).glob("*.pyi"):
            (library / stub.name).write_text(stub.read_text("utf-8"), encoding="utf-8")


def check(library: Path) -> str:
    "What mypy says of the modules, and of their stubs; empty if nothing."
    said = ""
    with tempfile.TemporaryDirectory() as tmp:
        write_plain(library, Path(tmp, library.name))
        for where, what in ((tmp, library.name), (library.parent, library.name)):
            command = [sys.executable, "-m", "mypy", "--config-file", ROOT / "mypy.ini", what]
            done = subprocess.run(command, cwd=where, capture_output=True, text=True)
            said += done.stdout + done.stderr if done.returncode else ""
    return said


if __name__ == "__main__":
    found = check(ROOT / "ser_nbdev")
    print(found or "mypy finds nothing amiss in the library and its stubs.")
    sys.exit(bool(found))
