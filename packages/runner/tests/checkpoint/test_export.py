from __future__ import annotations

import runpy

import pytest
import torch
from checkpoint_parts import flip_a_weight

from eng.checkpoint import BrokenCheckpointError, export_weights, publish_checkpoint


def test_a_changed_weight_is_not_handed_on(path):
    flip_a_weight(path)
    with pytest.raises(BrokenCheckpointError, match="does not match its checksum"):
        export_weights(path, path.with_name("b.pth"))
    with pytest.raises(BrokenCheckpointError, match="does not match its checksum"):
        publish_checkpoint(path)
    assert [entry.name for entry in path.parent.iterdir()] == ["a.pth"]


def test_the_format_does_not_depend_on_the_device_where_the_module_is_imported():
    with torch.device("meta"):
        names = runpy.run_module("eng.checkpoint._archive_writer")
    assert names["_REBUILD_TYPED"] is torch.ones(1).__reduce_ex__(2)[0]
    assert names["_REBUILD_UNTYPED"] is torch.ones(1, dtype=torch.uint16).__reduce_ex__(2)[0]
