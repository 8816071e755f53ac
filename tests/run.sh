#!/usr/bin/env bash
# Runs all tests on TensorFlow, then those marked `backend` on JAX. All options go to pytest;
# --slow also runs the tests marked slow.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/venv.sh"
use_venv test
cd "$root"

none_selected=5 # pytest's exit status where the options leave no test
tensorflow=0
echo "=== all tests, on TensorFlow ==="
KERAS_BACKEND=tensorflow "$python" -m pytest "$@" || tensorflow=$?

jax=0
echo "=== the tests marked backend, on JAX ==="
KERAS_BACKEND=jax "$python" -m pytest "$@" -m backend || jax=$?

if ((tensorflow != 0)); then
  exit "$tensorflow"
fi
if ((jax != none_selected)); then
  exit "$jax"
fi
