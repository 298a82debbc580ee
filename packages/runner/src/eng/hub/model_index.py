"""Read the index of the models that an installed library publishes: ``model-index.yml`` and the metafiles it lists.

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

# Where a library has its model index, relative to its package folder. The first two paths are those of an installed
# library, the last is that of a source checkout.
_PLACES = (".mim/model-index.yml", "model-index.yml", "../model-index.yml")
# Where a library has its configs, relative to its package folder. The first two paths are those of an installed
# library, the last is that of a source checkout.
_CONFIGS = (".mim/configs", "configs", "../configs")


@dataclass(frozen=True)
class ModelEntry:
    """A model that a library publishes.

    Args:
        name: name of the model.
        aliases: further names of the model.
        config: path of the model's config file.
        weights: path or URL of the model's checkpoint; None if no checkpoint is published.
    """

    name: str
    aliases: tuple[str, ...]
    config: Path
    weights: str | None


def list_model_entries(package: str) -> tuple[ModelEntry, ...]:
    """Returns all models that a library publishes.

    Args:
        package: import name of the library, such as ``"mmpretrain"``.

    Raises:
        ModuleNotFoundError: the library is not installed.
        FileNotFoundError: the library has no model index.
    """
    return _entries(str(index_file(package)))


def find_model(package: str, name: str) -> ModelEntry:
    """Looks up a published model by its name or an alias.

    Raises:
        KeyError: the library publishes no such model; the message suggests similar names.
    """
    by_name = {key: entry for entry in list_model_entries(package) for key in (entry.name, *entry.aliases)}
    if name not in by_name:
        hint = suggest(name, by_name, otherwise=f"; it publishes {len(by_name)} models")
        raise KeyError(f"{package} publishes no model {name!r}{hint}")
    return by_name[name]


class UnknownLibraryError(ModuleNotFoundError, ValueError):
    """A library is not installed.

    The error is a ValueError too, because MMEngine raises a ValueError for an unknown library.
    """


def package_folder(package: str) -> Path:
    """Returns the package folder of an installed library.

    Raises:
        UnknownLibraryError: the library is not installed (a ModuleNotFoundError and a ValueError).
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UnknownLibraryError(f"the library {package!r} is not installed here", name=package)
    return Path(next(iter(spec.submodule_search_locations)))


def index_file(package: str) -> Path:
    """Returns the path of a library's model index.

    Raises:
        FileNotFoundError: the library has no model index.
    """
    folder = package_folder(package)
    for relative in _PLACES:
        if (folder / relative).is_file():
            return (folder / relative).resolve()
    raise FileNotFoundError(f"{package} has no model index: looked for {', '.join(_PLACES)} in {folder}")


def config_file(package: str, relative: str) -> Path:
    """Returns the path of a config that is part of a library.

    Args:
        package: import name of the library.
        relative: path of the config in the library's folder ``configs``; ``.py`` may be left out.

    Raises:
        ModuleNotFoundError: the library is not installed.
        FileNotFoundError: the library has no such config; the message suggests similar names.
    """
    folder = package_folder(package)
    roots = [(folder / configs).resolve() for configs in _CONFIGS if (folder / configs).is_dir()]
    if not roots:
        raise FileNotFoundError(f"{package} ships no configs: looked for {', '.join(_CONFIGS)} in {folder}")
    wanted = relative
    if not Path(relative).suffix:
        wanted = f"{relative}.py"
    for root in roots:
        if (root / wanted).is_file():
            return root / wanted
    there = [path.relative_to(root).as_posix() for root in roots for path in root.rglob("*.py")]
    hint = suggest(wanted, there, otherwise=f"; there are {len(there)} in {roots[0]}")
    raise FileNotFoundError(f"{package} has no config {wanted!r}{hint}")


# The result is cached: reading the index of a library with 80 metafiles takes a second, and the index of an installed
# library does not change.
@lru_cache(maxsize=16)
def _entries(index: str) -> tuple[ModelEntry, ...]:
    root = Path(index).parent
    metafiles = load(index).get("Import", [])
    return tuple(entry for metafile in metafiles for entry in _entries_of(root, root / metafile))


def _entries_of(root: Path, metafile: Path) -> Iterator[ModelEntry]:
    """Yields the models in a metafile, one of the YAML files of a model index; models without a config are left out.

    Args:
        root: folder of the model index, to which the paths of configs are relative.
        metafile: path of the metafile.

    Raises:
        ValueError: a model in the metafile has a config but no name.
    """
    models: Any = load(str(metafile))
    # A metafile is either a list of models or a mapping with the list under "Models".
    if isinstance(models, dict):
        models = models.get("Models")
    for model in models or ():
        if "Config" not in model:
            continue
        if "Name" not in model:
            raise ValueError(f"{metafile}: a model has a Config ({model['Config']}) and no Name")
        aliases = model.get("Alias", ())
        if isinstance(aliases, str):
            aliases = (aliases,)
        yield ModelEntry(
            name=model["Name"],
            aliases=tuple(aliases),
            config=root / model["Config"],
            weights=model.get("Weights"),
        )
