#!/usr/bin/env bash
# Runs helm_test.py with the real Helm: run_helm.sh helm_test.py ARGUMENT...
set -euo pipefail
export PYTHONPATH=test/interop/support PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
HEDDLE_HELM=$(tools/peers/helm | tail -n 1)
export HEDDLE_HELM
exec python3 "$@"
