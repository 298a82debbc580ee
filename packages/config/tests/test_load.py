from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from config_parts import Write

from eng.config import Config, ConfigFileError

TEXTS = {
    "py": "test_int = 1\ntest_list = [1, 2, 3]\ntest_dict = dict(key1='value1', key2=0.1)\n",
    "json": '{"test_int": 1, "test_list": [1, 2, 3], "test_dict": {"key1": "value1", "key2": 0.1}}',
    "yaml": "test_int: 1\ntest_list: [1, 2, 3]\ntest_dict:\n  key1: 'value1'\n  key2: 0.1\n",
    "yml": "test_int: 1\ntest_list:\n- 1\n- 2\n- 3\ntest_dict: {key1: value1, key2: 0.1}\n",
}


VALUES = dict(test_int=1, test_list=[1, 2, 3], test_dict=dict(key1="value1", key2=0.1))


@pytest.mark.parametrize("extension", TEXTS)
def test_formats_say_the_same(extension: str, write: Write) -> None:
    path = write(**{f"a_{extension}": TEXTS[extension]})
    assert Config.fromfile(path).to_dict() == VALUES
    assert Config.fromfile(str(path)).filename == str(path)
    assert Config.fromstring(TEXTS[extension], f".{extension}").to_dict() == VALUES


def test_one_base(write: Write) -> None:
    path = write(opt_py="o = dict(type='SGD', lr=0.02)", a_py="_base_ = 'opt.py'\nm = dict(d=50)\no = dict(lr=0.01)")
    assert Config.fromfile(path).to_dict() == dict(o=dict(type="SGD", lr=0.01), m=dict(d=50))


@pytest.mark.parametrize(
    ("extension", "text"),
    [
        ("py", "_base_ = ['b.py', 'c.json', './d.yaml']\nb = dict(y=2)"),
        ("json", '{"_base_": ["b.py", "c.json", "./d.yaml"], "b": {"y": 2}}'),
        ("yaml", "_base_: [b.py, c.json, ./d.yaml]\nb: {y: 2}"),
    ],
    ids=["py", "json", "yaml"],
)
def test_many_bases_in_other_formats(extension: str, text: str, write: Write) -> None:
    files = dict(b_py="b = dict(x=1)", c_json='{"c": 1}', d_yaml="d: 1")
    path = write(**files, **{f"a_{extension}": text})
    assert Config.fromfile(path).to_dict() == dict(b=dict(x=1, y=2), c=1, d=1)


def test_nested_bases_in_folders(write: Write) -> None:
    path = write(
        base__deep_py="x = 1", base__mid_py="_base_ = './deep.py'\ny = 2", run__a_py="_base_ = '../base/mid.py'"
    )
    assert Config.fromfile(path).to_dict() == dict(x=1, y=2)


def test_delete_replaces_and_leaves_no_mark(write: Write) -> None:
    path = write(
        b_py="o = dict(a=1, n=dict(x=1))\nq = 3",
        a_py="_base_ = 'b.py'\no = dict(_delete_=True, c=2)\nnew = dict(_delete_=True, z=[dict(_delete_=True, k=1)])",
    )
    assert Config.fromfile(path).to_dict() == dict(o=dict(c=2), q=3, new=dict(z=[dict(k=1)]))


def test_a_computed_base_name(write: Write) -> None:
    path = write(b_py="x = 1", a_py="name = 'b'\n_base_ = [f'{n}.py' for n in [name]]\ny = _base_.x + 1")
    assert Config.fromfile(path).to_dict() == dict(x=1, name="b", n="b", y=2) or Config.fromfile(path).y == 2


def test_base_as_expression_shares_what_it_changes(write: Write) -> None:
    path = write(
        b_py="m = dict(type='R', d=50)\np = [dict(s=1), dict(s=2)]",
        a_py="_base_ = 'b.py'\na = _base_.m\na.type = 'M'\n_base_.p[1]['s'] = 9\nmore = [*_base_.p, dict(s=3)]",
    )
    cfg = Config.fromfile(path)
    assert cfg.a == cfg.m == dict(type="M", d=50)
    assert cfg.more == [*cfg.p, dict(s=3)]
    assert cfg.p[1].s == 9


def test_code_of_the_file_is_not_part_of_the_config(write: Write) -> None:
    text = "import os\nfrom functools import partial\nfrom collections import OrderedDict as OD\nimport sys as system\ndef f():\n    return K\nclass K: pass\ng = lambda: 1\n__x = 1\n_y = 2\nz = os.sep"
    assert Config.fromfile(write(a_py=text)).to_dict() == dict(_y=2, z=os.sep)


def test_functions_see_the_names_of_the_file(write: Write) -> None:
    path = write(
        b_py="n = 1", a_py="_base_ = 'b.py'\nk = 3\ndef f(x):\n    return x * k\nv = [f(i) for i in range(k)]\n"
    )
    assert Config.fromfile(path).v == [0, 3, 6]


def test_text_holds_all_files(write: Write) -> None:
    path = write(b_py="x = 1\n", a_py="_base_ = 'b.py'\n")
    assert Config.fromfile(path).text == f"{path.parent / 'b.py'}\nx = 1\n\n{path}\n_base_ = 'b.py'\n\n"


def test_windows_line_ends_and_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"\xef\xbb\xbfx = '''a\r\nb'''\r\ny = 2\r\n")
    assert Config.fromfile(tmp_path / "a.py").to_dict() == dict(x="a\nb", y=2)


