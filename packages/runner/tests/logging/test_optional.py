from __future__ import annotations

import sys

import numpy as np
import pytest

from eng.logging.optional import optional_module
from eng.visualization.canvas import font
from eng.visualization.colors import _rgb_of_name
from eng.visualization.window import _show_figure


def test_a_module_that_is_there_and_one_that_is_not() -> None:
    assert optional_module("json.decoder", "a test") is sys.modules["json.decoder"]
    with pytest.raises(ModuleNotFoundError, match=r"^a test needs no-such-thing: pip install 'no-such-thing'$"):
        optional_module("no_such_thing.inner", "a test", "no-such-thing")


def test_a_package_that_lacks_another_one_says_so_itself(tmp_path, monkeypatch) -> None:
    (tmp_path / "half_installed.py").write_text("import no_such_inner_thing")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="^No module named 'no_such_inner_thing'$"):
        optional_module("half_installed", "a test")


@pytest.mark.parametrize(
    ("module", "package", "call"),
    [
        ("PIL", "pillow", lambda: _rgb_of_name("tomato")),
        ("PIL", "pillow", lambda: font(7, "a family that nobody has")),
        ("matplotlib", "matplotlib", lambda: _show_figure(np.zeros((2, 2)), "a", 0.0, " ")),
    ],
    ids=["colour", "font", "window"],
)
def test_what_needs_a_package_names_it(monkeypatch, module, package, call) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError, match=f"needs {package}: pip install '{package}'"):
        call()
