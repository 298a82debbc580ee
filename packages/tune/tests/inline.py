"""An executor that trains in this process, so that tests of a sweep need no further one."""

from __future__ import annotations

from typing import Any

from eng.tune._trial import main


class InlineExecutor:
    """Trains a run when it is handed out."""

    def __init__(self, capacity: int = 1) -> None:
        self.capacity = capacity
        self.started: list[str] = []

    def start(self, run: Any) -> Any:
        self.started.append(run.name)
        return _Done(main(str(run.folder)))

    def attach(self, run: Any) -> None:
        return None

    def close(self) -> None:
        pass


class _Done:
    def __init__(self, status: int) -> None:
        self._status = status

    def status(self) -> int:
        return self._status

    def stop(self) -> None:
        pass
