from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eng.registry._nearness import closest, is_slip_of, or_mean


@pytest.mark.parametrize(
    ("word", "known"),
    [
        ("modle", "model"), ("mode", "model"), ("modell", "model"), ("nodel", "model"),
        ("param_schedular", "param_scheduler"), ("optim_wraper", "optim_wrapper"), ("train_dataloadre", "train_dataloader"),
    ],
)  # fmt: skip
def test_slips(word: str, known: str) -> None:
    assert is_slip_of(word, known)


@pytest.mark.parametrize(
    ("word", "known"),
    [("model", "model"), ("data_root", "model"), ("medal", "model"), ("train_pipeline", "tta_pipeline")],
)
def test_no_slips(word: str, known: str) -> None:
    assert not is_slip_of(word, known)


def test_closest_prefers_a_slip() -> None:
    assert closest("dept", ["width", "depth", "depot"]) == ["depot", "depth"]
    assert closest("save_bast", ["save_last", "interval", "save_best", "save_param_scheduler"]) == [
        "save_best",
        "save_last",
    ]
    assert closest("wide", ["width", "depth"]) == ["width"]
    assert closest("xyz", ["width"]) == []
    assert or_mean("dept", ["depth", "depot"]) == "; did you mean 'depot' or 'depth'?"
    assert or_mean("widht", ["width"]) == "; did you mean 'width'?"
    assert or_mean("q", ["width"]) == ""


@given(st.text("abc", min_size=4, max_size=9), st.data())
def test_every_single_edit_is_a_slip(word: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(word) - 1))
    letter = data.draw(st.sampled_from("abcz"))
    edits = [word[:at] + letter + word[at:], word[:at] + word[at + 1 :], word[:at] + letter + word[at + 1 :]]
    if at:
        edits.append(word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :])
    assert all(edit == word or is_slip_of(edit, word) for edit in edits)
