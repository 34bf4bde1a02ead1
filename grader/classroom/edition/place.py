"""Places the exercises in a folder: python -m {package} DIR"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent / "edition"


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print("usage: python -m {package} DIR", file=sys.stderr)
        return 2
    out = Path(sys.argv[1])
    written = kept = 0
    try:
        for source in sorted(path for path in HERE.rglob("*") if path.is_file()):
            if "__pycache__" in source.parts:
                continue
            target = out / source.relative_to(HERE)
            if target.exists():
                kept += 1
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
            written += 1
    except OSError as error:
        print(f"{out}: cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    print(f"{out}: {written} files written, {kept} of yours kept.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
