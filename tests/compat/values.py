"""Expressions whose values MMEngine 0.10.7 fixes, and how a value is written down.

As a script, with a Python that has mmengine 0.10.7: writes ``values.json``, expression by expression what the reference
gives. `test_values.py` evaluates the same expressions under the alias.
"""

from __future__ import annotations

import inspect
import io
import itertools
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

VALUES = [
    "'corner'", "''", "5", "2.5", "None", "True", "(1,)", "(1, 2)", "(1, 2, 3)", "[]", "[1, 2]", "['a', 'b']", "{1: 2}",
    "{3}", "range(3)", "b'xy'", "np.array([1, 2])", "np.float32(2)", "torch.tensor([1, 2])", "torch.tensor(3)",
    "iter([1, 2])", "(c for c in 'ab')", "Path('a/b')", "1 + 2j", "frozenset([1])", "int", "[[1], [2, 3]]", "[1, 'a']",
]  # fmt: skip
TYPES = ["int", "str", "(int, str)", "float", "bool", "object", "'int'", "None"]
VERSIONS = [
    "1.0", "1.0.0", "1.2.3", "1.2.3rc1", "1.2.3.dev4", "1.2.3a1", "1.2.3b2", "1.2.3.post1", "1.2rc0", "2.13.0+cpu",
    "v1.2", "0.10.7", "parrots", "abc", "", "1", "10.2.1.3", "1.10.0rc3+cu111", "1!2.0", "1.0.0-alpha", "1.0.dev",
]  # fmt: skip
PATHS = ["a", "/a", "a/b.txt", "s3://a/b", "http://a", "file:///a", "", "C:/a", "~/a", "./a", "//a", "petrel:s3://a"]


