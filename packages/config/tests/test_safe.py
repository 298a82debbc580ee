from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

import pytest
from config_parts import Write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eng.config import Config, ConfigFileError
from eng.config.errors import MergeTypeError

DATA = """
a = 1
b = dict(c=[1, (2, 3)], d={'e': -a, **dict(f=2)}, g={1, 2})
s = f'{a:>3}-{b!r:.4}' + 'x' * 3 + '%d' % 2 + '{}-{x}'.format(1, x=2)
n = 2 ** 10 + 7 // 2 % 3 * 1.5
t = [*b['c'], a]
u, v = 1, (2 if a > 0 else 3)
b['h'] = not a
w = a < 2 <= 5 and (None or 'yes')
x: int = 4
x += 1
t.append(3)
b.update(k=float('inf'))
y = 'a,b'.split(',')[0].upper()
z = [1, 2, 3][1:]
if a:
    pass
else:
    import os
l = len(z)
"""


def test_data_reads_as_when_executed(write: Write) -> None:
    path = write(a_py=DATA)
    assert Config.fromfile(path, trust=False).to_dict() == Config.fromfile(path).to_dict()


def test_inheritance_and_substitutions(write: Write) -> None:
    path = write(
        c_py="m = dict(type='R')\nl = [1]",
        b_py="_base_ = 'c.py'\nn = '{{fileBasename}}'",
        a_py="_base_ = ['./b.py']\nx = _base_.m.type\ny = {{_base_.l}}\nz = '{{$ENG_TEST_X:1}}'\nm = dict(d=1)\n_base_.m.e = 2\n",
    )
    safe = Config.fromfile(path, trust=False)
    assert safe.to_dict() == Config.fromfile(path).to_dict()
    assert safe.to_dict() == dict(m=dict(type="R", e=2, d=1), l=[1], n="b.py", x="R", y=[1], z="1")
    assert safe.explain("m.e")[-1].line == 6


def test_pure_python_style(write: Write) -> None:
    path = write(
        b_py="from no_lib import SGD\nimport no_lib.nn as nn\no = dict(type=SGD, m=nn.Conv2d)",
        a_py="from eng.config import read_base\nwith read_base():\n    from .b import *\no.update(lr=1)\no.x = 2",
    )
    cfg = Config.fromfile(path, trust=False)
    assert cfg.to_dict() == dict(o=dict(type="no_lib.SGD", m="no_lib.nn.Conv2d", lr=1, x=2))


@pytest.mark.parametrize(
    "code",
    [
        "import os", "from os import system", "def f(): pass", "class A: pass", "lambda: 1", "[i for i in range(3)]",
        "{k: 1 for k in 'ab'}", "for i in 'ab': pass", "while True: pass", "with open('f'): pass", "print(1)", "open('f')",
        "eval('1')", "exec('1')", "__import__('os')", "dict.__subclasses__()", "().__class__", "''.__class__", "a.b",
        "'{0.__class__}'.format(1)", "'{0[0]}'.format([1])", "f'{(1).__class__}'", "getattr(1, 'real')", "globals()", "del x",
        "raise ValueError", "assert True", "try:\n    pass\nfinally:\n    pass", "x = y = open", "x = (lambda: 1)()",
        "dict = print; dict(1)", "'a' * 10 ** 9", "[0] * 10 ** 9", "2 ** 10 ** 9", "1 << 10 ** 9", "'%999999999d' % 1",
        "'{:999999999}'.format(1)", "f'{1:999999999}'", "'%*d' % (10 ** 9, 1)", "__builtins__", "x = __name__", "_eng_import_(0)",
        "(yield)", "await x", "x := 1", "(x := 1)", "1 / 0", "[][5]", "{}['k']", "undefined", "list(range(10 ** 9))",
        "'a'.encode()", "async def f(): pass", "int('9' * 3)()", "x.y = 1",
    ],
)  # fmt: skip
def test_everything_else_is_refused_by_line(code: str, write: Write) -> None:
    path = write(a_py=f"ok = 1\n{code}\n")
    with pytest.raises(ConfigFileError, match=r"^a.py:2: "):
        Config.fromfile(path.name, trust=False)


