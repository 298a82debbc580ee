from __future__ import annotations

from eng.visualization.colors import to_rgb

RED, GREEN, BLUE = (255, 0, 0), (0, 128, 0), (0, 0, 255)


def test_colours_by_letter_name_and_number() -> None:
    assert [to_rgb(color) for color in ("r", "tomato", "#010203", [4, 5, 6], "none")] == [
        RED, (255, 99, 71), (1, 2, 3), (4, 5, 6), None,
    ]  # fmt: skip
