"""Which names of a Python config are settings: what it assigns, not what it imports or defines."""

from __future__ import annotations

import functools
import gc
import math
import os
import weakref
from typing import Any

import pytest
from config_parts import Write

from eng.config import Config, ConfigFileError

HEAD = "from eng.config import read_base\nwith read_base():\n"
LIBRARY = "from no_lib import K, fn, CFG\nimport no_lib\nimport no_lib.nn as nn\n"


@pytest.mark.parametrize("home", ["file", "base"])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("dataset_type = K", dict(dataset_type="no_lib.K")),
        ("collate = fn", dict(collate="no_lib.fn")),
        ("model = CFG", dict(model="no_lib.CFG")),
        ("pair = (K, fn)", dict(pair=("no_lib.K", "no_lib.fn"))),
        ("n = no_lib.NUM", dict(n="no_lib.NUM")),
        ("conv = nn.Conv2d", dict(conv="no_lib.nn.Conv2d")),
        ("K2 = K\nK2 = K2", dict(K2="no_lib.K")),
        ("K = 3", dict(K=3)),
        ("a, b = K, 1", dict(a="no_lib.K", b=1)),
        ("for k in [K]:\n    pass", dict(k="no_lib.K")),
        ("if True:\n    from no_lib import Z\n    z = Z", dict(z="no_lib.Z")),
        ("try:\n    from no_lib import Z\nexcept ImportError:\n    Z = None\nz = Z", dict(z="no_lib.Z")),
    ],
)
def test_assigned_names_are_settings_imported_ones_are_not(
    body: str, expected: dict[str, Any], home: str, write: Write
) -> None:
    files = dict(a_py=LIBRARY + body + "\n") if home == "file" else dict(b_py=LIBRARY + body + "\n", a_py=HEAD + "    from .b import *\n")  # fmt: skip
    cfg = Config.fromfile(write(**files))
    assert cfg.to_dict() == expected
    if home == "file":
        assert set(cfg.to_dict(keep_imported=True)) >= {"fn", "CFG", "nn", "no_lib"}


STANDARD = "from os import environ, sep\nfrom sys import argv, path, stdout\nfrom typing import TYPE_CHECKING\nfrom math import pi as PI\nimport os.path as osp, logging as lg\nfrom string import *\nfrom __future__ import annotations\n"  # fmt: skip


@pytest.mark.parametrize("style", ["text", "based", "lazy", "base", "star", "named", "forced"])
def test_names_of_the_standard_library_are_no_settings(style: str, write: Write) -> None:
    *imports, future = STANDARD.splitlines()
    body = "\n".join([future, *imports, "a = PI", "b = osp.join('x', 'y')", ""])
    files = {
        "text": dict(a_py=body),
        "based": dict(b_py="z = 1\n", a_py=body + "_base_ = 'b.py'\n"),
        "lazy": dict(a_py=body + "from no_lib import K\n"),
        "base": dict(b_py=body, a_py="_base_ = 'b.py'\n"),
        "star": dict(b_py=body, a_py=HEAD + "    from .b import *\n"),
        "named": dict(b_py=body, a_py=HEAD + "    from .b import a, b, environ, PI as p\n"),
        "forced": dict(a_py=body),
    }[style]
    cfg = Config.fromfile(write(**files), lazy_import=True if style == "forced" else None)
    assert cfg.to_dict() == dict(a=math.pi, b=os.path.join("x", "y"), **(dict(z=1) if style == "based" else {}))
    assert "environ" not in cfg.to_dict(keep_imported=True)


def test_standard_values_that_are_assigned_stay(write: Write) -> None:
    cfg = Config.fromfile(
        write(a_py="from functools import reduce\nimport math\nf = reduce\ng = math.sqrt\nK = math.pi\n")
    )
    assert (cfg.f, cfg.g, cfg.K) == (functools.reduce, math.sqrt, math.pi)


