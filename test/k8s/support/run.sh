#!/usr/bin/env bash
# Runs a Python test that may have a cluster: run.sh TEST.py ARGUMENT...
set -euo pipefail
export PYTHONPATH=test:test/interop/support PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=$PATH:/usr/sbin:/sbin
exec python3 "$@"
