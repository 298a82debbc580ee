from __future__ import annotations

import pytest

from eng.runner.lazy import Lazy


def test_a_part_is_built_once_and_when_it_is_needed() -> None:
    settings: list[dict[str, int]] = []

    def build(setting: dict[str, int]) -> list[int]:
        settings.append(setting)
        return [setting["n"]]

    part = Lazy({"n": 3}, build)
    assert part.peek() == {"n": 3}
    assert settings == []
    assert part.get() is part.need() is part.peek()
    assert part.get() == [3]
    assert settings == [{"n": 3}]


def test_another_setting_is_built_anew() -> None:
    part = Lazy(1, lambda setting: [setting])
    assert part.need() == [1]
    part.replace(2)
    assert part.peek() == 2
    assert part.need() == [2]


def test_a_part_may_be_built_as_none() -> None:
    settings = []
    part: Lazy[None] = Lazy({"type": "Nothing"}, settings.append)
    assert part.get() is None
    assert part.peek() is None
    assert part.get() is None
    assert settings == [{"type": "Nothing"}]


def test_a_missing_part_is_none_and_needing_it_is_an_error() -> None:
    part: Lazy[int] = Lazy(None, lambda setting: 1)
    assert part.get() is None
    assert part.peek() is None
    with pytest.raises(LookupError, match="was not given this part"):
        part.need()
