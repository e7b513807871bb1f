#!/usr/bin/env bash
# Runs every test project of a built tree and ends with one line for them all.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
dotnet test FusionGen.sln -c Release --no-build --nologo -v quiet --logger 'console;verbosity=minimal' 2>&1 | tee "$log" || status=$?
# "Passed!  - Failed:     0, Passed:    12, Skipped:     0, Total:    12, …", one line per project.
read -r passed failed skipped < <(awk '
  /Failed:.*Passed:.*Skipped:/ {
    line = $0; gsub(/[,:]/, " ", line); n = split(line, word, " ")
    for (i = 1; i < n; i++) { if (word[i] == "Failed") f += word[i + 1]; if (word[i] == "Passed") p += word[i + 1]; if (word[i] == "Skipped") s += word[i + 1] }
  }
  END { print p + 0, f + 0, s + 0 }' "$log")
[ "$passed" -gt 0 ] || status=1
[ "$failed" -eq 0 ] || status=1
echo "$passed passed, $failed failed, $skipped skipped"
exit "$status"
