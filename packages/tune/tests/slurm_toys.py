"""``sbatch``, ``srun``, ``sacct`` and ``scancel`` of a cluster with one node: this machine.

``sbatch`` starts the script in the background with the variables that Slurm sets, and keeps the script, its arguments and its
process id in the folder of the cluster.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

SBATCH = """#!/bin/bash
set -e
cd "$(dirname "$0")"
number=$((1000 + $(ls jobs | wc -l)))
mkdir jobs/$number
cp "${@: -1}" jobs/$number/script.sh
job=$PWD/jobs/$number
cd "$OLDPWD"
export SLURM_JOB_ID=$number SLURM_JOBID=$number SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1 SLURM_PROCID=0 SLURM_LOCALID=0
export SLURM_NODEID=0 SLURM_JOB_NODELIST=localhost
setsid bash -c 'bash "$0/script.sh"; echo $? >"$0/status"' "$job" >"$job/out" 2>&1 </dev/null &
echo $! >"$job/pid"
echo "Submitted batch job $number"
"""
SRUN = """#!/bin/bash
while [[ "$1" == --* ]]; do
    case "$1" in
        --output) out=${2//%j/$SLURM_JOB_ID}; out=${out//%t/0}; shift 2;;
        --error) err=${2//%j/$SLURM_JOB_ID}; err=${err//%t/0}; shift 2;;
        *) shift;;
    esac
done
exec "$@" >>"$out" 2>>"${err:-$out}"
"""
SACCT = """#!/bin/bash
echo "JobID|State|NodeList"
for job in "$(dirname "$0")"/jobs/*; do
    state=RUNNING
    [ -e "$job/status" ] && state=COMPLETED && [ "$(cat "$job/status")" != 0 ] && state=FAILED
    echo "$(basename "$job")|$state|localhost"
done
"""
SCANCEL = """#!/bin/bash
kill -TERM -- -"$(cat "$(dirname "$0")/jobs/$1/pid")"
"""


def make_cluster(folder: Path) -> Path:
    """Writes the four commands into a folder for PATH."""
    (folder / "jobs").mkdir(parents=True)
    for name, text in {"sbatch": SBATCH, "srun": SRUN, "sacct": SACCT, "scancel": SCANCEL}.items():
        path = folder / name
        path.write_text(text)
        path.chmod(0o755)
    return folder


def path_with(folder: Path) -> str:
    """PATH with the commands of a cluster in front."""
    return os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]])
