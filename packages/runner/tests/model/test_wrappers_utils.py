from __future__ import annotations

from torch import nn

from eng.model import is_model_wrapper
from eng.registry import MODEL_WRAPPERS, Registry


def test_is_model_wrapper_asks_child_registries():
    child = Registry("child wrapper", parent=MODEL_WRAPPERS, scope="wrappertest")

    @child.register_module()
    class OwnWrapper(nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

    assert is_model_wrapper(OwnWrapper(nn.Linear(1, 1))) and is_model_wrapper(nn.DataParallel(nn.Linear(1, 1)))
    assert not is_model_wrapper(nn.Linear(1, 1))
    assert not is_model_wrapper(nn.DataParallel(nn.Linear(1, 1)), child)
