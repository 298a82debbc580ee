"""The models that an installed library publishes: its ``model-index.yml`` and the metafiles that it names.

Source of the format: https://modelindex.com.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from eng.fileio import load
from eng.logging.near_names import suggest

# Where a library keeps its index: beside its code once installed, or one level up in a checkout.
_PLACES = (".mim/model-index.yml", "model-index.yml", "../model-index.yml")
# Its configs likewise.
_CONFIGS = (".mim/configs", "configs", "../configs")


@dataclass(frozen=True)
class ModelEntry:
    """One published model.

    Args:
        name: by which users ask for it.
        aliases: other names for it.
        config: its config file.
        weights: path or URL of its checkpoint; None where none is published.
    """

    name: str
    aliases: tuple[str, ...]
    config: Path
    weights: str | None


def list_model_entries(package: str) -> tuple[ModelEntry, ...]:
    """All models that a library publishes.

    Args:
        package: import name of the library, such as ``"mmpretrain"``.

    Raises:
        ModuleNotFoundError: it is not installed.
        FileNotFoundError: it has no model index.
    """
    return _entries(str(index_file(package)))


def find_model(package: str, name: str) -> ModelEntry:
    """A published model by its name or alias.

    Raises:
        KeyError: the library publishes no such model; near names are given.
    """
    by_name = {key: entry for entry in list_model_entries(package) for key in (entry.name, *entry.aliases)}
    if name not in by_name:
        hint = suggest(name, by_name, otherwise=f"; it publishes {len(by_name)} models")
        raise KeyError(f"{package} publishes no model {name!r}{hint}")
    return by_name[name]


class UnknownLibraryError(ModuleNotFoundError, ValueError):
    """A library that is not installed; MMEngine raises a ValueError where it knows no such library."""


def package_folder(package: str) -> Path:
    """Folder of an installed library.

    Raises:
        UnknownLibraryError: it is not installed (a ModuleNotFoundError and a ValueError).
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UnknownLibraryError(f"the library {package!r} is not installed here", name=package)
    return Path(next(iter(spec.submodule_search_locations)))


def index_file(package: str) -> Path:
    """The model index of a library.

    Raises:
        FileNotFoundError: it has none.
    """
    folder = package_folder(package)
    for relative in _PLACES:
        if (folder / relative).is_file():
            return (folder / relative).resolve()
    raise FileNotFoundError(f"{package} has no model index: looked for {', '.join(_PLACES)} in {folder}")


def config_file(package: str, relative: str) -> Path:
    """A config that a library ships.

    Args:
        package: import name of the library.
        relative: path below the library's ``configs``; ``.py`` may be left out.

    Raises:
        ModuleNotFoundError: the library is not installed.
        FileNotFoundError: it has no such config; near names are given.
    """
    folder = package_folder(package)
    roots = [(folder / configs).resolve() for configs in _CONFIGS if (folder / configs).is_dir()]
    if not roots:
        raise FileNotFoundError(f"{package} ships no configs: looked for {', '.join(_CONFIGS)} in {folder}")
    wanted = relative if Path(relative).suffix else f"{relative}.py"
    for root in roots:
        if (root / wanted).is_file():
            return root / wanted
    there = [path.relative_to(root).as_posix() for root in roots for path in root.rglob("*.py")]
    hint = suggest(wanted, there, otherwise=f"; there are {len(there)} in {roots[0]}")
    raise FileNotFoundError(f"{package} has no config {wanted!r}{hint}")


# A library of 80 metafiles takes a second to read, and does not change while it is installed.
@lru_cache(maxsize=16)
def _entries(index: str) -> tuple[ModelEntry, ...]:
    root = Path(index).parent
    metafiles = load(index).get("Import", [])
    return tuple(entry for metafile in metafiles for entry in _entries_of(root, root / metafile))


def _entries_of(root: Path, metafile: Path) -> Iterator[ModelEntry]:
    """The models that a metafile lists and that have a config."""
    content: Any = load(str(metafile))
    # A metafile is a list of models, or a mapping with that list.
    models = content.get("Models") if isinstance(content, dict) else content
    for model in models or ():
        if "Config" not in model:
            continue
        if "Name" not in model:
            raise ValueError(f"{metafile}: a model has a Config ({model['Config']}) and no Name")
        aliases = model.get("Alias", ())
        yield ModelEntry(
            name=model["Name"],
            aliases=(aliases,) if isinstance(aliases, str) else tuple(aliases),
            config=root / model["Config"],
            weights=model.get("Weights"),
        )
