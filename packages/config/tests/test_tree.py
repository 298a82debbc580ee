"""Without trust a config reads files of its own tree and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from config_parts import Write

from eng.config import Config, ConfigFileError

HEAD = "from eng.config import read_base\nwith read_base():\n"


@pytest.mark.parametrize(
    "base", ["../secret.py", "{outside}/secret.yaml", "sub/../../secret.py", "link.py", "~/secret.py"]
)
@pytest.mark.parametrize("form", ["py", "computed", "yaml", "json"])
def test_a_file_outside_of_the_tree_is_refused(base: str, form: str, tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    monkeypatch.setenv("HOME", str(outside))
    write(run__x_py="x = 1\n", secret_py="token = 'secret'\n")
    for name in ("secret.py", "secret.yaml"):
        (outside / name).write_text(
            "token = 'secret'\n" if name.endswith("py") else "token: secret\n", encoding="utf-8"
        )
    (tmp_path / "run" / "sub").mkdir()
    (tmp_path / "run" / "link.py").symlink_to(outside / "secret.py")
    name = base.format(outside=outside)
    texts = {
        "py": ("a.py", f"_base_ = {name!r}\n"),
        "computed": ("a.py", f"n = [{name!r}]\n_base_ = [*n]\n"),
        "yaml": ("a.yaml", f"_base_: {name}\n"),
        "json": ("a.json", f'{{"_base_": "{name}"}}'),
    }
    file, text = texts[form]
    (tmp_path / "run" / file).write_text(text, encoding="utf-8")
    with pytest.raises(
        ConfigFileError, match="with trust=False bases lie below .*run, and .* does not.*root="
    ) as caught:
        Config.fromfile(tmp_path / "run" / file, trust=False)
    assert "token" not in str(caught.value)
    assert Config.fromfile(tmp_path / "run" / file).token == "secret"


def test_a_root_allows_more(write: Write, tmp_path: Path) -> None:
    path = write(base_py="x = 1\n", run__a_py="_base_ = '../base.py'\n")
    assert Config.fromfile(path, trust=False, root=tmp_path).x == 1
    with pytest.raises(ConfigFileError, match="bases lie below"):
        Config.fromfile(path, trust=False, root=tmp_path / "run")


def test_a_folder_called_configs_is_a_tree(write: Write) -> None:
    path = write(configs___base__b_py="x = 1\n", configs__net__a_py="_base_ = '../_base/b.py'\n")
    assert Config.fromfile(path, trust=False).x == 1
    path = write(configs___base__b_py="x = 1\n", configs__net__c_py=HEAD + "    from .._base.b import *\n")
    assert Config.fromfile(path, trust=False).x == 1


def test_configs_of_packages_may_be_inherited_but_nothing_beside_them(
    write: Write, library: Callable[..., Path]
) -> None:
    library("eng_test_tree", configs__b="x = 1\n", secret="token = 1\n")
    assert Config.fromfile(write(a_py="_base_ = 'eng_test_tree::b.py'\n"), trust=False).x == 1
    with pytest.raises((ConfigFileError, FileNotFoundError), match="secret"):
        Config.fromfile(write(a_py="_base_ = 'eng_test_tree::../secret.py'\n"), trust=False)


class TestNothingIsFetched:
    @pytest.fixture(autouse=True)
    def no_fetching(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fetch(url: str) -> Any:
            raise AssertionError(f"fetched {url}")

        monkeypatch.setattr("eng.config._source._fetch", fetch)

    @pytest.mark.parametrize("url", ["https://example.org/b.py", "memory://b.py", "file:///etc/passwd.py"])
    @pytest.mark.parametrize(
        "text", ["_base_ = {url!r}\n", "n = {url!r}\n_base_ = [n]\n", "if True:\n    _base_ = {url!r}\n"]
    )
    def test_no_url(self, text: str, url: str, write: Write) -> None:
        with pytest.raises(ConfigFileError, match="with trust=False nothing is fetched"):
            Config.fromfile(write(a_py=text.format(url=url)), trust=False)

    @pytest.mark.parametrize(
        "text",
        ["_base_ = 'https://example.org/{{$ENG_TEST_TOKEN}}.py'\n", "_base_ = '{{$ENG_TEST_TOKEN}}.py'\n", "t = '{{$ENG_TEST_TOKEN}}'\n_base_ = f'./{t}.py'\n"],
    )  # fmt: skip
    def test_no_environment_variable(self, text: str, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ENG_TEST_TOKEN", "b")
        with pytest.raises(ConfigFileError, match="ENG_TEST_TOKEN is not read with trust=False"):
            Config.fromfile(write(b_py="x = 1\n", a_py=text).name, trust=False)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", "a = '{{$ENG_TEST_TOKEN:public}}'\n"),
        ("b.py", "a = {{'$ENG_TEST_TOKEN:public'}}\n"),
        ("c.json", '{"a": "{{$ENG_TEST_TOKEN:public}}"}'),
        ("d.yaml", "a: '{{$ENG_TEST_TOKEN:public}}'\n"),
    ],
)
def test_a_value_takes_its_default_and_not_the_environment(
    name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENG_TEST_TOKEN", "secret")
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert Config.fromfile(tmp_path / name, trust=False).a == "public"
    assert Config.fromfile(tmp_path / name).a == "secret"
    (tmp_path / name).write_text(text.replace(":public", ""), encoding="utf-8")
    with pytest.raises(ConfigFileError, match="ENG_TEST_TOKEN is not read with trust=False"):
        Config.fromfile(tmp_path / name, trust=False)
