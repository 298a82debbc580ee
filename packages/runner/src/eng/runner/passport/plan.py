"""Plans how ``eng reproduce`` repeats a recorded run, and lists the inputs of the run that cannot be restored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eng.hooks import Hook
from eng.logging.starts import PASSPORT

from .code import CodeVersion, file_digest, project_folder
from .facts import FILE, as_mapping, differing, unknown_lines, versions
from .masking import HIDDEN
from .record import CONFIG, packages
from .runs import Start, package_rows

__all__ = ["Plan", "TellDataHook", "data_lines", "plan_of"]


@dataclass(frozen=True)
class Plan:
    """The inputs with which ``eng reproduce`` starts a recorded run again.

    Args:
        config: path of the recorded config; None if the config could not be written as text.
        seed: the recorded seed; None if none is recorded.
        folder: working directory of the recorded run; None if the directory does not exist any more.
        import_folder: folder of the recorded run's config file, from which the config imports modules; None if the
            folder does not exist any more.
        checkpoint: checkpoint from which the recorded run was resumed; None if that run was not resumed, or if the file
            does not exist any more.
        lost: a line of text for each input that cannot be restored or has changed.
    """

    config: Path | None
    seed: int | None
    folder: Path | None
    import_folder: Path | None
    checkpoint: Path | None
    lost: list[str]


def plan_of(start: Start) -> Plan:
    """Plans how a recorded run is repeated, and compares the recorded code and libraries with the present ones.

    Args:
        start: one launch of a run, read from its folder.
    """
    passport, lost = start.passport, []
    config: Path | None = start.folder / CONFIG
    if not (start.folder / CONFIG).is_file():
        config = None
        lost.append("the config: the run was not built from one that can be written as text")
    seed = as_mapping(passport.get("seeds")).get("seed")
    if not isinstance(seed, int):
        seed = None
        lost.append("the seed: none is recorded")
    settings = as_mapping(passport.get("config")).items()
    lost += [f"the value of {key}: it is a secret" for key, value in settings if HIDDEN in str(value)]
    project = _project_of(passport)
    lost += [*_code_lines(passport, project), *_library_lines(passport)]
    checkpoint = _checkpoint_of(passport)
    if checkpoint is not None:
        lost += _checkpoint_lines(checkpoint, start)
        if not checkpoint.exists():
            checkpoint = None
    return Plan(
        config=config,
        seed=seed,
        folder=_existing_folder(_folder_of(passport)),
        import_folder=_existing_folder(project),
        checkpoint=checkpoint,
        lost=lost,
    )


def _folder_of(passport: Mapping[str, Any]) -> Path | None:
    """Returns the working directory of a recorded run; None if the passport does not contain the directory."""
    folder = passport.get("folder")
    if folder:
        return Path(str(folder))
    return None


def _project_of(passport: Mapping[str, Any]) -> Path | None:
    """Returns the folder of a recorded run's config file or script; None if the passport contains neither."""
    config_file, code_folder = passport.get("config_file"), passport.get("code_folder")
    if config_file:
        return project_folder(str(Path(_folder_of(passport) or "", str(config_file))))
    if code_folder:
        return Path(str(code_folder))
    return None


def _checkpoint_of(passport: Mapping[str, Any]) -> Path | None:
    """Returns the checkpoint from which a recorded run was resumed; None if the run was not resumed."""
    checkpoint = as_mapping(passport.get("parent")).get("checkpoint")
    if checkpoint:
        return Path(_folder_of(passport) or "", str(checkpoint))
    return None


def _existing_folder(folder: Path | None) -> Path | None:
    """Returns a folder if it exists, otherwise None."""
    if folder is not None and folder.is_dir():
        return folder
    return None


def _checkpoint_lines(checkpoint: Path, start: Start) -> Iterator[str]:
    """Yields a line if the checkpoint does not exist any more, or was written after the recorded run had begun."""
    if not checkpoint.exists():
        yield f"the checkpoint {checkpoint}, from which the run went on, is gone: it starts anew"
    elif checkpoint.stat().st_mtime > (start.folder / PASSPORT).stat().st_mtime:
        yield f"the checkpoint {checkpoint}, from which the run went on, has been written since"


def data_lines(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Returns a line of text for each difference between the training data of a recorded run and of a new run.

    Data that cannot be compared also get a line.

    Args:
        recorded: passport of the recorded run.
        now: facts of the new run, see :func:`eng.runner.passport.run_facts`.
    """
    data = ({"data": facts.get("data")} for facts in (recorded, now))
    return [*(_line(*row) for row in differing(*data)), *unknown_lines(recorded, now)]


class TellDataHook(Hook):
    """Reports before training how the training data differ from the training data of the recorded run.

    Args:
        recorded: passport of the recorded run.
        tell: called with the lines.
    """

    def __init__(self, recorded: Mapping[str, Any], tell: Callable[[list[str]], None]) -> None:
        self._recorded: Mapping[str, Any] | None = recorded
        self._tell = tell

    def before_train(self, runner: Any) -> None:
        """Compares the data; a second training of the same Runner compares nothing."""
        recorded, self._recorded = self._recorded, None
        if recorded is not None and runner.rank == 0:
            self._tell(data_lines(recorded, runner.run_facts()))


def _code_lines(passport: Mapping[str, Any], project: Path | None) -> Iterator[str]:
    """Yields lines about a git revision and source files that differ from the recorded run's."""
    recorded = as_mapping(passport.get("code"))
    if not recorded:
        return
    of_git = {key: value for key, value in recorded.items() if not key.startswith(FILE)}
    if project is not None and of_git.get("revision") is not None:
        answers = CodeVersion(project).as_facts()
        now = {key: value for key, value in answers.items() if key in of_git}
        yield from (_line(*row) for row in differing({"code": of_git}, {"code": now}))
    for name, path in as_mapping(passport.get("sources")).items():
        before, digest = recorded.get(f"{FILE}{name}"), file_digest(Path(str(path)))
        if digest is None:
            yield f"code, {FILE}{name}: {path} is gone"
        elif before != digest:
            yield f"code, {FILE}{name}: {path} has changed ({before} then and {digest} now)"


def _library_lines(passport: Mapping[str, Any]) -> Iterator[str]:
    """Yields a line for each library or installed package whose version differs from that in the run's passport."""
    rows = differing({"versions": passport.get("versions")}, {"versions": versions()})
    yield from (_line(*row) for row in rows)
    named = {_plain(key) for _, key, _, _ in rows}
    if passport.get("packages"):
        changed = package_rows(passport["packages"], packages())
        # A row is (section, name, recorded version, present version). A library is an installed package too, and is not
        # reported twice.
        yield from (_line(*row) for row in changed if _plain(row[1]) not in named)


def _plain(name: str) -> str:
    """Returns a package name in lower case and with hyphens, so that two spellings of one package are equal."""
    return name.lower().replace("_", "-")


def _line(section: str, key: str, before: str, now: str) -> str:
    return f"{section}, {key}: {before} then and {now} now"
