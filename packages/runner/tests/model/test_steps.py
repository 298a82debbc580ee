from __future__ import annotations

from eng.model import BaseModel
from eng.model.adapters import adapt


def test_a_model_with_steps_stays_as_it_is(caplog) -> None:
    class Steps(BaseModel):
        def forward(self, x, mode="tensor"):
            return x

    model = Steps()
    assert adapt(model) is model
    with caplog.at_level("WARNING", logger="eng"):
        assert adapt(model, loss="MSELoss") is model
    assert "Steps has steps of its own" in caplog.text
