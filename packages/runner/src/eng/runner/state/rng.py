"""Captures and restores the random generators of a process."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from eng.device import get_rng_states, set_rng_states

RngState = dict[str, Any]
_OF_THE_HOST = ("python", "numpy", "torch")


def capture_rng() -> RngState:
    """Returns the states of the global random generators of Python, NumPy, PyTorch and each accelerator in use.

    The states are plain data and tensors, so that ``torch.load(weights_only=True)`` can read them from a checkpoint.
    """
    algorithm, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002  - users draw from it
    version, internal, gauss_next = random.getstate()
    state: RngState = {
        "python": (version, torch.tensor(internal, dtype=torch.int64), gauss_next),
        "numpy": (
            algorithm,
            torch.from_numpy(np.asarray(keys).astype(np.int64)),
            int(position),
            int(has_gauss),
            float(gauss),
        ),
        "torch": torch.get_rng_state(),
    }
    return {**state, **get_rng_states()}


def restore_rng(state: RngState) -> None:
    """Sets the global random generators to the states that :func:`capture_rng` returned."""
    version, internal, gauss_next = state["python"]
    random.setstate((version, tuple(internal.tolist()), gauss_next))
    algorithm, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((algorithm, keys.numpy().astype(np.uint32), position, has_gauss, gauss))  # noqa: NPY002
    torch.set_rng_state(state["torch"].cpu())
    set_rng_states({name: generator for name, generator in state.items() if name not in _OF_THE_HOST})