@pytest.mark.parametrize("last", ["from no_lib import K\n", "_base_ = 'b.py'\n", ""])
def test_functions_and_classes_of_the_file_are_tools(last: str, write: Write) -> None:
    text = (
        last
        + "def parse_args(): pass\nclass Tool: pass\ng = lambda: 1\ndef main(): return Tool\nif __name__ == '__main__':\n    main()\nx = 1\n"
    )
    assert Config.fromfile(write(b_py="y = 2\n", a_py=text)).to_dict() == dict(
        x=1, **(dict(y=2) if "_base_" in last else {})
    )


def test_a_function_of_a_base_file_can_be_used(write: Write) -> None:
    base = "from no_lib import K\nstep = 2\ndef ladder(n):\n    return [i * step for i in range(n)]\n"
    path = write(b_py=base, a_py=HEAD + "    from .b import ladder, K\nx = ladder(3)\ny = K\n")
    assert Config.fromfile(path).to_dict() == dict(x=[0, 2, 4], y="no_lib.K")


@pytest.mark.parametrize("taken", ["*", "K, x, d"])
def test_what_a_file_binds_itself_wins_over_its_base(taken: str, write: Write) -> None:
    """As in MMEngine, which reads all base files before the first line of the file."""
    own = "from own_lib import K\nx = 1\nd = dict(own=True)\n"
    path = write(
        b_py="from base_lib import K\nx = 2\nd = dict(base=True)\nz = 3\n",
        a_py=own + HEAD + f"    from .b import {taken}\ny = dict(type=K)\nx2 = x\n",
    )
    cfg = Config.fromfile(path)
    expected = dict(x=1, x2=1, d=dict(own=True), y=dict(type="own_lib.K"))
    assert cfg.to_dict() == (expected | dict(z=3) if taken == "*" else expected)


def test_the_later_base_wins_over_the_earlier(write: Write) -> None:
    path = write(b_py="x = 1\ny = 1\n", c_py="x = 2\n", a_py=HEAD + "    from .b import *\n    from .c import *\n")
    assert Config.fromfile(path).to_dict() == dict(x=2, y=1)


def test_imports_in_functions_are_real(write: Write) -> None:
    path = write(
        a_py="from no_lib import K\ndef f():\n    from math import pi\n    import hypothesis\n    return pi, hypothesis.__name__\nx = f()\n"
    )
    assert Config.fromfile(path).x == (math.pi, "hypothesis")


def test_the_locals_of_a_caller_end_with_its_call(write: Write) -> None:
    path = write(a_py="import os\nx = 1\n")

    class Model:
        pass

    def read() -> weakref.ref[Model]:
        model = Model()
        assert Config.fromfile(path).x == 1
        return weakref.ref(model)

    gc.disable()  # what a cycle of frames holds would else end at some time
    try:
        assert read()() is None
    finally:
        gc.enable()


def test_read_base_in_a_condition_inherits(write: Write) -> None:
    path = write(
        b_py="x = 1\n",
        a_py="from mmengine.config import read_base\nif True:\n    with read_base():\n        from .b import *\ny = x + 1\n",
    )
    for trust in (True, False):
        assert Config.fromfile(path, trust=trust).to_dict() == dict(x=1, y=2)


@pytest.mark.parametrize("trust", [True, False])
def test_read_base_needs_no_import(trust: bool, write: Write) -> None:
    path = write(b_py="x = 1\n", a_py="with read_base():\n    from .b import *\ny = x + 1\n")
    assert Config.fromfile(path, trust=trust).to_dict() == dict(x=1, y=2)


@pytest.mark.parametrize("module", ["eng.config", "no_lib"])
def test_a_star_import_of_a_library_is_refused(module: str, write: Write) -> None:
    with pytest.raises(
        ConfigFileError, match=rf"a.py:1: `from {module} import \*` cannot stay lazy; name what is imported"
    ):
        Config.fromfile(write(a_py=f"from {module} import *\nx = 1\n").name)
