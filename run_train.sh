#!/usr/bin/env bash
# Prepares data and trains a model on it; --help says how.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/scripts/venv.sh"

for option in "$@"; do
  if [[ "$option" == "-h" || "$option" == "--help" ]]; then
    cat <<'END'
usage: run_train.sh [OPTION ...]

Prepare data (python -m data_prep) and train a model on it (python -m dim_tf.train).
Without options: the built-in sample, a small model, then its test split.

  --source SOURCE   sample (the default), download, or your data
  --out DIR         the prepared folder (default: prepared/NAME, named after the source)
  --run RUN         the run folder (default: runs/NAME)
  --seed N          seed both commands
  --resume          continue a run that was stopped

A prepared folder with the same settings is reused. An existing run is refused without --resume.
All other options go to the command that knows them:

  .venv/bin/python -m data_prep --help
  .venv/bin/python -m dim_tf.train --help
END
    exit
  fi
done

use_venv
exec "$python" "$root/scripts/pipeline.py" train "$@"
