"""What several tests of this folder share."""

from __future__ import annotations

from eng.dataset import BaseDataset


def toy(root, **kwargs):
    return BaseDataset(
        **{"ann_file": "train.json", "data_root": str(root), "data_prefix": {"img_path": "imgs"}, **kwargs}
    )
