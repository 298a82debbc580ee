from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import eng.config
from eng.config import Config, ConfigDict, DictAction, read_base

HERE = Path(__file__).parent
PUBLIC = [
    "CommandLineOptions",
    "Config",
    "ConfigDict",
    "ConfigFileError",
    "DictAction",
    "Explanation",
    "Step",
    "__version__",
    "read_base",
]
# Parameters and defaults that users' code relies on, as the reference interface lists them.
SIGNATURES = {
    Config.__init__: "self cfg_dict=None cfg_text=None filename=None env_variables=None format_python_code=True",
    Config.fromfile: "filename use_predefined_variables=True import_custom_modules=True "
    "use_environment_variables=True lazy_import=None format_python_code=True",
    Config.fromstring: "cfg_str file_format",
    Config.auto_argparser: "description=None",
    Config.diff: "cfg1 cfg2",
    Config.dump: "self file=None",
    Config.merge_from_dict: "self options allow_list_keys=True",
    Config.to_dict: "self keep_imported=False",
    Config._merge_a_into_b: "a b allow_list_keys=False",
    Config._file2dict: "filename use_predefined_variables=True use_environment_variables=True lazy_import=None",
    ConfigDict.get: "self key default=None",
    ConfigDict.pop: "self key default=None",
    DictAction.__call__: "self parser namespace values option_string=None",
    read_base: "",
}


def test_public_names() -> None:
    assert eng.config.__all__ == PUBLIC
    assert all(hasattr(eng.config, name) for name in PUBLIC)


@pytest.mark.parametrize(
    ("function", "expected"), SIGNATURES.items(), ids=lambda each: getattr(each, "__qualname__", "")
)
def test_signatures_are_those_that_users_rely_on(function: object, expected: str) -> None:
    parameters = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    shown = [
        p.name if p.default is p.empty else f"{p.name}={p.default}" for p in parameters if p.kind is not p.KEYWORD_ONLY
    ]
    assert " ".join(shown) == expected


def test_module_paths_that_libraries_import() -> None:
    from eng.config.config import BASE_KEY, DELETE_KEY, DEPRECATION_KEY, RESERVED_KEYS
    from eng.config.lazy import LazyAttr, LazyObject

    assert (BASE_KEY, DELETE_KEY, DEPRECATION_KEY) == ("_base_", "_delete_", "_deprecation_")
    assert RESERVED_KEYS == ["filename", "text", "pretty_text", "env_variables"]
    assert isinstance(LazyObject("os").path, LazyAttr)


def test_import_is_light() -> None:
    heavy = "{'torch', 'numpy', 'rich', 'yaml', 'click', 'fsspec', 'addict', 'yapf'}"
    code = f"import sys, eng.config; print(*sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == ""


def modules() -> list[str]:
    return [each.name for each in pkgutil.walk_packages(eng.config.__path__, "eng.config.")]


@pytest.mark.parametrize("name", modules())
def test_examples_in_docstrings(name: str) -> None:
    flags = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=flags)
    assert failed == 0


def code_blocks() -> list[str]:
    pages = [HERE.parent / "README.md", HERE.parents[2] / "docs" / "config.md"]
    found = [re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL) for page in pages if page.exists()]
    return [block for blocks in found for block in blocks]


@pytest.mark.parametrize("block", code_blocks(), ids=lambda block: re.sub(r"\W+", "-", block[:40]))
def test_blocks_of_the_readme_and_the_manual_run(block: str, tmp_path: Path) -> None:
    script = tmp_path / "block.py"
    script.write_text(block, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
