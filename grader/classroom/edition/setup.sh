#!/usr/bin/env bash
# Prepares the machine, once: Python's own virtual environment, with the grader in it.
set -euo pipefail
root="${AUTOGRADER_ROOT:-/autograder}"
wheels="$root/source/wheels"
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "Python 3.11 or later is needed; choose a newer base image (Ubuntu 24.04)." >&2
  exit 1
fi
if ! python3 -c 'import ensurepip' 2>/dev/null; then
  apt-get update
  apt-get install -y --no-install-recommends python3-venv
fi
python3 -m venv "$root/venv"
where=(--extra-index-url https://download.pytorch.org/whl/cpu)
if compgen -G "$wheels/torch-*.whl" >/dev/null; then  # all that is needed came along
  where=(--no-index)
fi
"$root/venv/bin/python" -m pip install --disable-pip-version-check "${where[@]}" \
  --find-links "$wheels" --constraint "$root/source/constraints.txt" "$wheels"/happyllm-*.whl
