"""The run's logger, reachable from everywhere, and :func:`print_log`."""

from __future__ import annotations

import logging
import os
import socket
from getpass import getuser
from pathlib import Path
from typing import Any

from eng.dist import get_rank, get_world_size
from eng.registry import ManagerMixin

from ._handlers import (
    CONSOLE_TIME,
    FILE_TIME,
    ConsoleFormatter,
    ConsoleHandler,
    FileFormatter,
    FilterDuplicateWarning,
    MMFormatter,
    file_handler,
)

__all__ = ["FilterDuplicateWarning", "MMFormatter", "MMLogger", "print_log"]

_HIERARCHY = "eng"


class MMLogger(logging.Logger, ManagerMixin):
    """Logger of a run: console and, if asked, a file; one line per record.

    It has handlers of its own and does not pass records to the root logger, so other libraries' logging set-up does
    not disturb it; handlers that you add to ``logging.getLogger("eng")`` get its records too. In return, what any
    package of eng logs (``logging.getLogger("eng....")``) goes to the handlers of the current MMLogger.

    On ranks other than 0 the console shows errors only. Each warning is shown once.

    Args:
        name: under which :meth:`get_instance` finds this logger.
        logger_name: shown in each line; the default is shown as ``eng``.
        log_file: where lines are written too; rank 0 always writes it.
        log_level: from which level on records are logged. ``DEBUG`` means files for all ranks in a distributed run.
        file_mode: with which the file is opened; ``w`` starts it anew.
        distributed: whether each rank writes its own file, called
            ``{log_file}_{host}_device{device}_rank{rank}{suffix}``.
        file_handler_cfg: another handler for the file: ``type``, a class of :mod:`logging.handlers` that writes to a
            file, and its arguments.

    Raises:
        ValueError: unknown level or handler type.

    Examples:
        >>> logger = MMLogger.get_instance("logger-of-the-example", log_level="WARNING")
        >>> logger.info("not shown")
        >>> logger.log_file is None
        True
    """

    def __init__(
        self,
        name: str,
        logger_name: str = "mmengine",
        log_file: str | None = None,
        log_level: int | str = "INFO",
        file_mode: str = "w",
        distributed: bool = False,
        file_handler_cfg: dict[str, Any] | None = None,
    ) -> None:
        logging.Logger.__init__(self, logger_name)
        ManagerMixin.__init__(self, name)
        self.setLevel(log_level.upper() if isinstance(log_level, str) else log_level)
        level = self.level  # the number of a name
        rank = get_rank()
        self.parent = logging.getLogger(_HIERARCHY)
        self._add(ConsoleHandler(), level if rank == 0 else max(level, logging.ERROR), ConsoleFormatter(CONSOLE_TIME))
        per_rank = (distributed or level <= logging.DEBUG) and get_world_size() > 1
        self._log_file = None if log_file is None else str(log_file)
        if log_file is not None and per_rank:
            self._log_file = str(_file_of_rank(Path(log_file), rank))
        if self._log_file is not None and (rank == 0 or per_rank):
            self._add(file_handler(self._log_file, file_mode, file_handler_cfg), level, FileFormatter(FILE_TIME))
        _attach_to_hierarchy(level)

    def _add(self, handler: logging.Handler, level: int, formatter: logging.Formatter) -> None:
        handler.setLevel(level)
        handler.setFormatter(formatter)
        handler.addFilter(FilterDuplicateWarning(self.name))
        self.addHandler(handler)

    @property
    def log_file(self) -> str | None:
        """Path of the log file of this rank, if there is one."""
        return self._log_file

    def close_file(self) -> None:
        """Closes the log file; a line that comes later opens it again and is added to it, where its mode is ``a``."""
        for handler in self.handlers:
            if isinstance(handler, logging.FileHandler):
                handler.close()

    @classmethod
    def get_current_instance(cls) -> MMLogger:
        """The logger created last; one called ``mmengine`` is created where there is none yet."""
        if not cls._instance_dict:
            cls.get_instance("mmengine")
        return super().get_current_instance()

    def handle_own(self, record: logging.LogRecord) -> None:
        """Gives `record` to the handlers of this logger only."""
        for handler in self.handlers:
            if record.levelno >= handler.level:
                handler.handle(record)

    def callHandlers(self, record: logging.LogRecord) -> None:  # logging's name  # noqa: N802  # logging's name
        """Gives `record` to the handlers of this logger and to those that users put on ``eng``, not to the root's."""
        self.handle_own(record)
        above = self.parent.handlers if self.parent is not None else []
        for handler in above:
            if record.levelno >= handler.level and not isinstance(handler, ForwardToCurrent):
                handler.handle(record)

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # logging's name
        """Whether a record of `level` is logged.

        logging's method keeps its answers until a level changes, but only for the loggers of its own table, which lacks this one.
        """
        return not self.disabled and self.manager.disable < level and level >= self.getEffectiveLevel()


class ForwardToCurrent(logging.Handler):
    """Passes what the packages of eng log on to the handlers of the current :class:`MMLogger`."""

    def emit(self, record: logging.LogRecord) -> None:
        """Hands `record` on; a record that came from an MMLogger has been there already."""
        if MMLogger._instance_dict:  # noqa: SLF001  # whether there is any; asking for one would make it
            logger = MMLogger.get_current_instance()
            if record.levelno >= logger.level:
                logger.handle_own(record)


def _attach_to_hierarchy(level: int) -> None:
    """Makes records of ``eng.*`` reach the current MMLogger. Their level follows it where nobody set another."""
    top = logging.getLogger(_HIERARCHY)
    if not any(isinstance(handler, ForwardToCurrent) for handler in top.handlers):
        top.addHandler(ForwardToCurrent())
    if top.level == logging.NOTSET or top.level > level:
        top.setLevel(level)


def _file_of_rank(log_file: Path, rank: int) -> Path:
    host = _host_info()
    middle = f"{host}_" if host else ""
    return log_file.with_name(f"{log_file.stem}_{middle}device{_get_device_id()}_rank{rank}{log_file.suffix}")


def _host_info() -> str:
    """``user@host``, or nothing where the system knows neither."""
    try:
        return f"{getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):  # no such user, no such host: containers
        return ""


def _get_device_id() -> int:
    """Index of this process's device on its machine, as the machine counts them."""
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    visible = [part for part in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if part.strip().isdigit()]
    return int(visible[local_rank]) if local_rank < len(visible) else local_rank


def print_log(msg: Any, logger: logging.Logger | str | None = None, level: int = logging.INFO) -> None:
    """Logs or prints a message.

    Args:
        msg: the message.
        logger: a logger; ``"current"`` for the :class:`MMLogger` created last; the name of an existing MMLogger;
            ``"silent"`` for nowhere; None prints.
        level: of the record.

    Raises:
        ValueError: no MMLogger has this name.
        TypeError: `logger` is something else.
    """
    if logger is None:
        print(msg)  # printing is what None promises  # noqa: T201  # printing is what None promises
    elif isinstance(logger, logging.Logger):
        logger.log(level, msg)
    elif logger == "current":
        MMLogger.get_current_instance().log(level, msg)
    elif isinstance(logger, str) and logger != "silent":
        if not MMLogger.check_instance_created(logger):
            known = ", ".join(map(repr, MMLogger._instance_dict)) or "none yet"  # noqa: SLF001  # names only
            raise ValueError(f"there is no MMLogger called {logger!r}; there are: {known}")
        MMLogger.get_instance(logger).log(level, msg)
    elif logger != "silent":
        raise TypeError(f"logger must be a logging.Logger, a name or None, not {type(logger).__name__}")
