#!/usr/bin/env bash
# Checks eng on a machine with an accelerator: prints a table in under eight minutes, needs no network.
#   scripts/gpu_check.sh                    # eng's packages are installed
#   scripts/gpu_check.sh --wheels FOLDER    # they travelled as wheels, with others that the machine lacks
#   scripts/gpu_check.sh --cpu              # the same checks, small, on the CPU: proves that this script works
# torch, pytest and pytest-timeout have to be there already.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-4}"
python="${PYTHON:-python3}"
if [ "${1:-}" = --wheels ]; then
    site=$(mktemp -d)
    "$python" -m pip install --quiet --no-index --no-deps --no-compile --target "$site" "$2"/*.whl
    export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}"
    shift 2
fi
exec "$python" scripts/gpu_check.py "$@"
