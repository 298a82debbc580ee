"""What starts a run again, and what cannot be restored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eng.hooks import Hook

from .code import CodeVersion, file_digest, project_folder
from .facts import FILE, differing, unknown_lines, versions
from .masking import HIDDEN
from .record import CONFIG, PASSPORT, packages
from .runs import Start, package_rows

__all__ = ["Plan", "TellDataHook", "data_lines", "plan_of"]


@dataclass(frozen=True)
class Plan:
    """What starts a run again.

    Args:
        config: its config; None where it cannot be written as text.
        seed: its seed; None where none is recorded.
        folder: from which it was started; None where that is gone.
        checkpoint: that it went on from; None where it began anew, or the file is gone.
        import_folder: that held its config file and the modules beside it; None where that is gone.
        lost: what cannot be restored, as lines.
    """

    config: Path | None
    seed: int | None
    folder: Path | None
    import_folder: Path | None
    checkpoint: Path | None
    lost: list[str]


def plan_of(start: Start) -> Plan:
    """The plan for a start: its config, seed and folders, and what is another here than it was then.

    Args:
        start: of the run.
    """
    passport = start.passport
    config = None
    if (start.folder / CONFIG).is_file():
        config = start.folder / CONFIG
    if config:
        lost = []
    else:
        lost = ["the config: the run was not built from one that can be written as text"]
    seeds = passport.get("seeds")
    seed = None
    if isinstance(seeds, Mapping):
        seed = seeds.get("seed")
    if not isinstance(seed, int):
        seed = None
        lost.append("the seed: none is recorded")
    hidden = passport.get("config")
    if isinstance(hidden, Mapping):
        lost += [f"the value of {key}: it is a secret" for key, value in hidden.items() if HIDDEN in str(value)]
    folder = _existing(str(passport.get("folder") or ""))
    project = _project_of(passport)
    lost += [*_code_lines(passport, project), *_library_lines(passport)]
    checkpoint = _checkpoint_of(start)
    if checkpoint is not None:
        lost += _checkpoint_lines(checkpoint, start)
        checkpoint = checkpoint if checkpoint.exists() else None
    return Plan(config, seed, folder, project if project and project.is_dir() else None, checkpoint, lost)


def _project_of(passport: Mapping[str, Any]) -> Path | None:
    """The folder of a run's config file or script; None where the passport does not tell."""
    config_file, folder = passport.get("config_file"), passport.get("code_folder")
    if config_file:
        return project_folder(str(Path(str(passport.get("folder") or ""), config_file)))
    if folder:
        return Path(str(folder))
    return None


def _checkpoint_of(start: Start) -> Path | None:
    parent = start.passport.get("parent")
    path = parent.get("checkpoint") if isinstance(parent, Mapping) else None
    return Path(str(start.passport.get("folder") or ""), str(path)) if path else None


def _checkpoint_lines(checkpoint: Path, start: Start) -> Iterator[str]:
    if not checkpoint.exists():
        yield f"the checkpoint {checkpoint}, from which the run went on, is gone: it starts anew"
    elif checkpoint.stat().st_mtime > (start.folder / PASSPORT).stat().st_mtime:
        yield f"the checkpoint {checkpoint}, from which the run went on, has been written since"


def data_lines(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What of the training data is another than it was then, or cannot be compared, as lines.

    Args:
        recorded: the passport of the run.
        now: facts of the run that starts, see :func:`eng.runner.passport.run_facts`.
    """
    data = ({"data": facts.get("data")} for facts in (recorded, now))
    return [*(_line(*row) for row in differing(*data)), *unknown_lines(recorded, now)]


class TellDataHook(Hook):
    """Says before the first step what of the training data is another than it was in a run that is started again.

    Args:
        recorded: the passport of that run.
        tell: gets the lines.
    """

    def __init__(self, recorded: Mapping[str, Any], tell: Callable[[list[str]], None]) -> None:
        self._recorded: Mapping[str, Any] | None = recorded
        self._tell = tell

    def before_train(self, runner: Any) -> None:
        """Compares, once."""
        recorded, self._recorded = self._recorded, None
        if recorded is not None and runner.rank == 0:
            self._tell(data_lines(recorded, runner.run_facts()))


def _code_lines(passport: Mapping[str, Any], project: Path | None) -> Iterator[str]:
    """Lines about a revision and source files that are not those of the recorded run."""
    recorded = passport.get("code")
    if not isinstance(recorded, Mapping):
        return
    of_git = {key: value for key, value in recorded.items() if not key.startswith(FILE)}
    if project is not None and of_git.get("revision") is not None:
        answers = CodeVersion(project).as_facts()
        now = {key: value for key, value in answers.items() if key in of_git}
        yield from (_line(*row) for row in differing({"code": of_git}, {"code": now}))
    sources = passport.get("sources")
    for name, path in sources.items() if isinstance(sources, Mapping) else ():
        before, digest = recorded.get(f"{FILE}{name}"), file_digest(Path(str(path)))
        if digest is None:
            yield f"code, {FILE}{name}: {path} is gone"
        elif before != digest:
            yield f"code, {FILE}{name}: {path} has changed ({before} then and {digest} now)"


def _library_lines(passport: Mapping[str, Any]) -> Iterator[str]:
    rows = differing({"versions": passport.get("versions")}, {"versions": versions()})
    yield from (_line(*row) for row in rows)
    named = {_plain(key) for _, key, _, _ in rows}
    if passport.get("packages"):
        others = package_rows(passport["packages"], packages())
        yield from (_line(*row) for row in others if _plain(row[1]) not in named)


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _line(section: str, key: str, before: str, now: str) -> str:
    return f"{section}, {key}: {before} then and {now} now"


def _existing(folder: str) -> Path | None:
    if folder and Path(folder).is_dir():
        return Path(folder)
    return None
