"""What several tests of this folder share."""

from __future__ import annotations

import io
import warnings

import torch


def saved(value: object, zipped: bool) -> io.BytesIO:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        torch.save(value, buffer, _use_new_zipfile_serialization=zipped)
    return buffer
