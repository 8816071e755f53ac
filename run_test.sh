#!/usr/bin/env bash
# Ranks the test split with a trained run; --help says how.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/scripts/venv.sh"

for option in "$@"; do
  if [[ "$option" == "-h" || "$option" == "--help" ]]; then
    cat <<'END'
usage: run_test.sh [OPTION ...]

Rank the test split with a trained run (python -m dim_tf.evaluate).
Without options: the run that run_train.sh made of the built-in sample.

  --run RUN        the run folder (default: runs/sample)
  --prepared DIR   its prepared folder (default: prepared/NAME, named after the run)

All other options go to the command:

  .venv/bin/python -m dim_tf.evaluate --help
END
    exit
  fi
done

use_venv
exec "$python" "$root/scripts/pipeline.py" test "$@"