class TestDiamonds:
    ROOT = dict(d_py="x = dict(a=1)\ny = 2\n", b_py="_base_ = 'd.py'\nb = 1\n", c_py="_base_ = ['d.py']\nc = 1\n")

    def test_a_key_of_one_root_is_no_clash(self, write: Write) -> None:
        cfg = Config.fromfile(write(**self.ROOT, a_py="_base_ = ['b.py', 'c.py']\nx = dict(z=3)\n"))
        assert cfg.to_dict() == dict(x=dict(a=1, z=3), y=2, b=1, c=1)
        assert [step.file for step in cfg.explain("x.a")] == ["d.py"] or len(cfg.explain("x.a")) == 1

    def test_the_same_file_twice_is_no_clash(self, write: Write) -> None:
        assert Config.fromfile(write(**self.ROOT, a_py="_base_ = ['d.py', './d.py']\n")).y == 2

    @pytest.mark.parametrize("change", ["y = 3\n", "x = dict(a=2)\n", "_base_.x.a = 2\n"])
    @pytest.mark.parametrize("order", ["['b.py', 'e.py']", "['e.py', 'b.py']"])
    def test_a_key_that_one_side_changes_is_one(self, order: str, change: str, write: Write) -> None:
        path = write(**self.ROOT, e_py=f"_base_ = 'd.py'\n{change}", a_py=f"_base_ = {order}\n")
        with pytest.raises(
            KeyError, match="a.py: two of its bases set the same key: '[xy]' in .*d.py:[12] and|and .*d.py:[12]"
        ):
            Config.fromfile(path.name)


def test_a_long_chain_is_refused(write: Write) -> None:
    for extension, line in (("py", "_base_ = 'c{}.py'\n"), ("json", '{{"_base_": "c{}.json"}}')):
        files = {f"c{n}_{extension}": line.format(n + 1) for n in range(300)}
        path = write(**files).parent / f"c0.{extension}"
        with pytest.raises(ConfigFileError, match=rf"c50.{extension}: more than 50 files inherit from one another"):
            Config.fromfile(path)
    ok = {f"k{n}_py": f"_base_ = 'k{n + 1}.py'\nx{n} = 1\n" for n in range(49)}
    assert len(Config.fromfile(write(**ok, k49_py="z = 1\n").parent / "k0.py")) == 50


class TestLibraries:
    @pytest.mark.parametrize("folder", [".mim__configs", "configs"])
    def test_base_in_an_installed_library(self, folder: str, library: Callable[..., Path], write: Write) -> None:
        text = (
            "train = dict(type='A', sub=dict(q=1, r=dict(type='Z')), l=[dict(type='L'), dict(z=1)])\nopt = dict(lr=1)"
        )
        library("eng_test_lib_" + folder[:4].strip("."), **{f"{folder}__b__x": text})
        path = write(a_py=f"_base_ = ['eng_test_lib_{folder[:4].strip('.')}::b/x.py']\nown = dict(type='O')")
        scope = {"_scope_": "eng_test_lib_" + folder[:4].strip(".")}
        assert Config.fromfile(path).to_dict() == dict(
            train=dict(type="A", sub=dict(q=1, r=dict(type="Z")), l=[dict(type="L"), dict(z=1)], **scope),
            opt=dict(lr=1),
            own=dict(type="O"),
        )

    def test_a_library_that_is_missing(self, write: Write) -> None:
        with pytest.raises(ModuleNotFoundError, match="package 'no_such_lib' is not installed"):
            Config.fromfile(write(a_py="_base_ = 'no_such_lib::x.py'"))

    def test_a_config_that_the_library_lacks(self, library: Callable[..., Path], write: Write) -> None:
        library("eng_test_lib_c", **{".mim__configs__schedule_1x": "x = 1"})
        with pytest.raises(FileNotFoundError, match=r"ships no config 'schedule_x1.py'.*did you mean 'schedule_1x.py'"):
            Config.fromfile(write(a_py="_base_ = 'eng_test_lib_c::schedule_x1.py'"))


class TestRemote:
    @pytest.fixture
    def memory(self) -> Any:
        fsspec = pytest.importorskip("fsspec")
        system = fsspec.filesystem("memory")
        yield lambda name, text: system.pipe(f"/eng_test/{name}", text.encode())
        system.rm("/eng_test", recursive=True)

    def test_bases_by_url_have_bases_beside_them(self, memory: Any, write: Write) -> None:
        memory("deep.py", "x = 1")
        memory("far.py", "_base_ = './deep.py'\ny = '{{fileBasename}}'")
        cfg = Config.fromfile(write(a_py="_base_ = 'memory://eng_test/far.py'\nz = 3"))
        assert cfg.to_dict() == dict(x=1, y="far.py", z=3)
        assert cfg.__where__("y") == "memory://eng_test/far.py:2"

    def test_without_fsspec_the_extra_is_named(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
        with pytest.raises(ImportError, match=r"pip install fsspec"):
            Config.fromfile(write(a_py="_base_ = 'https://example.org/far.py'"))


def test_deprecation_is_a_warning(write: Write) -> None:
    path = write(a_py="_deprecation_ = dict(expected='new.py', reference='the notes')\nx = 1")
    with pytest.warns(DeprecationWarning, match="a.py is deprecated, please use new.py instead; see the notes"):
        assert Config.fromfile(path).to_dict() == dict(x=1)


def test_file2dict_of_the_reference(write: Write) -> None:
    path = write(a_py="x = '{{$ENG_TEST_X:1}}'")
    assert Config._file2dict(str(path))[0] == dict(x="1")
