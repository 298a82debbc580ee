"""Parses JSON and YAML configs, whose ``{{…}}`` were replaced by marks before, into plain values."""

from __future__ import annotations

import json
from typing import Any

from ._source import Source
from ._weight import MAX_WEIGHT, weight
from .errors import ConfigFileError, ConfigSyntaxError


def parse_data(source: Source, text: str) -> dict[str, Any]:
    """Parses a JSON or YAML text into a dict.

    The text contains a placeholder instead of each ``{{…}}``; the placeholders stay in the strings of the dict.

    Raises:
        ConfigSyntaxError: the text is not valid JSON or YAML.
        ConfigFileError: the top-level value is not a mapping.
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
    """Parses a JSON text; returns None for an empty text. Every failure becomes an error that names the config file."""
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise syntax_error(source, error.msg, error.lineno, error.colno) from error
    except ValueError as error:  # Python raises ValueError for integers of more than 4300 digits.
        raise ConfigFileError(str(error), source.name) from error
    except RecursionError as error:
        raise ConfigFileError("nested too deeply", source.name) from error


def _yaml(source: Source, text: str) -> Any:
    """Parses a YAML text. Every failure, or a value that is too large, becomes an error that names the config file."""
    import yaml

    try:
        value = yaml.load(text, Loader=yaml_loader())  # noqa: S506  # this loader is PyYAML's safe loader, extended by tuples
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if mark:
            line, column = mark.line + 1, mark.column + 1
        else:
            line, column = 1, 1
        raise syntax_error(source, error.problem or str(error), line, column) from error
    except yaml.YAMLError as error:
        raise ConfigSyntaxError(str(error), source.name) from error
    except (ValueError, OverflowError) as error:  # An integer of over 4300 digits, or an impossible date.
        raise ConfigFileError(str(error), source.name) from error
    except RecursionError as error:
        raise ConfigFileError("nested too deeply", source.name) from error
    # A YAML alias (`*name`) can refer to other aliases, so a few lines can expand to gigabytes when they are copied. A
    # config with aliases is therefore limited in size.
    if "*" in text and weight(value) > MAX_WEIGHT:
        raise ConfigFileError(
            f"too large for a config: its aliases (*name) say more than {MAX_WEIGHT:,} items, or one contains itself",
            source.name,
        )
    return value


def syntax_error(source: Source, message: str, line: int, column: int) -> ConfigSyntaxError:
    """Returns the error for an invalid config text; it shows the line and a caret below the 1-based column."""
    lines = source.text.splitlines()
    shown = ""
    if 0 < line <= len(lines):
        shown = lines[line - 1]
    return ConfigSyntaxError(message, source.name, line, column, shown)


def yaml_loader() -> Any:
    """Returns PyYAML's safe loader class, extended to read the tuples that `Config.dump` writes as ``!!python/tuple``.

    The returned class uses the fast C library libyaml if PyYAML was built with libyaml, otherwise Python code.
    """
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the base is chosen at run time
        pass

    Loader.add_constructor(
        "tag:yaml.org,2002:python/tuple", lambda loader, node: tuple(loader.construct_sequence(node, deep=True))
    )
    return Loader
