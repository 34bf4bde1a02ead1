"""Grades what was handed in to Gradescope: python grade.py /autograder

Where the grader itself fails nothing is written, so that nobody gets a zero for it: Gradescope then
says that the autograder did not work.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CHAPTER = "{chapter}"
LANGUAGE = "{language}"
SETTLED = (0, 1)  # all is graded; something is to be looked at, such as a file that cannot be read


def main() -> int:
    root = Path(sys.argv[1]).resolve()
    source = Path(__file__).resolve().parent
    results = root / "results"
    results.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="happyllm-") as scratch:
        work = Path(scratch)
        shutil.copytree(root / "submission", work / "hand-ins" / "submission", symlinks=True)
        command = [sys.executable, "-P", "-m", "grader", "class", str(work / "hand-ins")]
        command += ["--chapter", CHAPTER, "--out", str(work / "grades"), "--jobs", "1", "--plain"]
        command += ["--lang", LANGUAGE]
        if (source / "policy.toml").exists():
            command += ["--policy", str(source / "policy.toml")]
        done = subprocess.run(command, cwd=work, check=False)
        made = sorted((work / "grades" / "gradescope").glob("*.json"))
        if done.returncode not in SETTLED or len(made) != 1:
            print(f"The grader ended with status {done.returncode}.", file=sys.stderr)
            return 3
        shutil.copyfile(made[0], results / "results.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
