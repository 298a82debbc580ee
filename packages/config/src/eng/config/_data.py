"""JSON and YAML: text (with marks) to plain values."""

from __future__ import annotations

import json
from typing import Any

from ._source import Source
from ._weight import MAX_WEIGHT, weight
from .errors import ConfigFileError, ConfigSyntaxError


def parse_data(source: Source, text: str) -> dict[str, Any]:
    """The mapping in a JSON or YAML text; marks stay in it.

    Raises:
        ConfigSyntaxError: the text is not valid in its format.
        ConfigFileError: it holds something else than a mapping.
    """
    if source.extension == ".json":
        value = _json(source, text)
    else:
        value = _yaml(source, text)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigFileError(
            f"a config is a mapping of keys to values, this file holds a {type(value).__name__}", source.name, 1
        )
    return value


def _json(source: Source, text: str) -> Any:
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise syntax_error(source, error.msg, error.lineno, error.colno) from error
    except ValueError as error:  # an integer of thousands of digits
        raise ConfigFileError(str(error), source.name) from error
    except RecursionError as error:
        raise ConfigFileError("nested too deeply", source.name) from error


def _yaml(source: Source, text: str) -> Any:
    import yaml

    try:
        value = yaml.load(text, Loader=yaml_loader())  # noqa: S506  # a safe loader with tuples
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if mark:
            line, column = mark.line + 1, mark.column + 1
        else:
            line, column = 1, 1
        raise syntax_error(source, error.problem or str(error), line, column) from error
    except yaml.YAMLError as error:
        raise ConfigSyntaxError(str(error), source.name) from error
    except (ValueError, OverflowError) as error:  # an integer of thousands of digits, a date that there is not
        raise ConfigFileError(str(error), source.name) from error
    except RecursionError as error:
        raise ConfigFileError("nested too deeply", source.name) from error
    # A few lines of aliases of aliases fill a memory as soon as somebody copies them.
    if "*" in text and weight(value) > MAX_WEIGHT:
        raise ConfigFileError(
            f"too large for a config: its aliases (*name) say more than {MAX_WEIGHT:,} items, or one contains itself",
            source.name,
        )
    return value


def syntax_error(source: Source, message: str, line: int, column: int) -> ConfigSyntaxError:
    """The error for a text that is not valid, with its line and a caret below the 1-based column."""
    lines = source.text.splitlines()
    shown = ""
    if 0 < line <= len(lines):
        shown = lines[line - 1]
    return ConfigSyntaxError(message, source.name, line, column, shown)


def yaml_loader() -> Any:
    """The safe loader (libyaml's where there is one), which also reads the tuples that `dump` writes."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the base is chosen at run time
        pass

    Loader.add_constructor(
        "tag:yaml.org,2002:python/tuple", lambda loader, node: tuple(loader.construct_sequence(node, deep=True))
    )
    return Loader
