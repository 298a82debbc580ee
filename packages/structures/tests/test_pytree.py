from __future__ import annotations

import torch
from torch.utils import _pytree as torch_tree

from eng.structures import BaseDataElement, InstanceData


def test_elements_are_tree_nodes() -> None:
    data = InstanceData(boxes=torch.ones(2, 4), inner=InstanceData(s=torch.zeros(2)), metainfo={"id": 1})
    leaves, spec = torch_tree.tree_flatten(data)
    assert len(leaves) == 2
    doubled = torch_tree.tree_map(lambda leaf: leaf * 2, {"k": data})["k"]
    assert type(doubled) is InstanceData and doubled.boxes.sum() == 16 and doubled.id == 1
    doubled.labels = [1, 2]
    assert "labels" not in data
    other = InstanceData(boxes=torch.zeros(5, 4), inner=InstanceData(s=torch.zeros(5)), metainfo={"id": 2})
    assert torch_tree.tree_structure(other) == spec  # another image, the same layout
    paths = [torch_tree.keystr(path) for path, _ in torch_tree.tree_flatten_with_path(data)[0]]
    assert paths == [".boxes", ".inner.s"]


def test_vmap_goes_over_rows() -> None:
    data = InstanceData(boxes=torch.arange(8.0).reshape(2, 4), scores=torch.tensor([1.0, 2.0]))

    def area(row: InstanceData) -> torch.Tensor:
        return (row.boxes[2] - row.boxes[0]) * row.scores

    assert torch.vmap(area)(data).tolist() == [2, 4]
    scaled = torch.vmap(lambda row: torch_tree.tree_map(lambda leaf: leaf * 2, row))(data)
    assert type(scaled) is InstanceData and scaled.scores.tolist() == [2, 4]


def test_user_classes_are_tree_nodes_too() -> None:
    class Sample(BaseDataElement):
        pass

    assert type(torch_tree.tree_map(lambda leaf: leaf + 1, Sample(x=torch.zeros(1)))) is Sample
