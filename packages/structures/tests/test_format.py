from __future__ import annotations

import torch

from eng.structures import BaseDataElement, InstanceData


def test_repr_shows_both_sections_nested() -> None:
    inner = InstanceData(scores=torch.ones(2, 1))
    text = repr(BaseDataElement(ins=inner, table={"a": 1}, metainfo={"shape": (2, 3)}))
    expected = f"""<BaseDataElement(

    META INFORMATION
    shape: (2, 3)

    DATA FIELDS
    ins: <InstanceData(

            META INFORMATION

            DATA FIELDS
            scores: tensor([[1.],
                        [1.]])
        ) at {id(inner):#x}>
    table:
        a: 1
) at """
    assert text.startswith(expected)
