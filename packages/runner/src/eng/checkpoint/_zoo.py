"""Tables of weights by name: torchvision's, and model zoos of plug-ins or of the user."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path

from eng.logging.near_names import suggest

__all__ = ["get_external_models", "get_mmcls_models", "get_torchvision_models", "zoo_home"]

_GROUP = "eng.model_zoo"
# Names of weights in torchvision before version 0.13, which older configs use, and today's names of these weights.
_OLD_TORCHVISION_NAMES = {
    "inception_v3_google": "inception_v3",
    **{f"shufflenetv2_x{size}": f"shufflenet_v2_x{size.replace('.', '_')}" for size in ("0.5", "1.0", "1.5", "2.0")},
}


def zoo_home() -> Path:
    """Returns the folder of the user's tables of weights, JSON files that map names to addresses.

    The environment variable ``ENG_HOME`` or, if it is not set, ``MMENGINE_HOME`` names the folder. If neither is set,
    the folder is ``mmengine`` in the user's cache folder (``XDG_CACHE_HOME``, by default ``~/.cache``).
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"))
    home = os.environ.get("ENG_HOME") or os.environ.get("MMENGINE_HOME") or cache / "mmengine"
    return Path(home).expanduser()


def get_torchvision_models() -> dict[str, str]:
    """Returns the download addresses of torchvision's weights by name.

    ``resnet50`` names the weights of ResNet-50 that were published first, ``resnet50.default`` the newest ones. Other
    weights are named by their version, as ``ResNet50_Weights.IMAGENET1K_V1`` or ``resnet50.imagenet1k_v1``.

    Raises:
        ModuleNotFoundError: torchvision is not installed.
    """
    try:
        from torchvision import models  # type: ignore[import-not-found,unused-ignore]  # optional
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("names of torchvision's weights need torchvision; pip install torchvision") from error
    urls: dict[str, str] = {}
    for name in models.list_models():
        weights = models.get_model_weights(name)
        for weight in weights:
            urls[str(weight)] = weight.url
            urls[f"{name}.{weight.name.lower()}"] = weight.url
        urls[f"{name}.default"] = weights.DEFAULT.url
        # As in MMEngine, the name of a model without a version means the weights of the model that were published
        # first.
        urls[name] = next(iter(weights)).url
    for old, new in _OLD_TORCHVISION_NAMES.items():
        urls[old] = urls[new]
    return urls


def get_external_models() -> dict[str, str]:
    """Returns the download addresses of the weights that configs call ``open-mmlab://NAME``, by NAME.

    The addresses come from plug-ins and from the file ``open_mmlab.json`` in the folder :func:`zoo_home`. A plug-in is
    an entry point of the group ``eng.model_zoo``: a mapping, or a function that returns a mapping.
    """
    return {**_from_plugins("openmmlab"), **_from_file("open_mmlab.json")}


def renamed_models() -> dict[str, str]:
    """Returns the download addresses of weights whose name behind ``open-mmlab://`` has changed, by their older name.

    The addresses come from plug-ins (entry points of the group ``eng.model_zoo``) with the name ``openmmlab.renamed``.
    """
    table = get_external_models()
    return {old: table[new] for old, new in _from_plugins("openmmlab.renamed").items() if new in table}


def get_mmcls_models() -> dict[str, str]:
    """Returns the download addresses of the weights that configs call ``mmcls://NAME``, by NAME.

    The addresses come from plug-ins and from the file ``mmcls.json`` in the folder :func:`zoo_home`.
    """
    return {**_from_plugins("mmcls"), **_from_file("mmcls.json")}


def address(name: str, table: Mapping[str, str], source: str) -> str:
    """Looks up the download address of the weights `name` in a table.

    Args:
        name: name of the weights.
        table: maps names of weights to addresses.
        source: name of the table, for the error message.

    Raises:
        KeyError: the table has no such name.
    """
    if name in table:
        return table[name]
    hint = suggest(name, table, otherwise=f"; {len(table)} names are known")
    raise KeyError(f"{source} has no weights called {name!r}{hint}")


def _from_plugins(name: str) -> dict[str, str]:
    """Returns the addresses in the plug-ins `name`: entry points that are mappings, or functions that return one."""
    addresses: dict[str, str] = {}
    for point in entry_points(group=_GROUP):
        if point.name == name:
            table = point.load()
            if callable(table):
                table = table()
            addresses.update(table)
    return addresses


def _from_file(filename: str) -> dict[str, str]:
    """Returns the addresses in a JSON file of the folder :func:`zoo_home`; an empty dict if there is no such file."""
    path = zoo_home() / filename
    if not path.is_file():
        return {}
    table = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(table, dict):
        raise ValueError(f"{path} must hold an object of names and addresses")
    return table
