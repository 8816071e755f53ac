# The Python environment of this repository; the scripts source this file.
#
#   root     the repository
#   python   the interpreter of its .venv
#   use_venv [EXTRA]
#            makes .venv, or brings it up to date, only where that is needed; EXTRA is an extra of
#            setup.py that is to be installed too

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
python="$root/.venv/bin/python"

use_venv() {
  # The stamp says where .venv was made, with which interpreter, and for what it was last installed.
  # An extra stands at the end, so that an environment with it serves those who ask for none.
  local stamp="$root/.venv/dim_tf.stamp" extra="${1:+[$1]}" made="" installed="" wanted
  wanted="$(cat "$root/setup.py" "$root/pyproject.toml" | sha256sum)$extra"
  if [[ -f "$stamp" ]]; then
    { read -r made && read -r installed; } <"$stamp" || true
  fi
  if [[ -x "$python" && "$made" == "$(place)" && "$installed" == "$wanted"* ]]; then
    return
  fi
  # An environment can neither be moved nor change its interpreter. One without our stamp that works,
  # and one that is linked here, is not ours to clear.
  if [[ ! -L "$root/.venv" ]] &&
    { [[ -n "$made" && "$made" != "$(place)" ]] || ! "$python" -c "" >/dev/null 2>&1; }; then
    make_venv
  fi
  # Some tools make environments without pip.
  if ! "$python" -m pip --version >/dev/null 2>&1 &&
    ! "$python" -m ensurepip >/dev/null 2>&1; then
    echo "error: found no pip that runs in $root/.venv; remove .venv, and it will be made anew" >&2
    exit 2
  fi
  echo "installing dim_tf and what it needs into $root/.venv (once)" >&2
  "$python" -m pip install --quiet --disable-pip-version-check --editable "$root$extra" >&2
  printf '%s\n' "$(place)" "$wanted" >"$stamp"
}

place() {
  echo "$root $(readlink -f "$python")"
}

make_venv() {
  local base supported='import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'
  for base in python3 python3.13 python3.12 python3.11 ""; do
    if "$base" -c "$supported" >/dev/null 2>&1; then
      break
    fi
  done
  if [[ -z "$base" ]]; then
    echo "error: found no Python 3.11, 3.12 or 3.13; install one: sudo apt-get install python3" >&2
    exit 2
  fi
  # Debian's python3 comes without this module, and would stop half-way.
  if ! "$base" -c 'import ensurepip' >/dev/null 2>&1; then
    echo "error: $base cannot make an environment; run: sudo apt-get install python3-venv" >&2
    exit 2
  fi
  "$base" -m venv --clear "$root/.venv"
}
