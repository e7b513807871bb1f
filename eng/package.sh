#!/usr/bin/env bash
# Packs the tool with its .NET runtime for a Linux machine that has no .NET: artifacts/fusiongen-RID.tar.gz.
# There: unpack, and 'fusiongen/fusiongen doctor'. For libtorch (a GPU, the eager engine), with CMake and a C++ compiler there:
#   LIBTORCH=/path/to/site-packages/torch fusiongen/build-shim.sh
# usage: eng/package.sh [RID]      linux-x64 (the default) or linux-arm64
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
rid=${1:-linux-x64}
folder=artifacts/package/fusiongen
rm -rf "$folder" && mkdir -p "$folder/shim"
log=$(mktemp)
dotnet publish src/FusionGen.Cli -c Release --nologo -v q --self-contained -r "$rid" -p:LibTorchShim=false -p:DebugType=none -p:SatelliteResourceLanguages=en -o "$folder" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
rm -f "$log" "$folder"/*.xml
cp src/FusionGen.LibTorch/native/*.cpp src/FusionGen.LibTorch/native/*.h src/FusionGen.LibTorch/native/CMakeLists.txt "$folder/shim"
cp -r specs "$folder"
cat > "$folder/build-shim.sh" <<'SHIM'
#!/usr/bin/env bash
# Builds the shim for the libtorch named by LIBTORCH (a Python wheel's torch folder, or a libtorch download); without it, for the distribution's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
cmake -S shim -B shim/build -DLIBTORCH_ROOT="${LIBTORCH:-}"
cmake --build shim/build --parallel
cp shim/build/libfusiongen_torch.so .
./fusiongen doctor
SHIM
chmod +x "$folder/build-shim.sh"
tar -C artifacts/package -czf "artifacts/fusiongen-$rid.tar.gz" fusiongen
ls -l "artifacts/fusiongen-$rid.tar.gz"
