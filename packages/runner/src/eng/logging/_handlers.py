"""Formatters and handlers of the logger: the format of a log line, and its output to console and file."""

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
    """Formats a record as ``time - name - LEVEL - message``; ERROR and above include file, function and line.

    Args:
        datefmt: format of the time, as for :func:`time.strftime`.
    """

    def __init__(self, datefmt: str = CONSOLE_TIME) -> None:
        super().__init__("%(asctime)s - %(name)s - %(levelname)s - %(message)s", datefmt)
        self._with_location = logging.Formatter(
            "%(asctime)s - %(name)s - %(levelname)s - %(pathname)s - %(funcName)s - %(lineno)d - %(message)s", datefmt
        )

    def format(self, record: logging.LogRecord) -> str:
        """Formats ``record`` as a line."""
        if record.levelno >= logging.ERROR:
            return self._with_location.format(record)
        return super().format(record)


class FileFormatter(MMFormatter):
    """The format of the log file: that of :class:`MMFormatter`, with the name ``eng`` for the logger ``mmengine``."""

    def format(self, record: logging.LogRecord) -> str:
        """Formats ``record`` as a line of the log file."""
        name = self.shown_name(record)
        if name != record.name:
            record = copy.copy(record)
            record.name = name
        return super().format(record)

    def shown_name(self, record: logging.LogRecord) -> str:
        """Returns the logger name to show: ``eng`` for ``mmengine``, which is MMEngine's default name of a run's logger."""
        if record.name == "mmengine":
            return "eng"
        return record.name


class ConsoleFormatter(FileFormatter):
    """The format of the console, in which all loggers of eng have the name ``eng``.

    A warning or error shows the public module of eng that logged it instead, such as ``eng.hooks``.
    """

    def shown_name(self, record: logging.LogRecord) -> str:
        """Returns the logger name to show: ``eng`` for eng's loggers, or their public module for a warning or error."""
        name = super().shown_name(record)
        if name.partition(".")[0] != "eng":
            return name
        if record.levelno < logging.WARNING:
            return "eng"
        return ".".join(part for part in name.split(".") if not part.startswith("_"))


class FilterDuplicateWarning(logging.Filter):
    """Filters out a warning whose message is among the last 4096 different warnings.

    Args:
        name: name for :class:`logging.Filter`. It has no effect: records of all loggers are filtered.
    """

    def __init__(self, name: str = "mmengine") -> None:
        super().__init__(name)
        self.seen: OrderedDict[str, None] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log ``record``: False for a warning whose message was logged before."""
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
    _StreamHandler = logging.StreamHandler  # Before Python 3.11 the class accepts no type argument at run time.


class ConsoleHandler(_StreamHandler):
    """Writes log lines to standard output, in colours (by rich) if it is a terminal.

    While a live display of rich is open, lines appear above the display. If the reader of standard output has ended,
    lines are discarded. Details, such as the text of the config, are written only with ``--verbose`` or at level DEBUG.
    """

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self._console: Any = None
        self.handleError = OneReport(self, "standard output")  # type: ignore[method-assign]  # Has the same signature.

    @property
    def stream(self) -> Any:
        """The current ``sys.stdout``, so that lines follow a later redirection."""
        return sys.stdout

    def emit(self, record: logging.LogRecord) -> None:
        """Writes ``record`` as a line."""
        if self.stream is None:
            # A process without standard output, such as a service, cannot show console lines.
            return
        if is_detail(record) and not (are_details_shown() or self.level <= logging.DEBUG):
            return
        # An object that replaces sys.stdout may lack the method `isatty`; such an object is no terminal.
        if not getattr(self.stream, "isatty", bool)():
            super().emit(record)
            return
        try:
            self._print(record)
        except Exception:  # noqa: BLE001  # By logging's rules a handler reports its errors and never raises them.
            self.handleError(record)

    def _print(self, record: logging.LogRecord) -> None:
        """Prints a record on a terminal, with the level in its colour."""
        from rich.console import Console
        from rich.text import Text

        stream = self.stream
        line = Text(printable(self.format(record)))
        line.highlight_words([f" {record.levelname} "], _STYLES.get(record.levelname, ""))
        if hasattr(stream, "rich_proxied_file"):
            # While a live display is open, rich replaces sys.stdout by this stream, and text written to it appears above
            # the display. A separate Console would write into the display.
            stream.write(_as_ansi(line))
            return
        if self._console is None or self._console.file is not stream:
            self._console = Console(file=stream, soft_wrap=True, highlight=False)
        self._console.print(line)


def _as_ansi(line: Any) -> str:
    """Returns a rich text as a string with a line break, in which colours are ANSI escape sequences."""
    from rich.console import Console

    console = Console(file=io.StringIO(), force_terminal=True, soft_wrap=True, highlight=False)
    console.print(line)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # The file is the StringIO from above.
    return text


# File names that are not valid in the locale contain surrogates, which UTF-8 cannot encode. The error handler
# "backslashreplace" writes them as escapes.
_TEXT: Mapping[str, Any] = {"encoding": "utf-8", "errors": "backslashreplace"}


def file_handler(filename: str, mode: str, cfg: dict[str, Any] | None) -> logging.Handler:
    """Creates the handler of a log file: a :class:`logging.FileHandler`, or a class of :mod:`logging.handlers`.

    Args:
        filename: path of the log file.
        mode: mode with which :class:`logging.FileHandler` opens the file.
        cfg: ``type`` and arguments of another handler class; None for a :class:`logging.FileHandler`. The dict is not
            changed.

    Raises:
        ValueError: ``cfg`` has no ``type``, or ``type`` is not a handler that writes to a file.
    """
    if cfg is None:
        return _report_once(logging.FileHandler(filename, mode, **_TEXT), filename)
    handlers = _file_handlers()
    arguments = dict(cfg)
    type_name = arguments.pop("type", None)
    if type_name not in handlers:
        raise ValueError(f"file_handler_cfg needs a 'type' out of {', '.join(sorted(handlers))}, not {type_name!r}")
    arguments = {**_TEXT, "filename": filename, **arguments}
    return _report_once(handlers[type_name](**arguments), filename)


def _report_once(handler: logging.Handler, filename: str) -> logging.Handler:
    """Returns ``handler`` after replacing its error handling: it reports only its first write error."""
    handler.handleError = OneReport(handler, filename)  # type: ignore[method-assign]  # Has the same signature.
    return handler


def _file_handlers() -> dict[str, Any]:
    """Returns the handler classes of the standard library that write to files, by class name."""
    import logging.handlers as handlers

    candidates = {"FileHandler": logging.FileHandler, **vars(handlers)}
    classes = {name: value for name, value in candidates.items() if isinstance(value, type)}
    writers = {name: value for name, value in classes.items() if issubclass(value, logging.FileHandler)}
    return {name: value for name, value in writers.items() if not name.startswith("Base")}
