from __future__ import annotations

import pytest
from checkpoint_parts import flip_a_weight

from eng.checkpoint import BrokenCheckpointError, export_weights, publish_checkpoint


def test_a_changed_weight_is_not_handed_on(path):
    flip_a_weight(path)
    with pytest.raises(BrokenCheckpointError, match="does not match its checksum"):
        export_weights(path, path.with_name("b.pth"))
    with pytest.raises(BrokenCheckpointError, match="does not match its checksum"):
        publish_checkpoint(path)
    assert [entry.name for entry in path.parent.iterdir()] == ["a.pth"]
