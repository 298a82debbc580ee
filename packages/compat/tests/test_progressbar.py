from __future__ import annotations

import io

import pytest

from eng.compat.utils import progressbar


def square(x, power=2):
    return x**power


def test_progress_bars() -> None:
    out = io.StringIO()
    assert progressbar.track_progress(square, [1, 2, 3], file=out, power=3) == [1, 8, 27]
    assert "3/3" in out.getvalue() and out.getvalue().endswith("\n")
    assert list(progressbar.track_iter_progress((iter([1, 2]), 2), file=out)) == [1, 2]
    with pytest.raises(TypeError, match="an iterable and its length"):
        progressbar.track_progress(square, 3, file=out)
    endless = progressbar.ProgressBar(file=out)
    endless.update(2)
    assert "completed: 2" in out.getvalue()
    with pytest.raises(ValueError, match="at least 1"):
        endless.update(0)


@pytest.mark.parametrize("keep_order", [True, False])
def test_parallel_progress(keep_order) -> None:
    out = io.StringIO()
    results = progressbar.track_parallel_progress(
        square, list(range(6)), 2, skip_first=True, keep_order=keep_order, file=out
    )
    assert sorted(results) == [0, 1, 4, 9, 16, 25]
    assert not keep_order or results == [0, 1, 4, 9, 16, 25]
    assert "4/4" in out.getvalue()
