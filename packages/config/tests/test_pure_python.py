from __future__ import annotations

import collections
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from config_parts import Write

from eng.config import Config

HEAD = "from eng.config import read_base\nwith read_base():\n"
BASE = """
from no_such_library.optim import SGD
import no_such_library.nn as nn
import no_such_library.data.sets
from functools import partial
import collections
optimizer = dict(type=SGD, lr=0.1)
model = dict(type=nn.Conv2d, data=no_such_library.data.sets.Coco)
kind = dict(type=collections.OrderedDict)
_hidden = 1
"""


def test_star_import_is_inheritance(write: Write) -> None:
    path = write(
        b_py=BASE, a_py=HEAD + "    from .b import *\noptimizer.update(dict(lr=0.3))\noptimizer.merge(dict(m=0.9))\n"
    )
    cfg = Config.fromfile(path)
    assert cfg.to_dict() == dict(
        optimizer=dict(type="no_such_library.optim.SGD", lr=0.3, m=0.9),
        model=dict(type="no_such_library.nn.Conv2d", data="no_such_library.data.sets.Coco"),
        kind=dict(type=collections.OrderedDict),
        _hidden=1,
    )
    assert "no_such_library" not in sys.modules


def test_names_and_aliases(write: Write) -> None:
    text = (
        HEAD
        + "    from .b import model as m, optimizer\n    from .b import optimizer as second\nsecond.lr = 5\nx = optimizer.lr"
    )
    cfg = Config.fromfile(write(b_py=BASE, a_py=text))
    assert sorted(cfg) == ["m", "optimizer", "second", "x"]
    assert (cfg.optimizer.lr, cfg.second.lr, cfg.x) == (0.1, 5, 0.1)


def test_relative_parents_and_packages(write: Write, library: Callable[..., Path]) -> None:
    library("eng_test_pure", **{"configs__base__r": "r = 1", ".mim__configs__s": "s = 2"})
    text = (
        HEAD + "    from ..base.b import *\n    from eng_test_pure.configs.base.r import *\n"
        "    from eng_test_pure.configs.s import *\n"
    )
    cfg = Config.fromfile(write(base__b_py="b = 0", run__a_py=text))
    assert cfg.to_dict() == dict(b=0, r=1, s=2)


def test_what_is_imported_is_built_when_read(write: Write) -> None:
    library = "from xml.dom import minidom\nfrom xml import sax as lazy_looking\n"
    cfg = Config.fromfile(
        write(a_py=library + "from hypothesis import given\nx = dict(type=given, y=minidom)"), lazy_import=True
    )
    import hypothesis

    assert cfg.x.type is hypothesis.given
    assert cfg.x.y.__name__ == "xml.dom.minidom"


def test_what_does_not_exist_names_the_line(write: Write) -> None:
    cfg = Config.fromfile(write(a_py="\nfrom no_such_library import X\nx = dict(type=X)"))
    with pytest.raises(ImportError, match=r"no_such_library.*imported in a.py:2"):
        _ = cfg.x.type


def test_standard_library_works_in_the_file(write: Write) -> None:
    cfg = Config.fromfile(
        write(
            a_py="import math\nfrom functools import partial\nfrom no_such_library import X\nx = math.pi\np = partial(max, 1)(2)\nt = dict(type=X)"
        )
    )
    assert (cfg.x, cfg.p) == (math.pi, 2)


def test_imported_names_are_kept_aside(write: Write) -> None:
    cfg = Config.fromfile(write(a_py="from no_such_library import X\nx = dict(type=X)"))
    assert "X" not in cfg
    assert cfg.to_dict(keep_imported=True) == dict(X="no_such_library.X", x=dict(type="no_such_library.X"))
    assert cfg._to_lazy_dict(keep_imported=True)["X"].dotted == "no_such_library.X"


def test_dump_names_what_is_lazy(write: Write) -> None:
    cfg = Config.fromfile(write(a_py="from no_such_library import X\nx = dict(type=X)"))
    assert cfg.pretty_text == "x = dict(type='no_such_library.X')\n"


def test_bases_are_not_changed_by_who_imports_them(write: Write) -> None:
    one = write(
        b_py="x = dict(l=[1])",
        c_py=HEAD + "    from .b import *\nx.l.append(2)",
        a_py=HEAD + "    from .c import *\n    from .b import x as y\n",
    )
    assert Config.fromfile(one).to_dict() == dict(x=dict(l=[1, 2]), y=dict(l=[1]))


