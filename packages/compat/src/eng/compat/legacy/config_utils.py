"""Replaces ``mmengine.config.utils``: names of libraries and paths of their configs."""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eng.config.errors import ConfigSyntaxError as ConfigParsingError
from eng.logging import print_log

from ..utils.path import check_file_exist

__all__ = [
    "MODULE2PACKAGE",
    "PKG2PROJECT",
    "PYTHON_ROOT_DIR",
    "SYSTEM_PYTHON_PREFIX",
    "ConfigParsingError",
    "RemoveAssignFromAST",
    "add_args",
    "check_file_exist",
]

_RENAMED = {"mmseg": "mmsegmentation", "mmaction": "mmaction2"}
#: Import name of a library of OpenMMLab -> name of its distribution.
MODULE2PACKAGE: dict[str, str] = {
    name: _RENAMED.get(name, name)
    for name in (
        "mmcls", "mmdet", "mmdet3d", "mmseg", "mmaction", "mmtrack", "mmpose", "mmedit", "mmocr", "mmgen", "mmfewshot",
        "mmrazor", "mmflow", "mmhuman3d", "mmrotate", "mmselfsup", "mmyolo", "mmpretrain", "mmagic",
    )
}  # fmt: skip
PKG2PROJECT = MODULE2PACKAGE
PYTHON_ROOT_DIR = str(Path(sys.executable).absolute().parent.parent)
SYSTEM_PYTHON_PREFIX = str(Path(f"{sys.prefix}/lib/python") if sys.prefix != "/usr" else Path("/usr/lib/python"))


class RemoveAssignFromAST(ast.NodeTransformer):
    """Removes the assignments to a name from the syntax tree of a config file.

    Args:
        key: the name.
    """

    def __init__(self, key: str) -> None:
        self.key = key

    def visit_Assign(self, node: ast.Assign) -> ast.Assign | None:  # ast calls the method by this name
        """Returns None, which removes the statement, for an assignment to `key`; returns any other one unchanged."""
        target = node.targets[0]
        return None if isinstance(target, ast.Name) and target.id == self.key else node


def _is_builtin_module(module_name: str) -> bool:
    """Whether a module is compiled into the Python interpreter."""
    if module_name.startswith("."):
        return False
    return module_name.split(".", maxsplit=1)[0] in sys.builtin_module_names


def _get_package_and_cfg_path(cfg_path: str) -> tuple[str, str]:
    """Splits ``package::path`` into the package and the relative path.

    Raises:
        ValueError: `cfg_path` does not have this form, or the package is not installed.
    """
    package, separator, relative = cfg_path.partition("::")
    if not re.fullmatch(r"\w+::[\w\-./]+", cfg_path) or not separator:
        raise ValueError(f"{cfg_path!r} must name a package and a config of it, such as 'mmdet::retinanet/x.py'")
    if package not in MODULE2PACKAGE and not _is_importable(package):
        raise ValueError(f"{cfg_path!r}: no package {package!r} is installed")
    return package, relative


def _is_importable(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None


def _get_external_cfg_path(package_path: str, cfg_file: str) -> str:
    """Returns the path of a config that an installed library contains.

    Args:
        package_path: folder of the library's package.
        cfg_file: path relative to the library's folder ``configs``.

    Raises:
        FileNotFoundError: the library has no such config.
    """
    path = str(Path(package_path) / ".mim" / "configs" / cfg_file)
    check_file_exist(path)
    return path


_get_external_cfg_base_path = _get_external_cfg_path


def add_args(parser: argparse.ArgumentParser, cfg: Mapping[str, Any], prefix: str = "") -> argparse.ArgumentParser:
    """Adds a command-line option to a parser for each value of a config.

    Args:
        parser: the parser to which the options are added.
        cfg: the config; a nested mapping gives options such as ``--optimizer.lr``.
        prefix: prefix of the option names.

    Returns:
        The same parser.
    """
    for key, value in cfg.items():
        option = f"--{prefix}{key}"
        if isinstance(value, str):
            parser.add_argument(option)
        elif isinstance(value, bool):
            parser.add_argument(option, action="store_true")
        elif isinstance(value, int | float):
            parser.add_argument(option, type=type(value))
        elif isinstance(value, Mapping):
            add_args(parser, value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple) and value:
            parser.add_argument(option, type=type(value[0]), nargs="+")
        else:
            print_log(f"no option for {prefix}{key}: values of type {type(value).__name__} have none", logger="current")
    return parser
