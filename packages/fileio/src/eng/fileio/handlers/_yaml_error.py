"""The error of the YAML handler, in a module of its own, as it needs PyYAML to be defined."""

from __future__ import annotations

import yaml

from eng.fileio.errors import ParseError


class YamlParseError(ParseError, yaml.YAMLError):
    """YAML that does not parse, or that asks for more than safe loading gives."""
