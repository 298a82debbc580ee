"""How a record becomes a line, and where the lines go."""

from __future__ import annotations

import copy
import io
import logging
import sys
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ._details import are_details_shown, is_detail
from ._failures import OneReport
from ._terminal import printable

CONSOLE_TIME = "%m/%d %H:%M:%S"
FILE_TIME = "%Y/%m/%d %H:%M:%S"
_REMEMBERED_WARNINGS = 4096
_STYLES = {"DEBUG": "green", "INFO": "", "WARNING": "bold yellow", "ERROR": "bold red", "CRITICAL": "bold red reverse"}


class MMFormatter(logging.Formatter):
    """``time - name - LEVEL - message``; from ERROR on, with the place in the code before the message.

    Args:
        datefmt: of the time, as for :func:`time.strftime`.
    """

    def __init__(self, datefmt: str = CONSOLE_TIME) -> None:
        super().__init__("%(asctime)s - %(name)s - %(levelname)s - %(message)s", datefmt)
        self._with_place = logging.Formatter(
            "%(asctime)s - %(name)s - %(levelname)s - %(pathname)s - %(funcName)s - %(lineno)d - %(message)s", datefmt
        )

    def format(self, record: logging.LogRecord) -> str:
        """The line of `record`."""
        if record.levelno >= logging.ERROR:
            return self._with_place.format(record)
        return super().format(record)


class FileFormatter(MMFormatter):
    """The same line, in which the logger of a run is called ``eng``, as on the console."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of `record`."""
        name = self.shown_name(record)
        if name != record.name:
            record = copy.copy(record)
            record.name = name
        return super().format(record)

    def shown_name(self, record: logging.LogRecord) -> str:
        """The name of the logger of `record`: ``eng`` for ``mmengine``, the reference's default name of a run's logger."""
        return "eng" if record.name == "mmengine" else record.name


class ConsoleFormatter(FileFormatter):
    """The same line with the name that helps a reader: ``eng``, and for a warning of eng's the package that it came from."""

    def shown_name(self, record: logging.LogRecord) -> str:
        """The name of the logger of `record` without what only a developer of eng needs."""
        name = super().shown_name(record)
        if name.partition(".")[0] != "eng":
            return name
        if record.levelno < logging.WARNING:
            return "eng"
        return ".".join(part for part in name.split(".") if not part.startswith("_"))


class FilterDuplicateWarning(logging.Filter):
    """Lets each warning through once; the last few thousand different ones are remembered.

    Args:
        name: kept for :class:`logging.Filter`; records of all names are judged.
    """

    def __init__(self, name: str = "mmengine") -> None:
        super().__init__(name)
        self.seen: OrderedDict[str, None] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether `record` is no warning, or one that was not seen before."""
        if record.levelno != logging.WARNING:
            return True
        message = record.getMessage()
        if message in self.seen:
            return False
        self.seen[message] = None
        if len(self.seen) > _REMEMBERED_WARNINGS:
            self.seen.popitem(last=False)
        return True


if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[Any]
else:
    _StreamHandler = logging.StreamHandler  # it takes no type argument before Python 3.11


class ConsoleHandler(_StreamHandler):
    """Lines on standard output: with colours by rich where it is a terminal, plain everywhere else.

    While a live display of rich is open, lines go through it and appear above it. Where the reader of standard output is
    gone, lines go nowhere. Details, such as the whole config, are left to the log file unless they are asked for.
    """

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self._console: Any = None
        self.handleError = OneReport(self, "standard output")  # type: ignore[method-assign]  # a callable like it

    @property
    def stream(self) -> Any:
        """Standard output as it is now, so that redirecting it works."""
        return sys.stdout

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the line of `record`."""
        if self.stream is None:  # a process that was started without standard output, such as a service
            return
        if is_detail(record) and not (are_details_shown() or self.level <= logging.DEBUG):
            return
        if not getattr(self.stream, "isatty", bool)():
            super().emit(record)
            return
        try:
            self._print(record)
        except Exception:  # noqa: BLE001  # a handler reports its own failures and never raises them (logging's rule)
            self.handleError(record)

    def _print(self, record: logging.LogRecord) -> None:
        """Prints a record in the colours of its level."""
        from rich.console import Console
        from rich.text import Text

        stream = self.stream
        line = Text(printable(self.format(record)))
        line.highlight_words([f" {record.levelname} "], _STYLES.get(record.levelname, ""))
        if hasattr(stream, "rich_proxied_file"):
            # Rich put this stream there while a display is open: what is written to it appears above the display, while
            # a console of our own would write into it.
            stream.write(_as_ansi(line))
            return
        if self._console is None or self._console.file is not stream:
            self._console = Console(file=stream, soft_wrap=True, highlight=False)
        self._console.print(line)


def _as_ansi(line: Any) -> str:
    """A line with its colours as escape sequences, and a line break."""
    from rich.console import Console

    console = Console(file=io.StringIO(), force_terminal=True, soft_wrap=True, highlight=False)
    console.print(line)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # it is a StringIO
    return text


# Paths of another locale hold surrogates, which UTF-8 alone cannot encode.
_TEXT: Mapping[str, Any] = {"encoding": "utf-8", "errors": "backslashreplace"}


def file_handler(filename: str, mode: str, cfg: dict[str, Any] | None) -> logging.Handler:
    """Handler for a log file: :class:`logging.FileHandler`, or what `cfg` names in :mod:`logging.handlers`.

    Args:
        filename: of the log.
        mode: with which :class:`logging.FileHandler` opens it.
        cfg: ``type`` and the arguments of that handler; not changed.

    Raises:
        ValueError: `cfg` has no ``type``, or names no handler that writes to a file.
    """
    if cfg is None:
        return _quiet(logging.FileHandler(filename, mode, **_TEXT), filename)
    handlers = _file_handlers()
    arguments = dict(cfg)
    type_name = arguments.pop("type", None)
    if type_name not in handlers:
        raise ValueError(f"file_handler_cfg needs a 'type' out of {', '.join(sorted(handlers))}, not {type_name!r}")
    arguments = {**_TEXT, "filename": filename, **arguments}
    return _quiet(handlers[type_name](**arguments), filename)


def _quiet(handler: logging.Handler, filename: str) -> logging.Handler:
    handler.handleError = OneReport(handler, filename)  # type: ignore[method-assign]  # a callable like it
    return handler


def _file_handlers() -> dict[str, Any]:
    """The handlers of the standard library that write to files, by class name."""
    import logging.handlers as handlers

    candidates = {"FileHandler": logging.FileHandler, **vars(handlers)}
    classes = {name: value for name, value in candidates.items() if isinstance(value, type)}
    writers = {name: value for name, value in classes.items() if issubclass(value, logging.FileHandler)}
    return {name: value for name, value in writers.items() if not name.startswith("Base")}
