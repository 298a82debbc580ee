"""Which checkpoints to keep: rules without side effects, and the record of best and last ones."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ._write import write_whole

__all__ = ["CheckpointRecord", "CheckpointRecords", "checkpoints_to_remove", "is_better"]


@dataclass(frozen=True)
class CheckpointRecord:
    """A checkpoint that was written.

    Attributes:
        path: of the file.
        step: its epoch or iteration.
        value: of the metric it was kept for, if it is a best one.
    """

    path: str
    step: int
    value: float | None = None


def checkpoints_to_remove(
    saved: Sequence[CheckpointRecord], max_keep: int, protected: Collection[str] = (), keep_every: int = 0
) -> list[CheckpointRecord]:
    """Checkpoints beyond the newest `max_keep`.

    Args:
        saved: in any order.
        max_keep: how many of the newest stay; below 1 means all.
        protected: paths that stay in any case, such as best ones.
        keep_every: steps divisible by it stay in any case; 0 for none.

    Returns:
        Those to remove, oldest first.

    Examples:
        >>> saved = [CheckpointRecord(f"epoch_{step}.pth", step) for step in (1, 2, 3, 4)]
        >>> [record.path for record in checkpoints_to_remove(saved, max_keep=2, protected={"epoch_1.pth"})]
        ['epoch_2.pth']
    """
    if max_keep < 1:
        return []
    by_age = sorted(saved, key=lambda record: record.step)
    return [
        record
        for record in by_age[: max(0, len(by_age) - max_keep)]
        if record.path not in protected and not (keep_every and record.step % keep_every == 0)
    ]


def is_better(value: float, than: float | None, rule: str) -> bool:
    """Whether a metric's `value` beats the one so far. A NaN never does; anything beats nothing.

    Args:
        value: new.
        than: so far, None if there is none.
        rule: ``greater`` or ``less``.

    Raises:
        ValueError: another rule.

    Examples:
        >>> is_better(0.9, 0.8, "greater"), is_better(0.9, None, "less"), is_better(float("nan"), 0.8, "greater")
        (True, True, False)
    """
    if rule not in ("greater", "less"):
        raise ValueError(f"a rule is 'greater' or 'less', not {rule!r}")
    if value != value:  # NaN
        return False
    if than is None or than != than:
        return True
    return value > than if rule == "greater" else value < than


@dataclass
class CheckpointRecords:
    """Which checkpoint is the last one and which is the best by each metric.

    Attributes:
        saved: regular checkpoints that exist, oldest first.
        best: by the name of the metric.

    Examples:
        >>> records = CheckpointRecords()
        >>> records.saved.append(CheckpointRecord("epoch_1.pth", 1))
        >>> records.last.path
        'epoch_1.pth'
        >>> CheckpointRecords.from_state(records.state_dict()) == records
        True
    """

    saved: list[CheckpointRecord] = field(default_factory=list)
    best: dict[str, CheckpointRecord] = field(default_factory=dict)

    @property
    def last(self) -> CheckpointRecord | None:
        """The newest regular checkpoint."""
        return self.saved[-1] if self.saved else None

    def state_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "saved": [asdict(record) for record in self.saved],
            "best": {k: asdict(v) for k, v in self.best.items()},
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> CheckpointRecords:
        """From what :meth:`state_dict` gave."""
        saved = [CheckpointRecord(**record) for record in state["saved"]]
        return cls(saved, {name: CheckpointRecord(**record) for name, record in state["best"].items()})

    def write(self, path: str | Path) -> None:
        """Writes them to a JSON file in one step.

        Raises:
            CheckpointWriteError: that failed; the old file is untouched.
        """
        text = json.dumps(self.state_dict(), indent=2)
        write_whole(Path(path), lambda file: file.write(text.encode()))

    @classmethod
    def read(cls, path: str | Path) -> CheckpointRecords:
        """From a file that :meth:`write` wrote."""
        return cls.from_state(json.loads(Path(path).read_text()))
