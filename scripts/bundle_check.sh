#!/usr/bin/env bash
# A real bundle, where there is no network: damaged in three ways it is refused, whole it installs and trains.
#
#   scripts/bundle_check.sh BUNDLE [FOLDER]    FOLDER: new, for the installation (3 GB); default: a temporary one
#
# Everything runs in a network namespace with nothing but a loopback device (unshare -n), and with an empty HOME.
set -euo pipefail

if [ -z "${IN_NAMESPACE:-}" ]; then
  [ -f "${1:-}/SHA256SUMS" ] || { echo "error: name a finished bundle: scripts/bundle_check.sh BUNDLE" >&2; exit 2; }
  root=--map-root-user
  [ "$(id -u)" -ne 0 ] || root=
  # shellcheck disable=SC2086
  IN_NAMESPACE=1 exec unshare --net $root "$0" "$@"
fi
ip link set lo up
if ip route get 192.0.2.1 > /dev/null 2>&1; then echo "error: there is a network here" >&2; exit 1; fi

bundle=$(cd "$1" && pwd) scratch=$(mktemp -d)
target=${2:-$scratch/설치된 곳}
cleanup() {
  [ ! -f "$scratch/kept" ] || mv "$scratch/kept" "$wheel"
  rm -rf "$scratch"
}
trap cleanup EXIT
mkdir "$scratch/home"
clean=(env -i HOME="$scratch/home" PATH="$PATH" LANG=C.UTF-8)

refused() {  # what is expected in the one line of the error
  local expected=$1 lines
  shift
  if "${clean[@]}" "$@" sh "$bundle/install.sh" "$target" > /dev/null 2> "$scratch/errors"; then
    echo "error: this was not refused: $expected" >&2
    exit 1
  fi
  lines=$(wc -l < "$scratch/errors")
  if [ "$lines" -ne 1 ] || [ -e "$target" ] || ! grep -qF "$expected" "$scratch/errors"; then
    cat "$scratch/errors" >&2
    exit 1
  fi
  echo "refused: $(cat "$scratch/errors")"
}

wheel=$(find "$bundle/wheels" -name 'numpy-*.whl')
mv "$wheel" "$scratch/kept"
refused "${wheel##*/} is missing" env
{ printf 'X' && tail -c +2 "$scratch/kept"; } > "$wheel"
refused "${wheel##*/} was changed" env
mv "$scratch/kept" "$wheel"
printf '#!/bin/sh\necho 3.9\n' > "$scratch/python"
chmod +x "$scratch/python"
refused "is Python 3.9" env PYTHON="$scratch/python"

"${clean[@]}" sh "$bundle/install.sh" "$target"
"${clean[@]}" make -C "$target" pretrain STEPS="${STEPS:-20}" > "$scratch/log" 2>&1 || { tail -30 "$scratch/log" >&2; exit 1; }
[ -f "$target/build/sample/model/model.safetensors" ] || { echo "error: there is no model" >&2; exit 1; }
tail -5 "$scratch/log"
echo "checked in $SECONDS s"