def of_utils() -> list[str]:
    """Expressions on ``mmengine.utils``."""
    found = [f"utils.{name}({value})" for name in (
        "to_1tuple", "to_2tuple", "to_3tuple", "to_4tuple", "to_ntuple(1)", "to_ntuple(5)", "is_str", "is_filepath",
        "concat_list",
    ) for value in VALUES]  # fmt: skip
    found += [f"utils.is_seq_of({value}, {kind})" for value in VALUES for kind in TYPES]
    found += [
        f"utils.{name}({value}, {kind})"
        for name in ("is_list_of", "is_tuple_of")
        for value in VALUES[5:12]
        for kind in TYPES
    ]
    found += [
        f"utils.is_seq_of({value}, int, seq_type={kind})"
        for value in VALUES
        for kind in ("list", "tuple", "str", "dict")
    ]
    for value, kind in itertools.product(
        [*VALUES, "['1', '2']", "'12'", "('1', 2.5)"], ["int", "str", "float", "bool", "'int'"]
    ):
        found += [
            f"list(utils.iter_cast({value}, {kind}))",
            f"utils.list_cast({value}, {kind})",
            f"utils.tuple_cast({value}, {kind})",
        ]
    found += [
        f"list(utils.iter_cast({value}, int, return_type={kind}))"
        for value in VALUES[6:12]
        for kind in ("list", "tuple", "set", "None", "'list'")
    ]
    found += [
        f"utils.slice_list({value}, {sizes})"
        for value in ("[1, 2, 3, 4]", "[]", "(1, 2)", "'abcd'")
        for sizes in ("2", "1", "0", "3", "[2, 2]", "[1, 3]", "[1, 1]", "(4,)", "[]", "'a'", "2.0", "[0, 4]", "-2")
    ]
    found += [
        f"utils.digit_version({version!r}{more})" for version in VERSIONS for more in ("", ", length=3", ", length=6")
    ]
    found += [
        f"utils.digit_version({a!r}) {sign} utils.digit_version({b!r})"
        for a, b in itertools.combinations(VERSIONS[:9], 2)
        for sign in "<>"
    ]
    found += [f"version.parse_version_info({version!r})" for version in VERSIONS]
    found += [f"utils.is_abs({path!r})" for path in PATHS]
    found += [
        f"utils.is_installed({name!r})"
        for name in ("torch", "numpy", "no_such_package", "PIL", "pillow", "yaml", "pyyaml", "")
    ]
    found += [f"utils.package2module({name!r})" for name in ("pyyaml", "torch", "no-such-package", "addict", "numpy")]
    found += [f"os.path.basename(utils.get_installed_path({name!r}))" for name in ("torch", "numpy", "no-such-package")]
    found += [
        f"utils.get_object_from_string({name!r})"
        for name in (
            "os.path",
            "collections.OrderedDict",
            "torch.nn.Linear",
            "no.such.thing",
            "torch.no_such",
            "os",
            "",
            "builtins.int",
            "torch.nn.Module.train",
        )
    ]
    found += [
        f"getattr(utils.import_modules_from_strings({names}), '__name__', None)"
        for names in ("'os.path'", "'no_such'", "''", "None", "'os'", "3")
    ]
    found += [
        f"[m.__name__ for m in utils.import_modules_from_strings({names})]"
        for names in ("['os', 'sys']", "['os', 'no_such']", "('os',)", "[]", "['os', 3]")
    ]
    found += [
        "utils.import_modules_from_strings(['no_such'], allow_failed_imports=True)",
        "utils.import_modules_from_strings('no_such', allow_failed_imports=True)",
    ]
    found += [
        f"utils.has_method({value}, {name})"
        for value in ("'a'", "[]", "3", "int")
        for name in ("'append'", "'upper'", "'real'", "'nope'")
    ]
    found += [
        f"utils.apply_to({data}, {test}, {change})"
        for data in (
            "[1, 'a', (2, {'b': 3})]",
            "{'a': [1, 2]}",
            "5",
            "'x'",
            "Pair(1, [2])",
            "{1}",
            "None",
            "np.array([1])",
        )
        for test, change in (
            ("lambda x: isinstance(x, int)", "lambda x: x + 1"),
            ("lambda x: isinstance(x, str)", "lambda x: x * 2"),
            ("lambda x: isinstance(x, list)", "len"),
        )
    ]
    found += [
        f"utils.is_method_overridden({name!r}, Base, {cls})"
        for name in ("a", "b", "c")
        for cls in ("Child", "Child()", "Base")
    ]
    found += [
        f"utils.is_method_overridden({name!r}, {base}, Child)"
        for name in ("a", "nope")
        for base in ("Base()", "object", "'Base'")
    ]
    found += [
        "utils.requires_package('torch')(add)(1, 2)",
        "utils.requires_package('no_such_package')(add)(1, 2)",
        "utils.requires_package(['torch', 'no_such_package'])(add)(1, 2)",
        "utils.requires_executable('ls')(add)(1, 2)",
        "utils.requires_executable('no_such_program')(add)(1, 2)",
        "utils.requires_executable(['ls', 'no_such_program'])(add)(1, 2)",
    ]
    found += [
        "utils.deprecated_api_warning({'x': 'a'}, cls_name='C')(add)(x=1, b=2)",
        "utils.deprecated_api_warning({'x': 'a'})(add)(1, b=2)",
        "utils.deprecated_api_warning({'x': 'a'})(add)(x=1, a=2, b=1)",
        "utils.deprecated_api_warning({'b': None})(add)(1, b=2)",
        "utils.deprecated_function('1', '2', 'do that')(add)(1, 2)",
    ]
    found += of_paths() + of_progress() + of_dl_utils()
    return list(dict.fromkeys(found))


