from __future__ import annotations

from eng.tune._text import near_names, short_names, shown


def test_short_names_tell_axes_apart() -> None:
    assert short_names(["optim.lr", "model.depth"]) == ["lr", "depth"]
    assert short_names(["a.head.lr", "b.head.lr", "x"]) == ["a.head.lr", "b.head.lr", "x"]


def test_near_names_or_all_of_them() -> None:
    assert near_names("accuracy", ["acuracy", "loss"]) == "; did you mean acuracy?"
    assert near_names("zzz", ["acuracy", "loss"]) == "; there are: acuracy, loss"
    assert near_names("zzz", ["loss"], all_if_none=False) == ""
    assert near_names("zzz", []) == ""


def test_numbers_are_shown_with_six_digits() -> None:
    assert [shown(value) for value in (0.1 + 0.2, 1e-9, 3, None, "a")] == ["0.3", "1e-09", "3", "None", "a"]
