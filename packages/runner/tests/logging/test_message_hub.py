from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from eng.logging import HistoryBuffer, MessageHub


@pytest.fixture
def hub(request):
    return MessageHub(request.node.name)


def test_scalars_and_facts_are_found_by_key(hub):
    hub.update_scalars({"train/time": {"value": 0.1, "count": 2}, "train/loss": torch.tensor(3.0)})
    hub.update_scalar("train/loss", 1)
    hub.update_info_dict({"iter": 1, "epoch": 0})
    assert hub.get_scalar("train/loss").mean() == 2
    assert hub.get_scalar("train/time").mean() == pytest.approx(0.05)
    assert (hub.get_info("iter"), hub.get_info("nothing", 7), hub.pop_info("epoch"), hub.get_info("epoch")) == (
        1,
        7,
        0,
        None,
    )
    assert set(hub.log_scalars) == {"train/time", "train/loss"}


def test_a_fact_is_given_as_it_is(hub):
    value = object()
    hub.update_info("thing", value)
    assert hub.get_info("thing") is value


def test_current_instance_exists_before_any_was_made(monkeypatch):
    monkeypatch.setattr(MessageHub, "_instance_dict", type(MessageHub._instance_dict)())
    assert MessageHub.get_current_instance().instance_name == "mmengine"


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda hub: hub.get_scalar("train/los"), KeyError, "never logged.*logged: train/loss"),
        (lambda hub: hub.update_scalars([1]), TypeError, "mapping"),
        (lambda hub: hub.update_scalars({"a": {"val": 1}}), ValueError, "'a' is a mapping without 'value'"),
        (lambda hub: hub.update_info_dict([1]), TypeError, "mapping"),
        (lambda hub: hub.update_scalar("train/loss", 1, resumed=False), ValueError, "cannot change"),
        (lambda hub: hub.update_scalar("train/x", torch.ones(3)), TypeError, "one element"),
        (lambda hub: hub.load_state_dict([1]), TypeError, "list"),
        (lambda hub: hub.load_state_dict({"log_scalars": {}}), KeyError, "runtime_info, resumed_keys"),
        (lambda hub: MessageHub("bad", log_scalars=[1]), TypeError, "log_scalars must be a mapping"),
        (lambda hub: MessageHub("bad", log_scalars={"a": 1}), TypeError, "must be a HistoryBuffer"),
    ],
    ids=[
        "unknown",
        "not-mapping",
        "no-value",
        "infos",
        "resumed",
        "vector",
        "state",
        "state-keys",
        "init",
        "init-value",
    ],
)
def test_bad_input(hub, call, error, match):
    hub.update_scalar("train/loss", 1)
    with pytest.raises(error, match=match):
        call(hub)


class TestState:
    def test_a_plain_torch_load_reads_it(self, hub, tmp_path):
        hub.update_scalar("train/loss", torch.tensor(1.0))
        hub.update_info_dict({"iter": np.int64(3), "palette": np.eye(2), "meta": {"classes": ("a", "b")}})
        torch.save(hub.state_dict(), tmp_path / "hub.pth")
        loaded = torch.load(tmp_path / "hub.pth", weights_only=True)
        other = MessageHub("other")
        other.load_state_dict(loaded)
        assert other.get_scalar("train/loss").current() == 1
        assert other.get_info("iter") == 3
        assert torch.equal(other.get_info("palette"), torch.eye(2, dtype=torch.float64))
        assert other.get_info("meta") == {"classes": ("a", "b")}

    def test_keys_not_to_be_resumed_are_left_out(self, hub):
        hub.update_scalar("train/a", 1, resumed=False)
        hub.update_info("b", 1, resumed=False)
        state = hub.state_dict()
        assert not state["log_scalars"]
        assert not state["runtime_info"]

    def test_a_fact_that_is_not_plain_is_named_and_left_out(self, hub, caplog):
        hub.update_info("model", torch.nn.Linear(1, 1))
        with caplog.at_level(logging.WARNING, "eng"):
            assert "model" not in hub.state_dict()["runtime_info"]
            hub.update_info("other", torch.nn.Linear(1, 1))
            hub.state_dict()
        assert "'model' is not kept in checkpoints: it holds torch.nn.modules.linear.Linear" in caplog.text
        assert [record.args[0] for record in caplog.records] == ["model", "other"]  # each once, not at each checkpoint

    def test_state_is_independent_of_what_follows(self, hub):
        hub.update_info("list", [1])
        state = hub.state_dict()
        hub.get_info("list").append(2)
        assert state["runtime_info"]["list"] == [1]

    def test_histories_of_mmengine_are_taken(self, hub):
        hub.load_state_dict(
            {"log_scalars": {"train/loss": HistoryBuffer([1, 3], [1, 1])}, "runtime_info": {}, "resumed_keys": {}}
        )
        hub.update_scalar("train/loss", 5)
        assert hub.get_scalar("train/loss").mean() == 3

    def test_what_is_no_history_is_named_and_skipped(self, hub, caplog):
        with caplog.at_level(logging.WARNING, "eng"):
            hub.load_state_dict({"log_scalars": {"train/x": 1}, "runtime_info": {"iter": 2}, "resumed_keys": {}})
        assert "'train/x' is not resumed" in caplog.text
        assert hub.get_info("iter") == 2

    def test_another_hub_can_be_taken_over(self, hub):
        source = MessageHub("source-of-a-copy")
        source.update_scalar("train/loss", 2)
        hub.load_state_dict(source)
        hub.update_scalar("train/loss", 4)
        assert hub.get_scalar("train/loss").mean() == 3
        assert source.get_scalar("train/loss").mean() == 2

    def test_a_fact_that_cannot_be_copied_is_shared_as_in_mmengine(self, hub, caplog):
        class Lock:
            def __deepcopy__(self, memo):
                raise RuntimeError("held elsewhere")

        lock = Lock()
        hub.load_state_dict({"log_scalars": {}, "runtime_info": {"lock": lock, "iter": 2}, "resumed_keys": {}})
        assert hub.get_info("lock") is lock and hub.get_info("iter") == 2
        assert "'lock' cannot be copied (RuntimeError: held elsewhere)" in caplog.text