def of_paths() -> list[str]:
    """Expressions on files; each is evaluated in a folder of its own with the tree ``a/b/c.txt``, ``a/d.py``, ``.h.txt``."""
    found = [f"sorted(utils.scandir({args}))" for args in (
        "'.'", "'.', '.txt'", "'.', ('.txt', '.py')", "'.', recursive=True", "'.', '.txt', recursive=True",
        "'.', '.TXT', recursive=True", "'.', '.TXT', recursive=True, case_sensitive=False", "Path('.')", "'a', recursive=True",
        "'nope'", "3", "'.', 3", "'.', ['.txt']",
    )]  # fmt: skip
    found += [
        "utils.check_file_exist('a/d.py')", "utils.check_file_exist('nope')", "utils.check_file_exist('nope', 'no {}!')",
        "utils.fopen('a/d.py').read()", "utils.fopen(Path('a/d.py'), 'r').read()", "utils.fopen(3)", "utils.fopen('nope')",
        "utils.mkdir_or_exist('x/y/z') or os.path.isdir('x/y/z')", "utils.mkdir_or_exist('')", "utils.mkdir_or_exist('a')",
        "utils.mkdir_or_exist('~nobody_x/y') or sorted(os.listdir('.'))", "utils.mkdir_or_exist(Path('q')) or os.path.isdir('q')", "utils.mkdir_or_exist('a/d.py')",
        "utils.symlink('a/d.py', 'link.py') or os.readlink('link.py')", "utils.symlink('a/d.py', 'a/b/c.txt') or os.readlink('a/b/c.txt')",
        "utils.symlink('a/d.py', 'a/b/c.txt', overwrite=False)", "utils.find_vcs_root('a')", "utils.find_vcs_root('a', markers=('b',)) == os.path.abspath('a') or utils.find_vcs_root('a', markers=('b',))",
        "utils.find_vcs_root('a/d.py', markers=('b',)) is None",
    ]  # fmt: skip
    return found


def of_progress() -> list[str]:
    """Expressions on progress bars and timers."""
    found = [
        f"utils.track_progress(double, {tasks}, file=io.StringIO())"
        for tasks in ("[1, 2, 3]", "(iter([1, 2]), 2)", "iter([1])", "3", "([1, 2], 2)", "[]", "'ab'", "(1, 2, 3)")
    ]
    found += [
        f"list(utils.track_iter_progress({tasks}, file=io.StringIO()))"
        for tasks in ("[1, 2, 3]", "(iter([1, 2]), 2)", "3", "iter([1])")
    ]
    found += [f"bar_text({args})" for args in ("3, 0", "3, 1", "3, 3", "0, 2", "10, 4, bar_width=5")]
    found += [
        "utils.ProgressBar(2, file=io.StringIO()).update(0)",
        "utils.ProgressBar(2, file=io.StringIO()).update(-1)",
        "utils.Timer(start=False).since_start()",
        "utils.Timer(start=False).since_last_check()",
        "utils.Timer(start=False).is_running",
        "utils.Timer().is_running",
        "utils.check_time('some id')",
    ]
    return found


def of_dl_utils() -> list[str]:
    """Expressions on ``mmengine.utils.dl_utils``."""
    modules = (
        "nn.BatchNorm2d(2)",
        "nn.Conv2d(1, 1, 1)",
        "nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))",
        "nn.GroupNorm(1, 2)",
        "nn.LayerNorm(2)",
        "nn.InstanceNorm2d(2)",
        "nn.SyncBatchNorm(2)",
        "nn.Linear(1, 1)",
        "nn.LocalResponseNorm(2)",
    )
    found = [f"dl_utils.{name}({module})" for name in ("has_batch_norm", "is_norm") for module in modules]
    found += [
        f"dl_utils.is_norm({module}, exclude={kind})"
        for module in modules[:7]
        for kind in ("nn.BatchNorm2d", "(nn.GroupNorm, nn.LayerNorm)", "'x'", "nn.modules.batchnorm._BatchNorm")
    ]
    found += [
        f"dl_utils.tensor2imgs({args})"
        for args in (
            "torch.ones(2, 3, 2, 2)",
            "torch.arange(12.).view(1, 3, 2, 2), mean=(1, 2, 3), std=(2, 2, 2), to_bgr=False",
            "torch.arange(12.).view(1, 3, 2, 2), mean=(1, 2, 3), std=(2, 2, 2)",
            "torch.arange(4.).view(1, 1, 2, 2), mean=(1,), std=(2,), to_bgr=False",
            "torch.arange(4.).view(1, 1, 2, 2), to_bgr=False",
            "torch.ones(3, 2, 2)",
            "np.ones((1, 3, 2, 2))",
            "torch.ones(1, 2, 2, 2)",
            "torch.ones(1, 3, 2, 2), mean=(1, 2)",
            "torch.ones(1, 1, 2, 2), mean=(0,), std=(1,)",
            "torch.arange(24.).view(2, 3, 2, 2) * 20",
        )
    ]
    found += [
        f"dl_utils.torch_meshgrid({args})"
        for args in ("torch.arange(2), torch.arange(3)", "torch.arange(2)", "[torch.arange(2), torch.arange(2)]")
    ]
    found += ["dl_utils.is_jit_tracing()"]
    return found


