"""Write every figure of the book: `python docs/figures/draw.py`."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent / "shared" / "assets" / "figures"


def main() -> None:
    """Draw them all, byte for byte the same each time."""
    sys.path.insert(0, str(HERE))
    FOLDER.mkdir(parents=True, exist_ok=True)
    for script in sorted(HERE.glob("*.py")):
        if script.stem in ("draw", "style"):
            continue
        for name, figure in import_module(script.stem).draw().items():
            figure.savefig(FOLDER / name, transparent=True, metadata={"Date": None})


if __name__ == "__main__":
    main()
