#!/usr/bin/env bash
# Creates the one environment of the workflow from requirements.lock.
# Usage: PYTHON=python3.11 workflow/create_environment.sh .venv
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:?folder of the environment}
python=${PYTHON:-python3.11}

as_root() { # runs a command as root if that needs no password, else fails
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@" 2>/dev/null; fi
}

if ! command -v "$python" >/dev/null; then
  echo "Python 3.11.4 or later is needed and '$python' is not there: install it (for example with pyenv or uv), or name it: make PYTHON=/path/to/python3.11" >&2
  exit 1
fi
if ! "$python" -c 'import sys; sys.exit(not (3, 11, 4) <= sys.version_info < (3, 14))'; then
  echo "Python 3.11.4 or later is needed and '$python' is $("$python" -V 2>&1) (Debian 12 ships 3.11.2): install a later one, for example with pyenv or uv, and name it: make PYTHON=/path/to/python3.11" >&2
  exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  as_root apt-get update -q && as_root apt-get install -y -q --no-install-recommends python3.11-venv || {
    echo "Python's venv module is not there: apt-get install python3.11-venv (as root), then make again" >&2
    exit 1
  }
fi
rm -rf "$venv"
"$python" -m venv "$venv"
"$venv/bin/pip" install --quiet --require-hashes --no-deps -r requirements.lock
"$venv/bin/pip" install --quiet --no-deps --no-build-isolation --editable .
"$venv/bin/pip" check
