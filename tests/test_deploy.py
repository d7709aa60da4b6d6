"""What operators are given: the container, the compose file, the proxy, the systemd unit. No engine is needed."""

import fnmatch
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
CONTAINERFILE = (DEPLOY / "Containerfile").read_text()


def steps():
    "The instructions of the Containerfile: (name, rest), stage by stage."
    text = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", CONTAINERFILE, flags=re.M))
    stages = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, rest = line.split(None, 1)
        if name == "FROM":
            stages.append([])
        stages[-1].append((name, rest))
    return stages


def last(name):
    return [rest for n, rest in steps()[-1] if n == name][-1]


def test_the_image_is_small_and_its_user_is_nobody():
    *_, final = steps()
    assert len(steps()) == 2 and not [n for n, _ in final if n in ("RUN", "ADD")]  # what is built is copied
    assert all(re.search(r":\d[\w.-]+", rest) for stage in steps() for n, rest in stage if n == "FROM")
    user, group = map(int, last("USER").split(":"))
    assert user > 1000 and group > 1000
    assert not re.search(r"(?i)secret|password|api_key|token", CONTAINERFILE)
    assert [n for n, _ in final].index("USER") < [n for n, _ in final].index("ENTRYPOINT")
    assert last("STOPSIGNAL") == "SIGTERM" and isinstance(json.loads(last("ENTRYPOINT")), list)


def test_hadolint():
    hadolint = shutil.which("hadolint") or shutil.which("hadolint", path=Path(sys.executable).parent)
    if not hadolint:
        pytest.skip("hadolint is not installed (on Linux it is in the dev extra)")
    done = subprocess.run([hadolint, DEPLOY / "Containerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def sent_to_the_builder():
    "The files that .containerignore lets through."
    rules = (ROOT / ".containerignore").read_text().split()
    inside = [rule[1:] for rule in rules if rule.startswith("!")]
    never = [rule.removeprefix("**/") for rule in rules if rule.startswith("**/")]
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        if (
            parts[0] in inside
            and path.is_file()
            and not any(fnmatch.fnmatch(p, n) for p in parts for n in never)
        ):
            yield path


def test_the_steps_of_the_image_by_hand(tmp_path):
    "What is copied suffices to build from; what is started answers, and what checks it is content."
    context, source, made = (tmp_path / name for name in ("context", "source", "made"))
    for path in sent_to_the_builder():
        target = context / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    source.mkdir()
    for name, rest in steps()[0]:
        if name == "COPY":
            *what, _ = rest.split()
            for item in what:
                path = context / item
                shutil.copytree(path, source / item) if path.is_dir() else shutil.copy(path, source)
    needed, ours = [rest for name, rest in steps()[0] if name == "RUN"]
    for part in needed.split(" && ")[1:] + ours.split(" && "):
        hashed = re.search(r"pip install --require-hashes -r (requirements/\w+\.txt)$", part)
        assert (source / hashed[1]).exists() if hashed else "--no-deps" in part, part
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--target",
        made,
        ".",
    ]  # without what it needs
    built = subprocess.run(pip, cwd=source, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr

    ser, *args = json.loads(last("ENTRYPOINT")) + json.loads(last("CMD"))
    assert ser == "ser"
    args[args.index("--port") + 1] = "0"
    args[args.index("--host") + 1] = "127.0.0.1"
    code = f"import sys; sys.path.insert(0, {str(made)!r}); from ser_nbdev.cli import main; sys.exit(main())"
    server = subprocess.Popen(
        [sys.executable, "-c", code, *args],
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    try:
        port = re.search(r"http://127.0.0.1:(\d+)", server.stdout.readline())[1]
        check = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
        check = [sys.executable, *(part.replace(":8000", f":{port}") for part in check[1:])]
        assert subprocess.run(check, timeout=30).returncode == 0
    finally:
        server.send_signal(getattr(signal, last("STOPSIGNAL")))
        out, _ = server.communicate(timeout=60)
    assert server.returncode == 0 and out == "Stopped.\n"
    assert subprocess.run(check, timeout=30, capture_output=True).returncode != 0


def options():
    done = subprocess.run(
        [sys.executable, "-c", "from ser_nbdev.cli import main; main(['serve', '--help'])"],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "200"},
    )
    return set(re.findall(r"--[a-z-]+", done.stdout))


def test_the_compose_file():
    yaml = pytest.importorskip("yaml", reason="PyYAML is in the dev extra")
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    ser, proxy = services["ser"], services["proxy"]
    assert (
        DEPLOY / ser["build"]["context"] / ser["build"]["dockerfile"]
    ).resolve() == DEPLOY / "Containerfile"
    assert "ports" not in ser and proxy["ports"]  # the world meets the proxy alone
    assert ser["read_only"] and ser["cap_drop"] == ["ALL"] and "no-new-privileges:true" in ser["security_opt"]
    assert {arg for arg in ser["command"] if arg.startswith("--")} <= options()
    assert ser["command"][ser["command"].index("--proxies") + 1] == "1"
    assert all("$" in value for service in services.values() for value in service["environment"].values())
    for volume in proxy["volumes"]:
        if volume.startswith("."):
            assert (DEPLOY / volume.split(":")[0]).exists()
    stop, grace = int(ser["stop_grace_period"].rstrip("s")), 30
    assert stop > grace


def test_the_proxy():
    text = (DEPLOY / "Caddyfile").read_text()
    assert "reverse_proxy ser:8000" in text and "/metrics" in text and text.count("{") == text.count("}")
    assert "header_up X-Forwarded-For {remote_host}" in text


def test_the_systemd_unit(tmp_path):
    text = (DEPLOY / "ser.service").read_text()
    start = shlex.split(re.search(r"^ExecStart=(.*)$", text, re.M)[1])
    assert {arg for arg in start if arg.startswith("--")} <= options()
    assert int(re.search(r"TimeoutStopSec=(\d+)", text)[1]) > 30 and "DynamicUser=yes" in text
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed; the rest was looked at")
    unit = tmp_path / "ser.service"  # with a command that is there
    unit.write_text(text.replace(start[0], sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if "ser.service" in line]
    assert done.returncode == 0 and not said, done.stderr
