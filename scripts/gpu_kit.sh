#!/usr/bin/env bash
# What a GPU node without a network needs for scripts/gpu_check.py, and how it is run there (docs/gpu.md).
#
#   scripts/gpu_kit.sh prepare [DIR]    with a network: wheels, token shards and this commit, to carry
#   scripts/gpu_kit.sh run A|B [DIR]    on the node: install into a scratch folder, check, results in $OUT
#   scripts/gpu_kit.sh seal DIR         check the size of a changed kit and write its hashes again
#   scripts/gpu_kit.sh rehearse [DIR]   without a GPU: every stage on the CPU at tiny sizes, and the report
#
# DIR is .gpu-kit, or .gpu-rehearsal for a rehearsal; the results are in gpu-results unless OUT says otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

MARKER=.onnuri-kit                          # in every folder that this script made, and may remove
LIMIT_MIB=${LIMIT_MIB:-25}                  # all that is carried
NODE_PYTHON=${NODE_PYTHON:-3.12}            # of the node, which has torch, Triton and transformers
NODE_PACKAGES=${NODE_PACKAGES:-torch triton transformers numpy einops msgpack ninja packaging psutil py-cpuinfo pyyaml tqdm typing-extensions}
NODE_PLATFORMS=${NODE_PLATFORMS:-manylinux_2_28_x86_64 manylinux_2_17_x86_64 manylinux2014_x86_64}
TOKENS=${TOKENS:-2e6}
LIGER_VERSION=${LIGER_VERSION:-0.8.5}
OUT=${OUT:-gpu-results}
SOURCES=(deepspeed antlr4-python3-runtime)  # have no wheel: built here, for any Python
WHEELS=(hydra-core omegaconf hjson pydantic pydantic_core annotated-types typing-inspection)

fail() { echo "error: $*" >&2; exit 1; }

fresh() {  # an empty folder; only what this script made is removed
  local kit=$1
  if [ -L "$kit" ] || { [ -e "$kit" ] && [ ! -d "$kit" ]; }; then fail "$kit is no folder; name another one"; fi
  if [ -d "$kit" ] && [ ! -f "$kit/$MARKER" ] && [ -n "$(ls -A "$kit")" ]; then
    fail "$kit has files that are not of this script; name a folder that is new or empty"
  fi
  rm -rf "$kit"
  mkdir -p "$kit"
  touch "$kit/$MARKER"
}

python() {  # the project's environment, or the one that is active
  local found=.venv/bin/python
  [ -x "$found" ] || found=python3
  PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}" "${PYTHON:-$found}" "$@"
}

pinned() {  # NAME==VERSION of constraints.txt
  grep -ixE "$1==[^ ]+" constraints.txt || fail "constraints.txt has no version of $1"
}

prepare() {
  local kit=$1 platform platforms=() requirements=()
  fresh "$kit"
  mkdir "$kit/wheels"
  for name in "${SOURCES[@]}"; do
    DS_BUILD_OPS=0 python -m pip wheel -q --disable-pip-version-check --no-deps --no-build-isolation \
      --no-binary="$name" --wheel-dir "$kit/wheels" "$(pinned "$name")"
  done
  for platform in $NODE_PLATFORMS; do platforms+=(--platform "$platform"); done
  for name in "${WHEELS[@]}"; do requirements+=("$(pinned "$name")"); done
  python -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: --implementation cp \
    --python-version "$NODE_PYTHON" "${platforms[@]}" --dest "$kit/wheels" \
    "${requirements[@]}" "liger-kernel==$LIGER_VERSION"
  # shellcheck disable=SC2086
  python -m onnuri.gpu.wheels "$kit/wheels" "$NODE_PYTHON" $NODE_PACKAGES || fail "add these to NODE_PACKAGES or to WHEELS"
  python -m onnuri.gpu.shards "$kit/tokens" "$TOKENS" > /dev/null
  git diff --quiet HEAD || echo "warning: onnuri.tar.gz has the commit $(git rev-parse --short HEAD), without your changes"
  git archive --prefix=onnuri/ HEAD | gzip -9n > "$kit/onnuri.tar.gz"
  git rev-parse HEAD > "$kit/COMMIT"
  seal "$kit"
}

