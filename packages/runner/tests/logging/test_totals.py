from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from logging_parts import filled

from eng.logging import HistoryBuffer, MessageHub


class TestState:
    def test_size_does_not_depend_on_the_length(self):
        sizes = {len(pickle.dumps(filled([0.5] * length).state_dict())) for length in (1, 300, 100_000)}
        assert max(sizes) - min(sizes) < 64

    def test_continues_as_if_nothing_had_happened(self):
        rng = np.random.default_rng(0)
        values = rng.normal(size=4000)
        whole, first = filled(values), filled(values[:3000])
        resumed = HistoryBuffer()
        resumed.load_state_dict(first.state_dict())
        for value in values[3000:]:
            resumed.update(value)
        for window in (1, 10, 100, 256):
            assert resumed.mean(window) == whole.mean(window)
        assert resumed.mean() == pytest.approx(whole.mean())
        assert (resumed.min(), resumed.max()) == (whole.min(), whole.max())

    def test_keeps_enough_for_the_windows_that_are_read(self):
        values = np.arange(5000.0)
        first = filled(values[:4000])
        first.mean(1000)
        resumed = HistoryBuffer()
        resumed.load_state_dict(first.state_dict())
        for value in values[4000:]:
            resumed.update(value)
        assert resumed.mean(1500) == values[-1500:].mean()

    def test_holds_tensors_and_numbers_only(self, tmp_path):
        torch.save(filled([1.0, 2.0]).state_dict(), tmp_path / "state.pth")
        loaded = torch.load(tmp_path / "state.pth", weights_only=True)
        resumed = HistoryBuffer()
        resumed.load_state_dict(loaded)
        assert resumed.data[0].tolist() == [1.0, 2.0]

    @pytest.mark.parametrize(
        "how", [copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))], ids=["deepcopy", "pickle"]
    )
    def test_copies_hold_the_same(self, how):
        original = filled([1.0, torch.tensor(2.0)])
        twin = how(original)
        twin.update(3.0)
        assert twin.data[0].tolist() == [1, 2, 3]
        assert original.data[0].tolist() == [1, 2]


class TestRecorder:
    def test_appends_among_other_updates(self):
        hub = MessageHub("recorder")
        record = hub.recorder("train/loss")
        record(1.0)
        hub.update_scalar("train/loss", 5.0, count=2)
        record(torch.tensor(3.0))
        history = hub.get_scalar("train/loss")
        assert history.data[0].tolist() == [1.0, 5.0, 3.0]
        assert history.data[1].tolist() == [1, 2, 1]

    @pytest.mark.parametrize("whole", [False, True], ids=["state", "hub"])
    def test_stays_right_when_a_state_is_loaded(self, whole):
        source, hub = MessageHub("recorder-source"), MessageHub("recorder-target")
        source.update_scalar("train/loss", 7.0)
        record = hub.recorder("train/loss")
        record(1.0)
        hub.load_state_dict(source if whole else source.state_dict())
        record(8.0)
        assert hub.get_scalar("train/loss").data[0].tolist() == [7.0, 8.0]
        assert source.get_scalar("train/loss").data[0].tolist() == [7.0]

    def test_what_it_took_is_packed_without_being_read(self, monkeypatch):
        buffer = HistoryBuffer()
        record = buffer.recorder()
        for number in range(5):
            record(torch.tensor(float(number)))
        monkeypatch.setattr(torch.Tensor, "cpu", lambda self: pytest.fail("a value was read"))
        buffer.pack()
        monkeypatch.undo()
        record(torch.tensor(5.0))
        assert buffer.data[0].tolist() == [0, 1, 2, 3, 4, 5]

    @given(st.lists(st.floats(-1e6, 1e6), min_size=11, max_size=60))
    def test_a_mean_has_the_same_bits_before_and_after_the_values_went_into_the_array(self, values):
        waiting, read = filled(values), filled(values)
        assert read.data[0].tolist() == values
        assert waiting.mean(10) == read.mean(10)
        assert waiting.current() == read.current() == values[-1]

    def test_a_window_holds_no_more_than_is_kept(self):
        buffer = HistoryBuffer(max_length=3)
        for value in [1.0, 2.0, 3.0, 4.0, 5.0]:
            buffer.update(value)
        assert buffer.mean(5) == buffer.mean() == 4.0
