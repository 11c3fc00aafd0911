#!/usr/bin/env bash
# Makes a virtual environment and installs edgepress into it. Usage: make_venv.sh FOLDER EXTRAS
# Run by `make`; needs nothing but a Python 3.11-3.13 (installs python3-venv with apt when root).
set -euo pipefail
folder=$1 extras=$2
python=${PYTHON:-}
if [ -z "$python" ]; then
  for candidate in python3.11 python3 python3.12 python3.13; do
    if command -v "$candidate" >/dev/null 2>&1 &&
      "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      python=$candidate
      break
    fi
  done
fi
if [ -z "$python" ]; then
  echo "edgepress needs Python 3.11, 3.12 or 3.13; name one with: make PYTHON=/path/to/python3.11 ..." >&2
  exit 2
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv
  else
    echo "Python's venv module is missing; install it first, on Debian: sudo apt-get install python3-venv" >&2
    exit 2
  fi
fi
[ -x "$folder/bin/python" ] || "$python" -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[$extras]"
