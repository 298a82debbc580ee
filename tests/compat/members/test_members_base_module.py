from __future__ import annotations

from collections import defaultdict
from typing import Any

from torch import nn

from eng.model import BaseModule


def test_a_model_may_keep_the_record_of_its_initialisation(tmp_path) -> None:
    class Own(BaseModule):
        def __init__(self) -> None:
            super().__init__()
            self.fit = nn.Linear(1, 1)

        def init_weights(self) -> None:
            self._params_init_info: Any = defaultdict(dict)
            for parameter in self.parameters():
                self._params_init_info[parameter].update(init_info="by itself", tmp_mean_value=parameter.data.mean())
            for module in self.modules():
                module._params_init_info = self._params_init_info
            super()._dump_init_info()  # type: ignore[misc]
            for module in self.modules():
                del module._params_init_info

    model = Own()
    model.init_weights()
    assert not hasattr(model, "_params_init_info")
