#!/usr/bin/env bash
# Runs the tests that `make test` skips because they need Ray, array_record or TensorFlow Datasets.
# These are installed into .venv-optional, which sees the packages of .venv and leaves them as they are.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=.venv-optional
stamp_file="$venv/set-up.sha256"
stamp=$(cat .venv/set-up.sha256 scripts/test_optional.sh | sha256sum | cut -d' ' -f1)

if [ "$(cat "$stamp_file" 2>/dev/null || true)" != "$stamp" ]; then
  echo "test-optional: building $venv on top of .venv (a few minutes, about 2 GB with TensorFlow)"
  rm -rf "$venv"
  .venv/bin/python -m venv "$venv"
  below=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  above=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  # addsitedir, unlike a plain path, also finds the editable install of this project.
  printf 'import site; site.addsitedir(%s)\n' "'$below'" >"$above/packages_of_venv.pth"
  # TensorFlow needs an older h5py than the one of the set-up; all else stays at the tested versions.
  grep -v '^h5py==' constraints.txt >"$venv/constraints.txt"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint "$venv/constraints.txt" \
    --editable '.[ray,tfds]'
  printf '%s\n' "$stamp" >"$stamp_file"
fi
# -P: the folder stays off the path, as with the command pytest.
OMP_NUM_THREADS=1 "$venv/bin/python" -P -m pytest \
  tests/datasets/test_ray_cluster.py tests/datasets/rlds/test_array_record.py tests/datasets/rlds/test_tfds_agrees.py
