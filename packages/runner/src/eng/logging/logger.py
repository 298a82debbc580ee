"""MMLogger, the logger of a run, which can be looked up by its name, and :func:`print_log`."""

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
    """Logger of a run, which writes one line per record to the console and optionally to a file.

    The logger has its own handlers and does not pass records to the root logger, so that the logging configuration of
    other libraries does not affect the logger. Handlers that you add to ``logging.getLogger("eng")`` get the records of
    the logger, too. Records of eng's modules (``logging.getLogger("eng....")``) go to the handlers of the MMLogger that
    was created last.

    On ranks other than 0 the console shows errors only. Repeated warnings are shown once.

    Args:
        name: name under which :meth:`get_instance` returns this logger.
        logger_name: name that is shown in each line; the default is shown as ``eng``.
        log_file: path of the log file; None (default) writes none. Only rank 0 writes it, unless ``distributed`` is True
            or the level is ``DEBUG``.
        log_level: lowest level that is logged. With ``DEBUG`` in a distributed run each rank writes its own file.
        file_mode: mode with which the file is opened; ``w`` (default) overwrites an existing file.
        distributed: whether each rank writes its own file, called
            ``{log_file}_{host}_device{device}_rank{rank}{suffix}``.
        file_handler_cfg: config of the handler that writes the file, in place of a :class:`logging.FileHandler`:
            ``type``, a class of :mod:`logging.handlers` that writes to a file, and its arguments.

    Raises:
        ValueError: the level or the handler type is unknown.

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
        if isinstance(log_level, str):
            log_level = log_level.upper()
        self.setLevel(log_level)
        level = self.level  # `setLevel` converts a name such as "INFO" to its number.
        rank = get_rank()
        self.parent = logging.getLogger(_HIERARCHY)
        console_level = level
        if rank != 0:
            console_level = max(level, logging.ERROR)
        self._add(ConsoleHandler(), console_level, ConsoleFormatter(CONSOLE_TIME))
        per_rank = (distributed or level <= logging.DEBUG) and get_world_size() > 1
        self._log_file: str | None = None
        if log_file is not None and per_rank:
            self._log_file = str(_file_of_rank(Path(log_file), rank))
        elif log_file is not None:
            self._log_file = str(log_file)
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
        """Path of this rank's log file; None without one."""
        return self._log_file

    def close_file(self) -> None:
        """Closes the log file. With the file mode ``a`` a later record opens the file again and is appended to it."""
        for handler in self.handlers:
            if isinstance(handler, logging.FileHandler):
                handler.close()

    @classmethod
    def get_current_instance(cls) -> MMLogger:
        """Returns the logger that was created last; if there is none, creates one with the name ``mmengine``."""
        if not cls._instance_dict:
            cls.get_instance("mmengine")
        return super().get_current_instance()

    def handle_own(self, record: logging.LogRecord) -> None:
        """Passes ``record`` to the handlers of this logger, and not to the handlers of its parent loggers."""
        for handler in self.handlers:
            if record.levelno >= handler.level:
                handler.handle(record)

    def callHandlers(self, record: logging.LogRecord) -> None:  # noqa: N802  # The name of logging's method.
        """Passes ``record`` to the handlers of this logger and of the logger ``eng``, and not to those of the root logger."""
        self.handle_own(record)
        if self.parent is None:
            return
        for handler in self.parent.handlers:
            if record.levelno >= handler.level and not isinstance(handler, ForwardToCurrent):
                handler.handle(record)

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # The name of logging's method.
        """Whether this logger logs records of ``level``.

        The method of the base class caches its answers, and logging clears the caches only of the loggers that are registered
        in its own table. An MMLogger is not registered there, so its cache would be wrong after a change of a level.
        """
        return not self.disabled and self.manager.disable < level and level >= self.getEffectiveLevel()


class ForwardToCurrent(logging.Handler):
    """Passes log records of eng's modules to the handlers of the :class:`MMLogger` that was created last."""

    def emit(self, record: logging.LogRecord) -> None:
        """Passes ``record`` to the MMLogger that was created last; without an MMLogger nothing happens."""
        # `get_current_instance` would create a logger if there is none, so the table of loggers is checked first.
        if MMLogger._instance_dict:  # noqa: SLF001  # A class of this module.
            logger = MMLogger.get_current_instance()
            if record.levelno >= logger.level:
                logger.handle_own(record)


def _attach_to_hierarchy(level: int) -> None:
    """Makes the loggers ``eng.*`` pass their records to the MMLogger that was created last.

    If the level of the logger ``eng`` is above ``level``, or not set, it is set to ``level``.
    """
    top = logging.getLogger(_HIERARCHY)
    if not any(isinstance(handler, ForwardToCurrent) for handler in top.handlers):
        top.addHandler(ForwardToCurrent())
    if top.level == logging.NOTSET or top.level > level:
        top.setLevel(level)


def _file_of_rank(log_file: Path, rank: int) -> Path:
    """Returns the path of the log file that only this rank writes; its name contains user, host, device and rank."""
    host = _host_info()
    if host:
        host = f"{host}_"
    return log_file.with_name(f"{log_file.stem}_{host}device{_get_device_id()}_rank{rank}{log_file.suffix}")


def _host_info() -> str:
    """Returns ``user@host``; "" if the system does not know the user's name, as in some containers."""
    try:
        return f"{getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):
        return ""


def _get_device_id() -> int:
    """Returns the physical index of this process's device: the entry of the local rank in ``CUDA_VISIBLE_DEVICES``.

    If the variable has no such entry, returns the local rank.
    """
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    visible = [part for part in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if part.strip().isdigit()]
    if local_rank < len(visible):
        return int(visible[local_rank])
    return local_rank


def print_log(msg: Any, logger: logging.Logger | str | None = None, level: int = logging.INFO) -> None:
    """Logs or prints a message.

    Args:
        msg: the message.
        logger: a logger object; ``"current"`` for the :class:`MMLogger` that was created last; the name of an MMLogger;
            ``"silent"`` to discard the message; None (default) to print it.
        level: level of the log record.

    Raises:
        ValueError: no MMLogger has this name.
        TypeError: ``logger`` is neither a logger, a name nor None.
    """
    if logger is None:
        print(msg)  # noqa: T201  # The documented behaviour for None.
    elif isinstance(logger, logging.Logger):
        logger.log(level, msg)
    elif logger == "current":
        MMLogger.get_current_instance().log(level, msg)
    elif isinstance(logger, str) and logger != "silent":
        if not MMLogger.check_instance_created(logger):
            known = ", ".join(map(repr, MMLogger._instance_dict)) or "none yet"  # noqa: SLF001  # A class of this module.
            raise ValueError(f"there is no MMLogger called {logger!r}; there are: {known}")
        MMLogger.get_instance(logger).log(level, msg)
    elif logger != "silent":
        raise TypeError(f"logger must be a logging.Logger, a name or None, not {type(logger).__name__}")