def test_an_executed_value_that_contains_itself_is_named(write: Write) -> None:
    with pytest.raises(ConfigFileError, match="a.py: a value contains itself"):
        Config.fromfile(write(a_py="x = []\nx.append(x)").name)


def test_the_message_says_what_and_why(write: Write) -> None:
    with pytest.raises(
        ConfigFileError, match=r"a.py:1: the call of 'open' is not allowed with trust=False, which reads data only"
    ):
        Config.fromfile(write(a_py="x = open('f')").name, trust=False)


def test_nothing_runs(write: Write, tmp_path: Path) -> None:
    path = write(b_py="open('seen', 'w')", a_py="_base_ = 'b.py'")
    with pytest.raises(ConfigFileError, match="b.py:1"):
        Config.fromfile(path, trust=False)
    assert not (tmp_path / "seen").exists()


@pytest.mark.parametrize("base", ["[open('f')]", "__import__('os').sep"])
def test_the_base_itself_is_data(base: str, write: Write) -> None:
    with pytest.raises(ConfigFileError, match="a.py:1"):
        Config.fromfile(write(a_py=f"_base_ = {base}").name, trust=False)


class TestTexts:
    """`Config.fromstring(trust=False)`: the config in a checkpoint or a log folder, written by somebody else."""

    @pytest.mark.parametrize(("text", "extension"), [(DATA, ".py"), ('{"a": [1, {"b": null}]}', ".json"), ("a: [1, 2]", ".yaml")])  # fmt: skip
    def test_data_reads_as_when_trusted(self, text: str, extension: str) -> None:
        safe = Config.fromstring(text, extension, trust=False)
        assert safe.to_dict() == Config.fromstring(text, extension).to_dict()

    def test_nothing_runs(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigFileError, match=r"<string>.py:1: the call of 'open' is not allowed"):
            Config.fromstring(f"open({str(tmp_path / 'seen')!r}, 'w')", ".py", trust=False)
        assert not (tmp_path / "seen").exists()

    @pytest.mark.parametrize(
        ("text", "extension"),
        [
            ("_base_ = 'b.py'", ".py"),
            ("_base_: b.py", ".yaml"),
            ('{"_base_": ["https://example.org/b.py"]}', ".json"),
            ("from eng.config import read_base\nwith read_base():\n    from .b import *", ".py"),
        ],
    )
    def test_no_other_file_is_read(self, text: str, extension: str, write: Write) -> None:
        write(b_py="x = 1")
        with pytest.raises(ConfigFileError, match="a text read with trust=False cannot inherit"):
            Config.fromstring(text, extension, trust=False)

    def test_no_environment_variable_is_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ENG_TEST_TOKEN", "secret")
        text = "load_from = 'https://example.org/{{$ENG_TEST_TOKEN}}'\nname = '{{fileBasename}}'\n"
        assert Config.fromstring(text, ".py").load_from.endswith("secret")
        assert Config.fromstring(text, ".py", trust=False).to_dict() == dict(
            load_from="https://example.org/{{$ENG_TEST_TOKEN}}", name="{{fileBasename}}"
        )


