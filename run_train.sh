#!/usr/bin/env bash
# Prepares data and trains DIM on it; --help says how.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/scripts/venv.sh"

for option in "$@"; do
  if [[ "$option" == "-h" || "$option" == "--help" ]]; then
    cat <<'END'
usage: run_train.sh [OPTION ...]

Prepares data (python -m data_prep) and trains DIM on it (python -m dim_tf.train).
Without options: the built-in sample, a small model, then its test split.

  --source SOURCE   sample (the default), download, or your data
  --out DIR         the prepared folder (default: prepared/NAME, NAME as the source)
  --run RUN         the run folder (default: runs/NAME)
  --seed N          of both commands
  --resume          continue a run that was stopped

An equal prepared folder is reused. An existing run is refused without --resume.
All other options go to the command that knows them:

  .venv/bin/python -m data_prep --help
  .venv/bin/python -m dim_tf.train --help
END
    exit
  fi
done

use_venv
exec "$python" "$root/scripts/pipeline.py" train "$@"
