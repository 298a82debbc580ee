"""What several tests of this folder share."""

from __future__ import annotations

import numpy as np
import torch
from instance_data_parts import Polygons

from eng.structures import InstanceData


def sample(length: int = 3) -> InstanceData:
    numbers = list(range(length))
    return InstanceData(
        boxes=torch.arange(4.0 * length).reshape(length, 4),
        array=np.array(numbers),
        text="".join(map(str, numbers)),
        names=numbers,
        pair=tuple(numbers),
        polygons=Polygons(numbers),
        inner=InstanceData(scores=torch.tensor(numbers)),
        metainfo={"shape": [1, 2]},
    )


def numbers_in(data: InstanceData) -> list[list[int]]:
    """The row numbers that each field says it has."""
    return [
        [int(row[0]) // 4 for row in data.boxes],
        data.array.tolist(),
        [int(letter) for letter in data.text],
        data.names,
        list(data.pair),
        data.polygons.rows,
        data.inner.scores.tolist(),
    ]
