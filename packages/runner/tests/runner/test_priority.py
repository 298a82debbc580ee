from __future__ import annotations

import pytest

from eng.runner.priority import Priority, UnknownPriorityError, get_priority, priority_name

# As in MMEngine's manual.
NUMBERS = {
    "HIGHEST": 0, "VERY_HIGH": 10, "HIGH": 30, "ABOVE_NORMAL": 40, "NORMAL": 50, "BELOW_NORMAL": 60, "LOW": 70,
    "VERY_LOW": 90, "LOWEST": 100,
}  # fmt: skip


def test_names_in_any_case_members_and_numbers() -> None:
    assert {level.name: level.value for level in Priority} == NUMBERS
    for name, number in NUMBERS.items():
        assert get_priority(name) == get_priority(name.lower()) == get_priority(Priority[name]) == number
        assert priority_name(number) == name
    assert get_priority(33) == 33
    assert priority_name(33) == "33"


def test_mistakes_name_what_there_is() -> None:
    with pytest.raises(UnknownPriorityError, match=r"^unknown priority 'NORMALLY'; the names are HIGHEST, VERY_HIGH"):
        get_priority("NORMALLY")
    for number in (-1, 101):
        with pytest.raises(ValueError, match=f"between 0 and 100, got {number}"):
            get_priority(number)
    with pytest.raises(TypeError, match="an int, a name or a Priority, got float"):
        get_priority(1.5)  # type: ignore[arg-type]