@pytest.mark.parametrize(
    ("files", "kind", "match"),
    [
        (dict(b_py="x=1", a_py="_base_ = 'b.py'\n" + HEAD + "    from .b import *"), ValueError, r"a.py:3: this file uses both"),
        (dict(b_py="from lib import X\nx = dict(type=X)", a_py="_base_ = 'b.py'\n"), RuntimeError, r"a.py: base b.py is a pure-Python config.*use `with read_base\(\):` here"),
        (dict(c_py="x=1", b_py="_base_ = 'c.py'\n", a_py=HEAD + "    from .b import *"), ValueError, r"a.py:3: b.py uses `_base_ = …`"),
        (dict(a_py=HEAD + "    from .nob import *"), FileNotFoundError, r"a.py:3: base config '.*nob.py' does not exist"),
        (dict(b_py="depth=1", a_py=HEAD + "    from .b import depht"), ImportError, r"a.py:3: base config .b has no 'depht'; did you mean 'depth'"),
        (dict(a_py=HEAD + "    import b"), ValueError, r"a.py:3: inside `with read_base\(\):` write `from"),
        (dict(a_py="from .b import x"), ValueError, r"a.py:1: a relative import is only allowed inside"),
        (dict(a_py="from lib import *"), ValueError, r"a.py:1: `from lib import \*` cannot stay lazy"),
        (dict(a_py="from lib import X\nx = X()"), TypeError, r"lib.X is imported lazily \(imported in a.py:1\) and cannot be called"),
        (dict(a_py=HEAD + "    from .a import *"), ValueError, "own base: a.py -> a.py"),
        (dict(a_py=HEAD + "    from no_such_lib.configs.x import *"), ModuleNotFoundError, "'no_such_lib' is not installed"),
    ],
    ids=["mixed", "mixed-base", "mixed-child", "missing", "name", "import", "relative", "star", "call", "circle", "package"],
)  # fmt: skip
def test_message(files: dict[str, str], kind: type[Exception], match: str, write: Write) -> None:
    with pytest.raises(kind, match=match):
        Config.fromfile(write(**files).name)


def test_a_text_style_base_may_import_what_it_does_not_keep(write: Write) -> None:
    path = write(
        b_py="from no_such_library import build\nx = 1\nif __name__ == '__main__':\n    build(x)\n",
        a_py="_base_ = 'b.py'",
    )
    assert Config.fromfile(path).x == 1


def test_lazy_import_false_executes_imports(write: Write) -> None:
    cfg = Config.fromfile(write(a_py="import hypothesis\nv = hypothesis.__version__"), lazy_import=False)
    assert isinstance(cfg.v, str)


def test_type_checkers_and_ides_follow_the_imports(write: Write) -> None:
    pytest.importorskip("mypy")
    folder = write(
        conf__b_py="lr = 0.1\n", conf__a_py=HEAD + "    from .b import *\nx: float = lr\ny: str = lr\n"
    ).parent
    (folder / "__init__.py").touch()
    words = [sys.executable, "-m", "mypy", "--no-incremental", "-p", "conf"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, cwd=folder.parent)
    assert "a.py:5" in done.stdout
    assert "Found 1 error" in done.stdout


def test_read_base_does_nothing_by_itself() -> None:
    from eng.config import read_base

    with read_base():
        value = 1
    assert value == 1


def test_marks_that_deleted_nothing_do_not_stay_and_a_dump_loads_equal(write: Write, tmp_path: Path) -> None:
    base = BASE + "sampler = dict(_delete_=True, size=4)\n"
    text = HEAD + (
        "    from .b import *\n"
        "model.merge(dict(data=dict(_delete_=True, root='x')))\n"  # replaces the value
        "optimizer.update(m=dict(_delete_=True, z=1))\n"
        "steps = [dict(_delete_=True, at=2)]\n"
    )
    cfg = Config.fromfile(write(b_py=base, a_py=text))
    assert cfg.to_dict() == dict(
        optimizer=dict(type="no_such_library.optim.SGD", lr=0.1, m=dict(z=1)),
        model=dict(type="no_such_library.nn.Conv2d", data=dict(root="x")),
        kind=dict(type=collections.OrderedDict),
        sampler=dict(size=4),
        steps=[dict(at=2)],
        _hidden=1,
    )
    assert cfg.optimizer.m.z == 1
    del cfg["kind"]
    cfg.dump(str(tmp_path / "dumped.py"))
    assert Config.fromfile(tmp_path / "dumped.py").to_dict() == cfg.to_dict()
