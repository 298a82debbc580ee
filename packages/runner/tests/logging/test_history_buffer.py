from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from logging_parts import filled

from eng.logging import HistoryBuffer, MessageHub
from eng.logging.history_buffer import settle_together


class TestStatistics:
    def test_examples_of_the_manual(self):
        buffer = HistoryBuffer([1, 2, 3], [1, 1, 1])
        assert (buffer.min(2), buffer.min(), buffer.max(2), buffer.max()) == (2, 1, 3, 3)
        assert (buffer.mean(2), buffer.mean()) == (2.5, 2)
        assert HistoryBuffer([1, 2, 3], [2, 2, 2]).mean() == 1
        buffer.update(4, 1)
        assert buffer.current() == 4

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.tuples(st.floats(-1e6, 1e6, width=32), st.integers(1, 9), st.booleans()), min_size=1, max_size=60),
        st.integers(1, 70),
    )
    def test_same_as_numpy_over_the_window_whatever_is_mixed(self, rows, window):
        values, counts = [row[0] for row in rows], [row[1] for row in rows]
        buffer = filled([torch.tensor(v) if is_tensor else v for v, _, is_tensor in rows], counts)
        tail, weights = np.array(values[-window:]), np.array(counts[-window:])
        assert buffer.mean(window) == pytest.approx(tail.sum() / weights.sum())
        assert buffer.max(window) == tail.max()
        assert buffer.min(window) == tail.min()
        assert buffer.current() == values[-1]
        assert buffer.data[0].tolist() == values

    def test_mean_of_nothing_is_nan(self):
        assert math.isnan(HistoryBuffer().mean())

    def test_max_length_forgets_the_oldest(self):
        with pytest.warns(UserWarning, match="holds 3 values and max_length is 2"):
            buffer = HistoryBuffer([1, 2, 3], [1, 2, 3], max_length=2)
        assert [part.tolist() for part in buffer.data] == [[2, 3], [2, 3]]
        for value in range(5000):
            buffer.update(value)
        assert buffer.data[0].tolist() == [4998, 4999]

    def test_max_length_holds_for_tensors_nobody_read(self):
        buffer = filled([torch.tensor(float(value)) for value in range(3000)], max_length=1500)
        assert buffer._waiting() <= 1500 + 2 * 1024
        assert buffer.data[0].tolist() == list(range(1500, 3000))

    def test_registered_statistic_sees_the_arrays(self):
        @HistoryBuffer.register_statistics
        def weighted_sum_for_this_test(self, window_size, weight):
            return (self._log_history[-window_size:] * np.array(weight)).sum() / self._count_history[
                -window_size:
            ].sum()

        try:
            assert HistoryBuffer([1, 2], [1, 1]).statistics("weighted_sum_for_this_test", 2, [2, 1]) == 2
            with pytest.raises(ValueError, match="registered already"):
                HistoryBuffer.register_statistics(weighted_sum_for_this_test)
        finally:
            del HistoryBuffer._statistics_methods["weighted_sum_for_this_test"]

    def test_unknown_statistic_names_the_nearest(self):
        with pytest.raises(KeyError, match="did you mean 'mean'"):
            HistoryBuffer().statistics("meen")
        with pytest.raises(KeyError, match="there are: current, max, mean, min"):
            HistoryBuffer().statistics("data")


class TestUpdate:
    @pytest.mark.parametrize(
        "value", [1, 1.0, np.float32(1), np.array([1.0]), torch.tensor(1), torch.ones(1, requires_grad=True)], ids=repr
    )
    def test_takes_any_single_number(self, value):
        buffer = filled([value, value])
        assert buffer.data[0].tolist() == [1, 1]

    @pytest.mark.parametrize("value", ["1", None, [1], torch.ones(2), np.ones(2)], ids=repr)
    def test_refuses_anything_else(self, value):
        with pytest.raises(TypeError, match="one element"):
            HistoryBuffer().update(value)

    def test_refuses_a_count_that_is_no_number(self):
        with pytest.raises(TypeError, match="count"):
            HistoryBuffer().update(1.0, "2")

    def test_never_reads_a_tensor(self):
        # A meta tensor has no value: whoever reads it fails.
        buffer = HistoryBuffer()
        for _ in range(5000):
            buffer.update(torch.ones((), device="meta"))
        with pytest.raises((NotImplementedError, AssertionError)):  # torch 2.9 refuses to join them before it reads
            buffer.current()

    def test_keeps_no_graph(self):
        buffer = filled([torch.ones(1, requires_grad=True) * 2])
        assert not buffer._pending[0].requires_grad

    def test_unequal_histories_are_refused(self):
        with pytest.raises(ValueError, match="2 values and count_history 1"):
            HistoryBuffer([1, 2], [1])

    def test_max_length_below_one_is_refused(self):
        with pytest.raises(ValueError, match="max_length"):
            HistoryBuffer(max_length=0)

    def test_window_must_be_a_number(self):
        with pytest.raises(TypeError, match="window_size"):
            filled([1.0]).mean("epoch")


class TestDeferredReading:
    def test_all_tensors_of_a_hub_come_in_one_transfer_without_item(self, monkeypatch):
        hub = MessageHub("one-transfer")
        for step in range(50):
            for key in "abc":
                hub.update_scalar(f"train/{key}", torch.tensor(float(step)))
        transfers = []
        original = torch.Tensor.cpu
        monkeypatch.setattr(torch.Tensor, "cpu", lambda self: (transfers.append(len(self)), original(self))[1])
        monkeypatch.setattr(torch.Tensor, "item", lambda self: pytest.fail("a single value was read"))
        means = [hub.get_scalar(f"train/{key}").mean(10) for key in "abc"]
        assert means == [44.5] * 3
        assert transfers == [150]

    def test_reading_host_numbers_leaves_tensors_of_others_alone(self):
        hub = MessageHub("leave-alone")
        hub.update_scalar("train/loss", torch.ones((), device="meta"))
        hub.update_scalar("train/time", 0.5)
        assert hub.get_scalar("train/time").mean() == 0.5

    def test_different_dtypes_and_shapes_are_read_exactly(self):
        rows = [torch.tensor(1, dtype=torch.int64), torch.tensor([2.5], dtype=torch.bfloat16), 3, torch.tensor(0.1)]
        buffer = filled(rows)
        settle_together([buffer])
        assert buffer.data[0].tolist() == [1, 2.5, 3, float(np.float32(0.1))]

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
    def test_updating_does_not_synchronise_with_the_device(self):
        buffer = HistoryBuffer()
        torch.cuda.set_sync_debug_mode("error")
        try:
            for step in range(3000):
                buffer.update(torch.full((), 1.0, device="cuda"))
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert buffer.mean() == 1.0
