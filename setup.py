"""Reads everything from settings.ini, so that a name, a version or a pin stands in one place."""

from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

here = Path(__file__).parent
parser = ConfigParser(delimiters=["="])
parser.read(here / "settings.ini", encoding="utf-8")
cfg = parser["DEFAULT"]


def lines(key):
    return [line.strip() for line in cfg[key].splitlines() if line.strip()]


train, scale, cloud, ray, docs, notebook = (
    lines(f"{extra}_requirements") for extra in ("train", "scale", "cloud", "ray", "docs", "notebook")
)
setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    author=cfg["author"],
    keywords=cfg["keywords"].split(),
    url=cfg["git_url"],
    python_requires=f">={cfg['min_python']}",
    # the page stands at the top of the repository and is installed inside the package,
    # so that no top-level name `webapp` lands in anyone's site-packages
    packages=["ser_nbdev", "ser_nbdev.webapp"],
    package_dir={"ser_nbdev": "ser_nbdev", "ser_nbdev.webapp": "webapp"},
    package_data={
        "ser_nbdev": ["bundles/*/*", "samples/*", "*.pyi", "py.typed"],
        "ser_nbdev.webapp": ["templates/*", "static/*"],
    },
    install_requires=lines("requirements"),
    extras_require={
        "train": train,
        "scale": scale,
        "cloud": scale + cloud,
        "ray": scale + ray,
        "listen": lines("listen_requirements"),
        "docs": docs,
        "notebook": notebook,
        "bench": lines("bench_requirements"),
        "fuzz": lines("fuzz_requirements"),
        "dev": train + scale + cloud + ray + docs + notebook + lines("dev_requirements"),
    },
    entry_points={
        "console_scripts": lines("console_scripts"),
        "nbdev": [f"{cfg['lib_name']}={cfg['lib_name']}._modidx:d"],
    },
    zip_safe=False,
)
