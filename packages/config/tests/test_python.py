"""One way to run a Python config: what its text happens to hold changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from config_parts import Write

from eng.config import Config

BASES = dict(b_py="A = 1\nm = dict(k=1, l=[1])\n", c_py="A = 2\nm = dict(k=2, l=[2])\n", d_py="D = 4\n")
# body -> the expected values besides m
BODIES = {
    "_base_ = 'b.py'": dict(A=1),
    "_base_ = ['b.py', 'd.py']": dict(A=1, D=4),
    "_base_: str = 'b.py'": dict(A=1),
    "n = 'b'\n_base_ = f'./{n}.py'": dict(A=1, n="b"),
    "n = 'b'\n_base_ = ['%s.py' % n]": dict(A=1, n="b"),
    "import os.path as osp\n_base_ = osp.join('.', 'b.py')": dict(A=1),
    "from pathlib import Path\n_base_ = str(Path('b.py'))": dict(A=1),
    "import os\n_base_ = os.environ.get('ENG_TEST_NONE', 'b.py')": dict(A=1),
    "_base_ = [f'{n}.py' for n in ('b', 'd')]": dict(A=1, D=4),
    "if True:\n    _base_ = 'b.py'": dict(A=1),
    "if False:\n    _base_ = 'b.py'\nelse:\n    _base_ = 'c.py'": dict(A=2),
    "try:\n    _base_ = 'b.py'\nfinally:\n    pass": dict(A=1),
    "for _base_ in ['c.py', 'b.py']:\n    pass": dict(A=1),
    "_base_, x = 'b.py', 3": dict(A=1, x=3),
    "x = _base_ = 'b.py'": dict(A=1, x="b.py"),
    "_base_ = ['c.py']\n_base_ = ['b.py']": dict(A=1),
    "_base_ = ['b.py']\n_base_ += ['d.py']": dict(A=1, D=4),
    "_base_ = ['b.py']\n_base_ = _base_ + ['d.py']": dict(A=1, D=4),
    "def f():\n    global _base_\n    _base_ = 'b.py'\nf()": dict(A=1),
    "globals()['_base_'] = 'b.py'": dict(A=1),
    "_base_ = 'b.py'\nx = _base_.A + 1": dict(A=1, x=2),
    "x = _base_.A + 1\n_base_ = 'b.py'": dict(A=1, x=2),
    "x = [_base_.m.k]\ny = {{_base_.A}}\n_base_ = 'b.py'": dict(A=1, x=[1], y=1),
    "_base_ = 'b.py'\nx = f'a-{{_base_.A}}'\ny = 'n{{_base_.A}}-{{_base_.A}}'": dict(A=1, x="a-1", y="n1-1"),
    "_base_ = 'b.py'\nbase = 'import _base_'\nn = len(base)": dict(A=1, base="import _base_", n=13),
    '"""A docstring about import and read_base."""\n_base_ = "b.py"\nx = 1': dict(A=1, x=1),
    "_base_ = 'b.py'\nA = 5\nb = [A for i in range(2)]\nimport math\nc = math.pi": dict(A=5, b=[5, 5], c=3.141592653589793),
    "_base_ = 'b.py'\nfrom collections import OrderedDict\nx = OrderedDict(a=1)": dict(A=1, x=dict(a=1)),
    "_base_ = 'b.py'\ndef f(n):\n    return _base_.A + n\nx = f(1)": dict(A=1, x=2),
}  # fmt: skip


@pytest.mark.parametrize("tail", ["", "\nw = '{{fileBasename}}'\n"], ids=["", "mark"])
@pytest.mark.parametrize(
    "head", ["", "# import\n", "# _base_ read_base {{fileBasename}}\n"], ids=["", "import", "words"]
)
@pytest.mark.parametrize("body", BODIES)
def test_the_same_whatever_the_text_holds(body: str, head: str, tail: str, write: Write) -> None:
    values = Config.fromfile(write(**BASES, a_py=head + body + tail)).to_dict()
    expected = dict(BODIES[body], **(dict(w="a.py") if tail else {}))
    assert values.pop("m") == (dict(k=2, l=[2]) if values["A"] == 2 else dict(k=1, l=[1]))
    assert values == expected


@pytest.mark.parametrize(
    "body", ["_base_ = 'b.py'", "_base_ = ['b.py', 'd.py']\nx = _base_.m.k", "n = 'b'\n_base_ = f'{n}.py'", "if 1:\n    _base_ = 'b.py'"]
)  # fmt: skip
def test_the_same_without_trust(body: str, write: Write) -> None:
    path = write(**BASES, a_py=body + "\nm = dict(j=1)\n")
    assert Config.fromfile(path, trust=False).to_dict() == Config.fromfile(path).to_dict()


def test_what_is_changed_in_place_is_inherited_and_explained(write: Write) -> None:
    for head in ("", "# import\n"):
        cfg = Config.fromfile(write(**BASES, a_py=head + "_base_ = 'b.py'\n_base_.m.k = 7\n_base_.m.l.append(3)\n"))
        assert cfg.m == dict(k=7, l=[1, 3])
        line = 3 if head else 2
        assert [step.where for step in cfg.explain("m.k")] == ["b.py:2", f"a.py:{line}"]


@pytest.mark.parametrize("body", ["_base_ = 3", "n = [3]\n_base_ = n", "_base_ = 'b.py'\n_base_ += [3]"])
def test_a_base_is_a_name(body: str, write: Write) -> None:
    with pytest.raises(ValueError, match="a.py: _base_ must be a file name or a list of file names, got"):
        Config.fromfile(write(**BASES, a_py=body).name)


@pytest.mark.parametrize(
    ("body", "match"),
    [
        ("import os\n_base_ = os.nothing", "has no attribute 'nothing'"),
        ("_base_ = open", "_base_ must be a file name"),
        ("_base_ = [f'{n}.py' for n in (1, 2)]", "base config '.*1.py' does not exist"),
    ],
)
def test_no_error_speaks_of_trust_to_who_trusts(body: str, match: str, write: Write) -> None:
    with pytest.raises(Exception, match=match) as caught:
        Config.fromfile(write(**BASES, a_py=body + "\nw = '{{fileBasename}}'").name)
    assert "trust=" not in str(caught.value)


@pytest.mark.parametrize("target", ["{{_base_.m}}.k", "{{_base_.m}}['k']", "{{_base_.m}}.l[0]", "{{_base_.A}}"])
def test_an_assignment_into_a_copy_is_refused(target: str, write: Write) -> None:
    with pytest.raises(ValueError, match=r"a.py:2: {{…}} is a copy, an assignment into it is lost; write `_base_.key"):
        Config.fromfile(write(**BASES, a_py=f"_base_ = 'b.py'\n{target} = 5\n").name)


def test_who_changes_a_copy_hears_that_it_is_one(write: Write) -> None:
    with pytest.warns(UserWarning, match=r"a.py:3: `a` is a copy of {{_base_.m}}; .*`a = _base_.m`"):
        cfg = Config.fromfile(write(**BASES, a_py="_base_ = 'b.py'\na = {{_base_.m}}\na['k'] = 5\n").name)
    assert (cfg.a.k, cfg.m.k) == (5, 1)


def test_a_config_may_load_another_with_config(write: Write) -> None:
    for home in ("mmengine", "mmengine.config", "eng.config"):
        path = write(
            b_py="x = 1\n",
            a_py=f"from {home} import Config\nimport os.path as osp\ncfg = Config.fromfile(osp.join(osp.dirname(__file__), 'b.py'))\ny = cfg.x + 1\n",
        )
        cfg = Config.fromfile(path)
        assert (sorted(cfg), cfg.y, cfg.cfg.x) == (["cfg", "y"], 2, 1)


def test_the_environment_as_a_value_with_spaces(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(a_py="x = {{' $ENG_TEST_N:80 '}}\ny = {{ \"$ENG_TEST_N : 81\" }}\nz = {{'$ENG_TEST_N:[1, 2]'}}\n")
    assert Config.fromfile(path).to_dict() == dict(x=80, y=81, z=[1, 2])
    monkeypatch.setenv("ENG_TEST_N", "7")
    assert Config.fromfile(path).to_dict() == dict(x=7, y=7, z=7)


@pytest.mark.parametrize("name", ["a.py", "a.json", "a.yaml"])
@pytest.mark.parametrize("trust", [True, False])
def test_a_byte_order_mark_is_no_text(name: str, trust: bool, tmp_path: Path) -> None:
    texts: dict[str, Any] = {"a.py": "x = ['cat']\n", "a.json": '{"x": ["cat"]}', "a.yaml": "x: [cat]\n"}
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + texts[name].encode())
    assert Config.fromfile(tmp_path / name, trust=trust).x == ["cat"]
    text = "\ufeff" + texts[name]
    assert Config.fromstring(text, Path(name).suffix, trust=trust).x == ["cat"]
