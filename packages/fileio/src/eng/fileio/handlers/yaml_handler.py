"""The handler of YAML files."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from eng.fileio._uri import PathLike
from eng.fileio.errors import ParseError
from eng.fileio.handlers.base import BaseFileHandler, name_of

__all__ = ["YamlHandler"]


@cache
def _dumper() -> Any:
    """Returns PyYAML's safe dumper class, extended to write numpy values and instances of subclasses of builtin types.

    Such an instance, for example a `ConfigDict`, is written as the builtin type; tuples and ranges become lists.
    """
    import yaml

    base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

    class Dumper(base):  # type: ignore[misc]  # the base class is chosen at run time
        pass

    plain: tuple[type, ...] = (dict, list, set, str, bool, int, float, bytes)
    for base_type, convert in (*zip(plain, plain, strict=True), (tuple, list), (frozenset, set)):
        Dumper.add_multi_representer(base_type, lambda dumper, value, c=convert: dumper.represent_data(c(value)))
    Dumper.add_multi_representer(range, lambda dumper, value: dumper.represent_data(list(value)))
    Dumper.add_multi_representer(object, _represent_numpy)
    return Dumper


def _represent_numpy(dumper: Any, value: Any) -> Any:
    """Writes a numpy array or scalar as a list or number; other objects that PyYAML cannot write raise TypeError."""
    if type(value).__module__.partition(".")[0] == "numpy" and hasattr(value, "tolist"):
        return dumper.represent_data(value.tolist())
    raise TypeError(f"{type(value).__module__}.{type(value).__qualname__} has no form in yaml; convert it first")


class YamlHandler(BaseFileHandler):
    r"""Reads YAML with a safe loader and writes YAML, using the fast C library libyaml if PyYAML was built with it.

    Tags that create Python objects (``!!python/...``) are refused unless the caller passes a `Loader` that supports
    them. Tuples are written as lists, numpy values as lists and numbers.

    Example:
        >>> YamlHandler().dump_to_str({"a": (1, 2)})
        'a:\n- 1\n- 2\n'
    """

    def load_from_path(self, filepath: PathLike, mode: str = "rb", **kwargs: Any) -> Any:
        """Reads the object in a local file, opened in binary mode because the YAML parser decodes the bytes itself."""
        return super().load_from_path(filepath, mode, **kwargs)

    def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
        """Reads the object in an open file; `kwargs` are passed to ``yaml.load``.

        Raises:
            YamlParseError: the file is malformed; the message names file, line and column.
        """
        import yaml

        kwargs.setdefault("Loader", getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        try:
            return yaml.load(file, **kwargs)  # noqa: S506 - the Loader is a safe one unless the caller names another
        except yaml.YAMLError as error:
            raise _located(error, name_of(file)) from error

    def dump_to_fileobj(self, obj: Any, file: Any, **kwargs: Any) -> None:
        """Writes an object to an open text file; `kwargs` are passed to ``yaml.dump``."""
        import yaml

        kwargs.setdefault("Dumper", _dumper())
        yaml.dump(obj, file, **kwargs)

    def dump_to_str(self, obj: Any, **kwargs: Any) -> str:
        """Returns the object as YAML text; `kwargs` are passed to ``yaml.dump``."""
        import yaml

        kwargs.setdefault("Dumper", _dumper())
        text: str = yaml.dump(obj, **kwargs)
        return text

    def can_run_code(self, options: Mapping[str, Any]) -> bool:
        """Returns True if the caller passes a `Loader` other than the safe and base loaders of PyYAML."""
        import yaml

        names = ("SafeLoader", "BaseLoader", "CSafeLoader", "CBaseLoader")
        safe_loaders = [getattr(yaml, name) for name in names if hasattr(yaml, name)]
        return "Loader" in options and options["Loader"] not in safe_loaders


def _located(error: Any, path: str) -> ParseError:
    """Returns the error for a malformed YAML file, with the line and column that PyYAML reports."""
    from eng.fileio.handlers._yaml_error import YamlParseError

    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    context = ""
    if getattr(error, "context", None):
        context = f" ({error.context})"
    advice = ""
    if "could not determine a constructor" in problem:
        advice = "it needs a Loader that builds Python objects: load(path, Loader=yaml.UnsafeLoader) runs code"
    if mark:
        line, column = mark.line + 1, mark.column + 1
    else:
        line, column = None, None
    return YamlParseError.at(path, line, column, f"malformed YAML: {problem}{context}", advice)
