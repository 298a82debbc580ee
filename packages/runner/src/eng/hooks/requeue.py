"""Requeues a Slurm job, so that a run that reached its time limit is started again and resumes."""

from __future__ import annotations

import logging
import os
import subprocess

logger = logging.getLogger(__name__)

_TIMEOUT_S = 30
_ANSWER_CHARACTERS = 300


def slurm_job() -> str | None:
    """Returns the id of this process's Slurm job in the form that ``scontrol`` accepts; None outside Slurm.

    Example:
        >>> slurm_job() is None or slurm_job().replace("_", "").isdigit()
        True
    """
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    if array and task:
        return f"{array}_{task}"
    return os.environ.get("SLURM_JOB_ID")


def requeue_job() -> bool:
    """Asks Slurm to run this job again. Only one process of a job may call the function, after the run's state is saved.

    Returns:
        Whether Slurm accepted the request. If not, an error in the log says what to do.
    """
    job = slurm_job()
    if job is None:
        logger.warning("requeue=True has no effect: SLURM_JOB_ID is not set, so this is no job of Slurm")
        return False
    try:
        command = ["scontrol", "requeue", job]
        answer = subprocess.run(  # noqa: S603  # The job id comes from Slurm's environment variables.
            command, capture_output=True, encoding="utf-8", errors="replace", timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return _report_refusal(job, f"{type(error).__name__}: {error}")
    if answer.returncode:
        return _report_refusal(job, f"exit status {answer.returncode}, {answer.stderr.strip()[:_ANSWER_CHARACTERS]}")
    logger.warning("Slurm runs job %s again; it goes on from the state that was saved", job)
    return True


def _report_refusal(job: str, reason: str) -> bool:
    """Logs that the job was not requeued and what to do; returns False, the result of ``requeue_job``."""
    logger.error(
        "`scontrol requeue %s` failed (%s): submit the job again, and give the call --resume to go on", job, reason
    )
    return False
