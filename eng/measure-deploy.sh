#!/usr/bin/env bash
# Measures an app that only predicts (eng/deploy: ViT-B/16 with VPT-deep's prompts) as it is deployed, and the same app in Python:
# bytes on disk without the weights, seconds from the start of the process to the first prediction, milliseconds of each further one, peak memory.
# usage: eng/measure-deploy.sh [RUNS]      (Debian: apt-get install python3-torch for Python's rows)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
runs=${1:-5}
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
export DOTNET_NOLOGO=1
folder=artifacts/deploy
rid=linux-$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')

publish() { # NAME ARGUMENTS…
  local log; log=$(mktemp)
  rm -rf "$folder/$1"
  dotnet publish eng/deploy -c Release --nologo -v q -p:LibTorchShim=false -p:DebugType=none -o "$folder/$1" "${@:2}" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
  rm -f "$log" "$folder/$1"/*.xml
}

# The median of the runs by time to the first prediction.
median() { for _ in $(seq "$runs"); do "$@"; done | sort -t' ' -k2 -n | sed -n "$(((runs + 1) / 2))p"; }

row() { printf '%-34s %10s  %s\n' "$1" "$2" "$3"; }
bytes() { echo "$(($(du -sbc "$@" | tail -1 | cut -f1) / 1000000)) MB"; }

mkdir -p "$folder"
publish framework-dependent --no-self-contained
publish self-contained --self-contained -r "$rid"
publish trimmed --self-contained -r "$rid" -p:Trimmed=true
[ -f "$folder/data/image.safetensors" ] || "$folder/self-contained/deploy" make "$folder/data"

row app "on disk" "median of $runs runs"
for kind in framework-dependent self-contained trimmed; do
  row "$kind" "$(bytes "$folder/$kind")" "$(median "$folder/$kind/deploy" predict "$folder/data")"
done
python=$(for each in python3 /usr/bin/python3; do "$each" -c 'import torch' 2>/dev/null && { echo "$each"; break; }; done || true)
if [ -n "$python" ]; then
  [ -f "$folder/data/model.pt" ] || "$python" eng/deploy/predict.py make "$folder/data"
  # torch and what it alone needs: its Python package and the libraries that it loads, system libraries aside.
  libraries=$("$python" -c 'import torch; print("\n".join({line.split()[-1] for line in open("/proc/self/maps") if ".so" in line and any(part in line for part in ("torch", "c10", "blas", "dnnl", "fbgemm", "numpy", "lapack", "gfortran", "gomp", "onnx", "protobuf", "XNNPACK", "mkl"))}))')
  package=$("$python" -c 'import os, torch; print(os.path.dirname(torch.__file__))')
  # shellcheck disable=SC2086
  row "Python, torch $("$python" -c 'import torch; print(torch.__version__)')" "$(bytes "$package" $libraries)" "$(median "$python" eng/deploy/predict.py predict "$folder/data")"
fi