class TestBudget:
    """A small file that nobody vouches for keeps no machine busy."""

    @pytest.mark.parametrize(
        "code",
        [
            "x = [0] * 900_000\n" + "y = x + []\n" * 900,
            "x = ['a'] * 900_000\n" + "y = x[:]\n" * 900,
            "x = [[1]] * 90_000\n" + "y = [*x]\n" * 900,
            "x = [0] * 900_000\n" + "y = 1 in x\n" * 900,
            "x = [0] * 900_000\n" + "y = x == [*x]\n" * 900,
            "x = [0] * 900_000\n" + "x.insert(0, 1)\n" * 900,
            "x = [0] * 900_000\n" + "y = max(x)\n" * 900,
            "x = 'a' * 9_000_000\n" + "y = x.replace('b', 'c')\n" * 900,
            "x = 'a' * 9_000_000\n" + "y = f'{x}'\n" * 900,
            "x = dict(a=[0] * 900_000)\n" + "y = dict(**x, b=1)\n" * 900,
            "x = [[0] * 900] * 900\ny = sum(x, [])\n",
        ],
        ids=lambda code: code.splitlines()[1],
    )  # fmt: skip
    def test_repeated_work_is_refused_in_time(self, code: str, write: Write) -> None:
        path = write(a_py=code)
        begin = time.process_time()
        with pytest.raises(ConfigFileError, match=r"^a.py:\d+: (so much computation|the call of 'sum') is not allowed"):
            Config.fromfile(path.name, trust=False)
        assert time.process_time() - begin < 15

    @pytest.mark.parametrize("trust", [True, False])
    @pytest.mark.parametrize("name", ["a.py", "a.json", "a.yaml"])
    def test_integers_of_many_digits_are_named(self, name: str, trust: bool, tmp_path: Path) -> None:
        digits = "9" * 100_000
        text = {"a.py": f"x = {digits}", "a.json": f'{{"x": {digits}}}', "a.yaml": f"x: {digits}"}[name]
        (tmp_path / name).write_text(text, encoding="utf-8")
        with pytest.raises(ConfigFileError, match=f"{name}.*Exceeds the limit"):
            Config.fromfile(tmp_path / name, trust=trust)

    @pytest.mark.parametrize(
        "code", ["x = 10 ** 100_000", "x = 1 << 400_000", "x = 10 ** 4000 * 10 ** 4000", "x = 10 ** 300_000_000"]
    )
    def test_computed_integers_have_a_limit(self, code: str, write: Write) -> None:
        with pytest.raises(ConfigFileError, match="^a.py:1: so large a result"):
            Config.fromfile(write(a_py=code).name, trust=False)

    def test_real_configs_are_far_below_it(self, write: Write) -> None:
        block = "m{} = dict(a=[1, 2, 3], b=dict(c=[dict(type='X', size=(1, 2), names=['a', 'b', 'c'])] * 3))\n"
        text = "".join(block.format(n) for n in range(3000)) + "x = [m1, m2, m3] * 5\n"
        assert len(Config.fromfile(write(a_py=text), trust=False)) == 3001


WORDS = st.sampled_from(
    ["x", "y", "_base_", "dict", "list", "open", "__import__", "globals", "type", "getattr", "__class__", "eval", "str", "format", "import os", "os",
     "=", "+", "*", "**", ".", ",", ":", "(", ")", "[", "]", "{", "}", "'a'", "'b.py'", "1", "9", "lambda", "for", "in", "if", "else", "\n", "\n    ",
     "'{0.__class__}'", "f'{x}'", "{{$HOME}}", "'{{fileDirname}}'", "with read_base():", "from .b import *", "from eng.config import read_base", "%", "@", "def f():"]
)  # fmt: skip


def test_any_text_is_a_config_or_an_error_of_one(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"executed {args}")

    path = write(b_py="x = 1\n", a_py="")
    for name in ("system", "popen", "remove"):
        monkeypatch.setattr(os, name, forbidden)
    before = set(sys.modules)

    @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(WORDS, max_size=14).map(" ".join) | st.text(max_size=30))
    def check(text: str) -> None:
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        with contextlib.suppress(ConfigFileError, FileNotFoundError, KeyError, MergeTypeError):
            assert isinstance(Config.fromfile(path, trust=False).to_dict(), dict)

    check()
    assert {name for name in set(sys.modules) - before if name.startswith("os")} == set()
