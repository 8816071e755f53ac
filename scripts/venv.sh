# The Python environment of this repository; the scripts source this file.
#
#   root     the repository
#   python   the interpreter of its .venv
#   use_venv [EXTRA]
#            makes .venv or updates it, only if needed; EXTRA is an extra of setup.py to install too

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
python="$root/.venv/bin/python"

use_venv() {
  local stamp="$root/.venv/dim_tf.stamp" extra="${1:+[$1]}" wanted
  "$python" -c "" >/dev/null 2>&1 || make_venv
  # The extra comes last, so that an environment with it also serves those who ask for none.
  wanted="$root $(cat "$root/setup.py" "$root/pyproject.toml" | sha256sum)$extra"
  if [[ -f "$stamp" && "$(<"$stamp")" == "$wanted"* ]]; then
    return
  fi
  echo "installing dim_tf and what it needs into $root/.venv (once)" >&2
  "$python" -m pip install --quiet --disable-pip-version-check --editable "$root$extra" >&2
  echo "$wanted" >"$stamp"
}

make_venv() {
  local base supported='import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'
  for base in python3 python3.13 python3.12 python3.11 ""; do
    "$base" -c "$supported" >/dev/null 2>&1 && break
  done
  if [[ -z "$base" ]]; then
    echo "error: found no Python 3.11, 3.12 or 3.13; install one: sudo apt-get install python3" >&2
    exit 2
  fi
  # Debian's python3 lacks this module, and would stop half-way.
  if ! "$base" -c 'import ensurepip' >/dev/null 2>&1; then
    echo "error: $base cannot make an environment; run: sudo apt-get install python3-venv" >&2
    exit 2
  fi
  "$base" -m venv --clear "$root/.venv"
}
