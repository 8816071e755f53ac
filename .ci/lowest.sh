#!/usr/bin/env bash
# Runs tests with the lowest versions that setup.py promises, in an environment of its own:
#
#   .ci/lowest.sh [PYTEST OPTION ...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=.venv-lowest # matched by .gitignore

python3.11 -m venv --clear "$folder"
"$folder/bin/python" -m pip install --quiet uv
"$folder/bin/uv" pip install --quiet --python "$folder/bin/python" \
  --resolution lowest-direct --editable '.[test]'
if (($# == 0)); then
  set -- tests/dim_tf tests/data_prep
fi
exec "$folder/bin/python" -m pytest "$@"
