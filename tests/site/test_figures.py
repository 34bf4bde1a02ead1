"""The figures that are committed are those that their scripts draw, byte for byte."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from .conftest import DOCS, ROOT

COMMITTED = DOCS / "shared" / "assets" / "figures"
SCRIPTS = DOCS / "figures"

DRAW = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import draw
draw.FOLDER = Path(sys.argv[2])
draw.main()
"""


def drawn(folder):
    done = subprocess.run(
        [sys.executable, "-B", "-c", DRAW, str(SCRIPTS), str(folder)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.skipif(not (SCRIPTS / "draw.py").is_file(), reason="there are no figures yet")
def test_every_figure_is_what_its_script_draws(tmp_path):
    new = drawn(tmp_path)
    old = {file.name: file.read_bytes() for file in COMMITTED.iterdir()}
    assert new.keys() == old.keys(), "draw them: python docs/figures/draw.py"
    stale = [name for name in new if new[name] != old[name]]
    assert not stale, f"draw them again, python docs/figures/draw.py: {stale}"


@pytest.mark.parametrize("figure", sorted(COMMITTED.glob("*.svg")), ids=lambda file: file.name)
def test_a_figure_is_read_on_white_and_on_black(figure):
    """No background, no ink that is nearly black or nearly white, nothing from elsewhere."""
    text = figure.read_text(encoding="utf-8")
    for ink in ("#000000", "#ffffff", "fill: black", "fill: white"):
        assert ink not in text, f"{ink} is not seen on one of the two"
    assert 'href="http' not in text.replace('xlink:href="#', "")
