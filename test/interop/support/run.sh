#!/usr/bin/env bash
# Runs a Python test with what it shares on its path: run.sh TEST.py ARGUMENT...
set -euo pipefail
export PYTHONPATH=test/interop/support PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
exec "$(tools/peers/python-h2 | tail -n 1)" "$@"
