#!/usr/bin/env bash
# Checks eng on a machine with an accelerator: prints a table in under eight minutes, needs no network.
#   scripts/gpu_check.sh            # on the accelerator
#   scripts/gpu_check.sh --cpu      # the same checks, small, on the CPU: proves that this script works
# torch and pytest have to be there already. eng is used from this checkout.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHONPATH=$(printf '%s:' packages/*/src)${PYTHONPATH:-}
export PYTHONPATH OMP_NUM_THREADS="${OMP_NUM_THREADS:-4}"
exec "${PYTHON:-python3}" scripts/gpu_check.py "$@"
