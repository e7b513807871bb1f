#!/usr/bin/env bash
# One command for everything: builds, tests, runs the demo or the benchmarks, and first installs what helps and can be had.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
  cat <<'USAGE'
usage: ./build.sh [demo|test|build|bench|clean]

  demo    search the sprites spec, rebuild with the found policy, train and evaluate it
  test    build, run every test
  build   build (the default)
  bench   time steps and predictions beside the same in PyTorch (bench --help: growth, whole tasks, the generator)
  clean   delete what builds and runs have made

All but clean need the .NET 10 SDK and nothing else. Packages that help are installed where apt-get and root are at hand;
without them tests that compare with libtorch are ignored, and bench has nothing to compare with.
FUSIONGEN_NATIVE=none installs nothing and uses no native library, even if it is there.
USAGE
}

export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1
configuration=(-c Release --nologo)
native=${FUSIONGEN_NATIVE:-}
[ "$native" != none ] || export FUSIONGEN_TORCH=none FUSIONGEN_BLAS=none

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

# Without a terminal nobody can type a password.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif [ -t 0 ]; then sudo "$@"
  else sudo -n "$@"
  fi
}

step() { printf '\033[1m%s\033[0m\n' "$*" >&2; }

# Installs packages that help, or goes on without.
helpful() {
  command -v dotnet >/dev/null || { echo "The .NET 10 SDK is missing: see https://dot.net/download" >&2; exit 1; }
  [ "$native" != none ] && command -v apt-get >/dev/null || return 0
  local package missing=()
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  step "Installing ${missing[*]}"
  quiet as_root apt-get -o Acquire::Retries=0 update -qq &&
    quiet as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" ||
    echo "not installed: ${missing[*]}; going on without" >&2
}

# Without vectors of 256 bits, OpenBLAS may multiply faster than FusionGen's own loops.
helpful_to_run() {
  grep -qw avx2 /proc/cpuinfo 2>/dev/null && helpful || helpful libopenblas0-openmp
}

helpful_to_develop() {
  local torch=(libtorch-dev libopenblas0-openmp)
  [ -z "${LIBTORCH:-}" ] || torch=()
  helpful "${torch[@]}" libturbojpeg0 libpng16-16 cmake g++ "$@"
  pick_blas
}

# OpenBLAS's OpenMP build is 2-3 times faster under libtorch than its pthread build, whose threads fight libtorch's own.
pick_blas() {
  command -v update-alternatives >/dev/null && [ "$native" != none ] || return 0
  local arch openblas name; arch=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || gcc -print-multiarch 2>/dev/null || true)
  openblas=/usr/lib/$arch/openblas-openmp
  [ -d "$openblas" ] || return 0
  for name in libblas.so.3 liblapack.so.3; do
    if [ "$(readlink -f "/etc/alternatives/$name-$arch")" != "$(readlink -f "$openblas/$name")" ]; then
      quiet as_root update-alternatives --set "$name-$arch" "$openblas/$name" || true
    fi
  done
}

build() {
  step "Building"
  local project
  for project in "${@:-FusionGen.sln}"; do
    quiet dotnet build "$project" "${configuration[@]}" -v quiet
  done
}

case "${1:-build}" in
  build) helpful_to_develop; build ;;
  test)
    helpful_to_develop; build
    step "Testing"
    exec tests/run.sh
    ;;
  demo)
    start=$SECONDS
    helpful_to_run; build src/FusionGen.Demo src/FusionGen.Cli
    demo=(dotnet src/FusionGen.Demo/bin/Release/net10.0/FusionGen.Demo.dll)
    step "Searching specs/sprites.fusion.yaml"
    "${demo[@]}" search
    step "Rebuilding with the found policy"
    quiet dotnet build src/FusionGen.Demo "${configuration[@]}" -v quiet
    step "Training the compiled SpritesModel"
    "${demo[@]}" train
    echo "Demo: $((SECONDS - start)) s in all"
    step "What this machine could have besides (fusiongen doctor)"
    dotnet src/FusionGen.Cli/bin/Release/net10.0/fusiongen.dll doctor --missing
    ;;
  bench)
    helpful_to_develop python3-torch libgoogle-perftools4; build
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
