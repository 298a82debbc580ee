"""Copies the scalars of earlier launches into a resumed run, so that the curves of the run are continuous."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from eng.dist import is_main_process
from eng.logging._details import DETAIL
from eng.logging.words import counted
from eng.visualization import Visualizer
from eng.visualization.curves import LinesError, read_lines, scalars_before, survives

logger = logging.getLogger(__name__)


def continue_curves(
    visualizer: object,
    checkpoint: str,
    meta: Mapping[str, Any],
    position: Mapping[str, Any],
    work_dir: str,
    file_path: str,
) -> None:
    """Writes the scalars that earlier launches logged before the resumed iteration to all trackers of this launch.

    Args:
        visualizer: visualizer of the run; nothing is written if it is no :class:`eng.visualization.Visualizer`.
        checkpoint: path of the resumed checkpoint.
        meta: ``meta`` of the checkpoint; its ``experiment_name`` names the launch that saved the checkpoint.
        position: the resumed position: a dict with ``iter``, ``batch`` and ``validated_iter``.
        work_dir: work dir of the run.
        file_path: name of the file into which this launch writes scalars.
    """
    if not isinstance(visualizer, Visualizer):
        return
    scalar_file = visualizer.scalar_file
    if scalar_file is None or position["iter"] == 0 or not is_main_process():
        return
    keep = survives(position["iter"], position["validated_iter"], epoch_is_over=position["batch"] == 0)
    try:  # Damaged logs must not prevent a resume.
        source = scalars_before(checkpoint, str(meta.get("experiment_name", "")), work_dir, scalar_file)
        lines = None
        if source is not None:
            lines = read_lines(source, keep)
    except (LinesError, OSError) as error:
        logger.warning("The curves of this start begin at iteration %d: %s", position["iter"], error)
        return
    if lines is None:
        logger.warning(
            "No JSON lines of earlier starts lie in %s: the curves of this start begin at iteration %d",
            work_dir,
            position["iter"],
        )
        return
    logger.info("The curves of this start begin with %s of %s", counted(len(lines), "line"), source, extra=DETAIL)
    visualizer.go_on_from(lines, file_path)
