"""The exception of the YAML handler; a separate module, because its base class needs an import of PyYAML."""

from __future__ import annotations

import yaml

from eng.fileio.errors import ParseError


class YamlParseError(ParseError, yaml.YAMLError):
    """A YAML file is malformed, or contains tags that the safe loader refuses. Also a ``yaml.YAMLError``."""
