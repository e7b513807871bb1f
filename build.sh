#!/usr/bin/env bash
# One command for everything: sets the machine up where needed, then builds, tests, runs the demo or the benchmarks.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
  cat <<'USAGE'
usage: ./build.sh [demo|test|build|bench|clean]

  demo    set up, build, search the sprites spec, rebuild with the found policy, train and evaluate it
  test    set up, build, run every test
  build   set up and build (the default)
  bench   set up, build, time steps and predictions beside the same in PyTorch (bench --help: growth, whole tasks, the generator)
  clean   delete what builds and runs have made
USAGE
}

export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1
configuration=(-c Release --nologo)

# Runs a command, printing its output only if it fails.
quiet() {
  local log; log=$(mktemp)
  if ! "$@" >"$log" 2>&1; then
    cat "$log" >&2; rm -f "$log"
    echo "failed: $*" >&2
    return 1
  fi
  rm -f "$log"
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else echo "needs root: $*" >&2; return 1; fi; }

step() { printf '\033[1m%s\033[0m\n' "$*" >&2; }

set_up() {
  command -v dotnet >/dev/null || { echo "The .NET 10 SDK is missing: see https://dot.net/download" >&2; exit 1; }
  local wanted=() package
  if command -v apt-get >/dev/null; then
    [ -n "${LIBTORCH:-}" ] || wanted+=(libtorch-dev libopenblas0-openmp)
    wanted+=(libturbojpeg0 libpng16-16 cmake g++ "$@")
    local missing=()
    for package in "${wanted[@]}"; do
      dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
    done
    if [ ${#missing[@]} -gt 0 ]; then
      step "Installing ${missing[*]}"
      quiet as_root apt-get update -qq
      quiet as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
    fi
    pick_blas
  elif [ -z "${LIBTORCH:-}" ]; then
    echo "Not a Debian-like machine: set LIBTORCH to a libtorch (or to a Python torch package's folder), or build with -p:TorchProvider=TorchSharp" >&2
  fi
}

# OpenBLAS's OpenMP build is 2-3 times faster under libtorch than its pthread build, whose threads fight libtorch's own.
pick_blas() {
  local arch openblas; arch=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || gcc -print-multiarch)
  openblas=/usr/lib/$arch/openblas-openmp
  [ -d "$openblas" ] || return 0
  local name
  for name in libblas.so.3 liblapack.so.3; do
    if [ "$(readlink -f "/etc/alternatives/$name-$arch")" != "$(readlink -f "$openblas/$name")" ]; then
      quiet as_root update-alternatives --set "$name-$arch" "$openblas/$name"
    fi
  done
}

build() {
  step "Building"
  quiet dotnet build FusionGen.sln "${configuration[@]}" -v quiet
}

case "${1:-build}" in
  build) set_up; build ;;
  test)
    set_up; build
    step "Testing"
    exec tests/run.sh
    ;;
  demo)
    start=$SECONDS
    set_up; build
    demo=(dotnet src/FusionGen.Demo/bin/Release/net10.0/FusionGen.Demo.dll)
    step "Searching specs/sprites.fusion.yaml"
    "${demo[@]}" search
    step "Rebuilding with the found policy"
    quiet dotnet build src/FusionGen.Demo "${configuration[@]}" -v quiet
    step "Training the compiled SpritesModel"
    "${demo[@]}" train
    echo "Demo: $((SECONDS - start)) s in all"
    ;;
  bench)
    set_up python3-torch libgoogle-perftools4; build
    exec dotnet tests/FusionGen.Benchmarks/bin/Release/net10.0/FusionGen.Benchmarks.dll "${@:2}"
    ;;
  clean)
    quiet dotnet clean FusionGen.sln "${configuration[@]}" -v quiet || true
    find . -type d \( -name bin -o -name obj -o -name TestResults \) -not -path './.git/*' -prune -exec rm -rf {} +
    rm -rf runs artifacts
    ;;
  -h|--help|help) usage ;;
  *) usage >&2; exit 2 ;;
esac
