"""The table of handlers by file format, and the function that adds one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from eng.fileio.errors import UnknownFormatError, known_names
from eng.fileio.handlers.base import BaseFileHandler
from eng.fileio.handlers.json_handler import JsonHandler
from eng.fileio.handlers.pickle_handler import PickleHandler
from eng.fileio.handlers.toml_handler import TomlHandler
from eng.fileio.handlers.yaml_handler import YamlHandler

__all__ = ["file_handlers", "handler_for", "register_handler"]

H = TypeVar("H", bound=type[BaseFileHandler])

# The handlers by file format. `register_handler` adds entries. The name is public because MMEngine users read the dict.
file_handlers: dict[str, BaseFileHandler] = {
    "json": JsonHandler(),
    "yaml": YamlHandler(),
    "yml": YamlHandler(),
    "pickle": PickleHandler(),
    "pkl": PickleHandler(),
    "toml": TomlHandler(),
}


def handler_for(file_format: str) -> BaseFileHandler:
    """Returns the handler of a file format.

    Raises:
        UnknownFormatError: no handler is registered for the format; the message lists the known formats.
    """
    try:
        return file_handlers[file_format]
    except KeyError:
        raise UnknownFormatError(
            f"Unsupported format: {file_format!r}; {known_names(file_format, file_handlers)}; "
            "pass file_format='...' or add one with eng.fileio.register_handler"
        ) from None


def register_handler(file_formats: str | list[str], **kwargs: Any) -> Callable[[H], H]:
    """Returns a class decorator that registers a handler for one or more file formats.

    Args:
        file_formats: the formats: file suffixes without the dot. The handler of a registered format is replaced.
        kwargs: arguments for the handler's constructor.

    Raises:
        TypeError: a format is not a str, or the class does not derive from BaseFileHandler.

    Example:
        >>> @register_handler(["txt", "log"])
        ... class TxtHandler(BaseFileHandler):
        ...     def load_from_fileobj(self, file):
        ...         return file.read()
        ...     def dump_to_fileobj(self, obj, file):
        ...         file.write(str(obj))
        ...     def dump_to_str(self, obj, **kwargs):
        ...         return str(obj)
        >>> handler_for("log").dump_to_str(12)
        '12'
    """
    formats = file_formats
    if isinstance(file_formats, str):
        formats = [file_formats]
    if not isinstance(formats, (list, tuple)) or not all(isinstance(item, str) for item in formats):
        raise TypeError(f"file_formats takes one str, or several in a list, got {file_formats!r}")

    def decorate(cls: H) -> H:
        if not issubclass(cls, BaseFileHandler):
            raise TypeError(f"handler {cls.__name__} must derive from BaseFileHandler")
        handler = cls(**kwargs)
        file_handlers.update(dict.fromkeys(formats, handler))
        return cls

    return decorate
