"""Building the book's two sites, and telling whether what was built is what is written."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Final

from grader import shelf

# What the sites are made from, below the root; a folder stands for all that lies in it.
SOURCES: Final = (*("mkdocs.yml", "mkdocs.zh.yml", "docs", "happyllm", "grader", "exercises"),)
TOOLS: Final = ("mkdocs", "mkdocs-material", "mkdocstrings", "mkdocstrings-python")
BUILDER: Final = (sys.executable, "-m", "mkdocs", "build", "--strict")
CONFIGS: Final = {"en": "mkdocs.yml", "zh": "mkdocs.zh.yml"}
_SUFFIXES: Final = {".md", ".toml", ".txt", ".yml", ".svg", ".html", ".css", ".js", ".woff2", ".py"}


class BuildError(Exception):
    """The site cannot be built; the message says what is missing, or what the builder said."""


def root() -> Path:
    """The folder that holds mkdocs.yml: the checkout, or what a wheel carries.

    Raises:
        BuildError: this installation carries no book.
    """
    place = shelf.checkout() or shelf.GRADER / "views"
    if not (place / CONFIGS["en"]).is_file():
        raise BuildError(
            f"{place}: this installation carries no book (there is no {CONFIGS['en']}); "
            "install happyllm again, or start from a checkout"
        )
    return place


def cached(cache: Path | None = None, *, anew: bool = False) -> Path:
    """The built site, from the cache where it is still true to its sources.

    Raises:
        BuildError: it cannot be built.
    """
    place = root()
    site = _kept(place, cache)
    if anew or not (site / "index.html").is_file():
        build(place, site)
        for old in site.parent.iterdir():
            if old != site and old.is_dir():
                shutil.rmtree(old, ignore_errors=True)
    return site


def is_cached(cache: Path | None = None) -> bool:
    """Whether the cache holds a site that is still true to its sources."""
    return (_kept(root(), cache) / "index.html").is_file()


def _kept(place: Path, cache: Path | None) -> Path:
    return (cache or default_cache()) / fingerprint(place)[:16]


def default_cache() -> Path:
    """Where built sites are kept: in the user's own cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "happyllm" / "site"


def fingerprint(place: Path) -> str:
    """A digest of all that the sites are made from, the versions of the builders among it."""
    digest = hashlib.sha256()
    for tool in TOOLS:
        digest.update(f"{tool} {_version(tool)}\n".encode())
    for source in SOURCES:
        start = place / source if (place / source).exists() else shelf.GRADER.parent / source
        files = [start] if start.is_file() else sorted(start.rglob("*"))
        for file in files:
            if file.suffix in _SUFFIXES and "views" not in file.relative_to(start).parts:
                digest.update(f"{source} {file.relative_to(start)}\n".encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _version(tool: str) -> str:
    try:
        return metadata.version(tool)
    except metadata.PackageNotFoundError:
        return "none"


def build(place: Path, site: Path) -> None:
    """Build both sites, side by side, and put them in place whole: English, and below it zh/.

    Args:
        place: the folder that holds mkdocs.yml.
        site: where the site goes; what lies there is replaced.

    Raises:
        BuildError: the builders are not installed, or found something wrong.
    """
    missing = [name for name in ("mkdocs", "material", "mkdocstrings") if not _found(name)]
    if missing:
        raise BuildError(
            f"the book cannot be built, since {', '.join(missing)} is not installed; "
            "`pip install 'happyllm[docs]'` installs what it needs"
        )
    site.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=site.parent, prefix=".building-") as scratch:
        folders = {language: Path(scratch, language) for language in CONFIGS}
        running = {
            language: subprocess.Popen(
                [*BUILDER, "-f", CONFIGS[language], "-d", str(folder)],
                cwd=place,
                env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONWARNINGS": "ignore"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
            for language, folder in folders.items()
        }
        said = {language: process.communicate()[0] for language, process in running.items()}
        for language, process in running.items():
            if process.returncode != 0:
                raise BuildError(f"{place / CONFIGS[language]}: {_relevant(said[language])}")
        shutil.move(folders["zh"], folders["en"] / "zh")
        if site.exists():
            shutil.rmtree(site)
        folders["en"].rename(site)


def _found(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _relevant(said: str) -> str:
    """What the builder said, without the chatter of the word segmenter."""
    chatter = ("Building prefix dict", "Loading model", "Dumping model", "Prefix dict")
    lines = [line for line in said.strip().splitlines() if not line.startswith(chatter)]
    return "\n".join(lines[-30:])