seal() {  # check the size, then write the hashes; without them nothing runs
  local kit=$1 bytes limit
  [ -d "$kit" ] || fail "$kit is no folder; make a kit with scripts/gpu_kit.sh prepare"
  limit=$((LIMIT_MIB << 20))
  rm -f "$kit/SHA256SUMS"
  bytes=$(find "$kit" -type f -printf '%s\n' | awk '{sum += $1} END {print sum + 0}')
  if [ "$bytes" -gt "$limit" ]; then
    find "$kit" -type f -printf '%s %P\n' | sort -rn | head -5 >&2
    fail "$kit has $bytes bytes, more than LIMIT_MIB=$LIMIT_MIB; the largest files are above"
  fi
  (cd "$kit" && find . -type f -print0 | sort -z | xargs -0 sha256sum) > "${kit%/}.sums"
  mv "${kit%/}.sums" "$kit/SHA256SUMS"
  awk -v bytes="$bytes" -v kit="$kit" 'BEGIN {printf "%s is ready: %.1f MiB to carry\n", kit, bytes / 1048576}'
}

run() {
  local call=$1 kit=$2 site seconds left words=()
  case $call in
    A) seconds=${SECONDS_IN_ALL:-560} words=(cases="${CASES:-20}") ;;  # each case compiles kernels
    B) seconds=${SECONDS_IN_ALL:-230} ;;
    *) fail "run takes A or B, not '$call'" ;;
  esac
  [ -f "$kit/SHA256SUMS" ] || fail "$kit is not complete: run scripts/gpu_kit.sh prepare where there is a network"
  (cd "$kit" && sha256sum --quiet --check SHA256SUMS) || fail "$kit is damaged: carry it again"
  site=${TMPDIR:-/tmp}/onnuri-gpu-site-$(sha256sum "$kit/SHA256SUMS" | cut -c1-12)  # one for each kit
  if [ ! -f "$site/.complete" ]; then
    python3 -m pip install -q --disable-pip-version-check --no-index --no-deps --no-compile --no-cache-dir \
      --upgrade --target "$site" "$kit"/wheels/*.whl
    touch "$site/.complete"
  fi
  export PYTHONPATH="$site:$PWD/src" OMP_NUM_THREADS=${OMP_NUM_THREADS:-8}
  export TRITON_CACHE_DIR="$site/triton-cache" TORCHINDUCTOR_CACHE_DIR="$site/inductor-cache"
  export HF_HUB_OFFLINE=1 DO_NOT_TRACK=1
  ONNURI_KIT_COMMIT=$(cat "$kit/COMMIT")
  export ONNURI_KIT_COMMIT
  mkdir -p "$OUT"
  left=$(awk -v all="$seconds" -v spent="$SECONDS" 'BEGIN {printf "%.2f", (all - spent - 10) / 60}')
  exec python3 scripts/gpu_check.py call="$call" minutes="$left" data="$kit/tokens" output="$OUT/gpu-$call.jsonl" "${words[@]}"
}

rehearse() {
  local kit=$1 copy=$1/checkout file
  fresh "$kit"
  python -m onnuri.gpu.shards "$kit/tokens" 5e4
  local status=0
  python scripts/gpu_check.py rehearse=true minutes="${REHEARSAL_MINUTES:-60}" data="$kit/tokens" \
    output="$kit/gpu-rehearsal.jsonl" || status=$?
  for file in docs/gpu.md src/onnuri/kernels/triton/tiles.json src/onnuri/kernels/measured.json \
    src/onnuri/plan/memory.py src/onnuri/plan/speed.py configs/cluster; do
    mkdir -p "$copy/$(dirname "$file")"
    cp -r "$file" "$copy/$(dirname "$file")/"
  done
  python benchmarks/gpu_report.py "$kit/gpu-rehearsal.jsonl" --update --root "$copy" > "$kit/report.md"
  echo
  echo "rehearsed in $SECONDS s, exit status $status; report: $kit/report.md; what could not run is listed above"
  return "$status"
}

[[ $LIMIT_MIB =~ ^[1-9][0-9]{0,6}$ ]] || fail "LIMIT_MIB=$LIMIT_MIB must be a whole number above 0"
case ${1:-} in
  prepare) prepare "${2:-.gpu-kit}" ;;
  seal) [ -n "${2:-}" ] || fail "seal takes the folder of a kit"; seal "$2" ;;
  run) run "${2:-}" "${3:-.gpu-kit}" ;;
  rehearse) rehearse "${2:-.gpu-rehearsal}" ;;
  '' | help | -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
  *) echo "error: '$1' is not known; allowed: prepare, seal, run, rehearse" >&2; exit 2 ;;
esac