class Base:
    def a(self) -> None: ...
    def b(self) -> None: ...


class Child(Base):
    def a(self) -> None: ...


def namespace() -> dict[str, Any]:
    """Names that expressions use."""
    from collections import namedtuple

    import numpy as np
    import torch
    from mmengine import utils, version  # type: ignore[import-not-found,attr-defined,unused-ignore]  # the reference, or the alias
    from mmengine.utils import dl_utils  # type: ignore[import-not-found,unused-ignore]  # as above
    from torch import nn

    def add(a: Any, b: Any = 0) -> Any:
        return a + b

    def bar_text(total: int, done: int, **options: Any) -> list[str]:
        file = io.StringIO()
        bar = utils.ProgressBar(total, file=file, **options)
        for _ in range(done):
            bar.update()
        # Times differ from run to run: the counts alone are compared.
        return [part.split(",")[0].split("]")[-1].strip() for part in file.getvalue().split("\r")]

    return {
        "Base": Base, "Child": Child, "Pair": namedtuple("Pair", "x y"), "Path": Path, "add": add, "bar_text": bar_text,
        "dl_utils": dl_utils, "double": lambda x: x * 2, "io": io, "nn": nn, "np": np, "os": os, "torch": torch, "utils": utils,
        "version": version,
    }  # fmt: skip


def written(value: Any) -> str:
    """A value as text that is the same for the reference and for eng."""
    import numpy as np
    import torch

    if isinstance(value, torch.Tensor):
        return f"tensor({value.dtype}, {value.tolist()})"
    if isinstance(value, np.ndarray):
        return f"array({value.dtype}, {value.tolist()})"
    if isinstance(value, np.generic):
        return f"{type(value).__name__}({value.item()!r})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{written(key)}: {written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple | set | frozenset):
        return f"{type(value).__name__}({', '.join(map(written, value))})"
    if type(value).__name__ in ("generator", "list_iterator") or inspect.isroutine(value) or inspect.isclass(value):
        return f"<{type(value).__name__}>" if not hasattr(value, "__qualname__") else f"<{value.__qualname__}>"
    return f"<{type(value).__name__} object>" if " at 0x" in repr(value) else repr(value)


def evaluated(expression: str, names: Mapping[str, Any]) -> tuple[str, Any]:
    """``("value", text)``, or ``("raises", names of its built-in classes, nearest first)``, in a folder of its own."""
    if expression not in of_paths():
        return outcome_of(expression, names)
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("a/b").mkdir(parents=True)
        Path("a/b/c.txt").write_text("c")
        Path("a/d.py").write_text("d")
        Path(".h.txt").write_text("h")
        try:
            return outcome_of(expression, names)
        finally:
            os.chdir(before)


def outcome_of(expression: str, names: Mapping[str, Any]) -> tuple[str, Any]:
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            return "value", written(eval(expression, dict(names)))  # the expressions stand above
        except Exception as error:  # which one it is, is the result
            builtin = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins"]
            return "raises", [name for name in builtin if name not in ("BaseException", "object")]


def outcomes(expressions: list[str]) -> dict[str, Any]:
    """What each expression gives, in a folder of its own and without log lines."""
    import api_values

    logging.disable(logging.CRITICAL)
    names = {**api_values.names_of_api(), **namespace()}
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            return {
                expression: list(evaluated(expression, {**names, **api_values.for_each_expression(names)}))
                for expression in expressions
            }
        finally:
            os.chdir(before)


def main() -> None:
    import api_values

    rows = outcomes([*of_utils(), *api_values.of_api()])
    lines = [f" {json.dumps(expression)}: {json.dumps(result)}" for expression, result in rows.items()]
    (HERE / "values.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
