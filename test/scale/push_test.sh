#!/usr/bin/env bash
# Thirty sidecars see three edits: push_test.sh PUSH HEDDLE_CONTROL
set -euo pipefail
"$1" "$2" 30 10 3 && echo "1 passed, 0 failed"
