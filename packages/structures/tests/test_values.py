from __future__ import annotations

from eng.structures import BaseDataElement


def test_values_stand_in_dict_for_debuggers(element: BaseDataElement) -> None:
    assert vars(element)["text"] == "a" and vars(element)["img_id"] == 3
