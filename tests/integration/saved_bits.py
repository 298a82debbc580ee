"""What two runs left, compared bit by bit; for the tests of this folder and the scripts that they start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch


def differences(ours: Any, theirs: Any, name: str = "") -> list[str]:
    """Paths at which two nested values differ in a bit."""
    if isinstance(ours, torch.Tensor):
        return [] if isinstance(theirs, torch.Tensor) and torch.equal(ours, theirs) else [name]
    if isinstance(ours, dict) and isinstance(theirs, dict):
        missing = [f"{name}.{key}" for key in ours.keys() ^ theirs.keys()]
        shared = (key for key in ours if key in theirs)
        return missing + [d for key in shared for d in differences(ours[key], theirs[key], f"{name}.{key}")]
    if isinstance(ours, (list, tuple)) and isinstance(theirs, (list, tuple)) and len(ours) == len(theirs):
        return [d for i, pair in enumerate(zip(ours, theirs, strict=True)) for d in differences(*pair, f"{name}.{i}")]
    return [] if ours == theirs else [f"{name}: {ours} against {theirs}"]


def state_of_run(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint's run state without what belongs to a start.

    That is its config and versions, the numbers of its ranks and workers, the folder in paths, and the files that are
    still to be removed, of which there are more where checkpoints are written beside training.
    """
    state = {key: value for key, value in checkpoint["run_state"].items() if key != "facts"}
    state["position"] = {key: value for key, value in state["position"].items() if key != "readers"}
    hooks = state.get("hooks", {}).items()
    state["hooks"] = {name: _with_names_of_files({**hook, "retention": None}) for name, hook in hooks}
    return state


def _with_names_of_files(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_names_of_files(item) for key, item in value.items()}
    return Path(value).name if isinstance(value, str) and value.endswith(".pth") else value
