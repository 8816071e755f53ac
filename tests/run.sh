#!/usr/bin/env bash
# Runs all tests on TensorFlow, then those marked `backend` on JAX, a test file a core at a time.
# Options go to pytest (a -m of yours selects on TensorFlow only); --slow adds the tests marked slow.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/venv.sh"
use_venv test
cd "$root"

side_by_side=(--numprocesses auto --maxprocesses 4 --dist loadfile)
none_selected=5 # pytest's exit status where the options leave no test
tensorflow=0
echo "=== all tests, on TensorFlow ==="
KERAS_BACKEND=tensorflow "$python" -m pytest "${side_by_side[@]}" "$@" || tensorflow=$?

jax=0
echo "=== the tests marked backend, on JAX ==="
KERAS_BACKEND=jax "$python" -m pytest "${side_by_side[@]}" "$@" -m backend || jax=$?

if ((tensorflow != 0)); then
  exit "$tensorflow"
fi
if ((jax != none_selected)); then
  exit "$jax"
fi
