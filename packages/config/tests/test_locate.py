from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from config_parts import Write

from eng.config import Config


def test_a_path_of_a_base_as_libraries_ask_for_it(library: Callable[..., Path], write: Write) -> None:
    folder = library("eng_test_lib_path", configs__b="x = 1")
    assert Config._get_cfg_path("./b.py", "/configs/a.py") == ("/configs/b.py", None)
    assert Config._get_cfg_path("eng_test_lib_path::b.py", "/a.py") == (
        str(folder / "configs" / "b.py"),
        "eng_test_lib_path",
    )


SCOPED = """
model = dict(type='M', pre=dict(type='P', m=[dict(type='N')]), norm_cfg=dict(type='BN'), init_cfg=None)
pipeline = [dict(type='A', t=dict(type='B')), [dict(type='C')], dict(no=dict(type='D', e=dict(type='E')))]
mixed = (dict(type='F'), dict(own=1))
other = dict(type='G', _scope_='else', h=dict(type='H'))
unset = dict(type='I', _scope_=None)
plain = dict(a=1)
"""


def test_the_scope_stands_in_the_outermost_typed_mappings_only(library: Callable[..., Path], write: Write) -> None:
    """As observed with MMEngine 0.10.7."""
    library("eng_test_lib_scope", configs__b=SCOPED)
    s = {"_scope_": "eng_test_lib_scope"}
    assert Config.fromfile(write(a_py="_base_ = 'eng_test_lib_scope::b.py'")).to_dict() == dict(
        model=dict(type="M", pre=dict(type="P", m=[dict(type="N")]), norm_cfg=dict(type="BN"), init_cfg=None, **s),
        pipeline=[
            dict(type="A", t=dict(type="B"), **s),
            [dict(type="C", **s)],
            dict(no=dict(type="D", e=dict(type="E"), **s)),
        ],
        mixed=(dict(type="F", **s), dict(own=1)),
        other=dict(type="G", _scope_="else", h=dict(type="H")),
        unset=dict(type="I", **s),
        plain=dict(a=1),
    )
