"""Handlers that read and write file formats: json, yaml, toml and pickle."""

from __future__ import annotations

from eng.fileio.handlers.base import BaseFileHandler
from eng.fileio.handlers.json_handler import JsonHandler
from eng.fileio.handlers.pickle_handler import PickleHandler
from eng.fileio.handlers.registry_utils import file_handlers, register_handler
from eng.fileio.handlers.toml_handler import TomlHandler
from eng.fileio.handlers.yaml_handler import YamlHandler

__all__ = [
    "BaseFileHandler",
    "JsonHandler",
    "PickleHandler",
    "TomlHandler",
    "YamlHandler",
    "file_handlers",
    "register_handler",
]
