"""Checks the configs that a library ships, as a run would before it starts, and prints what was found as JSON.

    python -m eng.compat check_configs.py LIBRARY FILE... [--typos N --types T --files M --seed S]

With ``--typos`` it also puts N one-character slips into keys drawn from M of the library's configs, and with ``--types``
T wrong names at types drawn from them: other case, swapped letters, invented names. It prints those that the check misses.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import inspect
import json
import logging
import random
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from libraries import BY_PACKAGE, Library

LETTERS = "qwertyuiopasdfghjklzxcvbnm_"


def load(files: list[Path]) -> Iterator[tuple[Path, Any]]:
    """Every config that can be loaded and describes a training run, with its lazy names imported."""
    from eng.config import Config

    for file in files:
        with contextlib.suppress(Exception):  # test_configs.py looks into these
            cfg = Config.fromfile(file)
            if {"model", "train_dataloader", "train_cfg"} <= set(cfg):
                cfg.to_dict()  # imports what the config names
                yield file, cfg


def refused_and_hinted(library: Library, files: list[Path]) -> dict[str, Any]:
    """What the check says of the configs."""
    from eng.registry import check
    from eng.runner.schema import SCHEMA

    refused, hints, names = {}, {}, set()
    for file, cfg in load(files):
        try:
            findings = check(cfg, SCHEMA)
        except ImportError as error:
            if not lacks_a_package(error):
                raise
            continue
        name = file.relative_to(library.root / library.configs).as_posix()
        names.add(name)
        certain = [str(finding) for finding in findings if finding.is_certain]
        told = sorted({finding.path for finding in findings if not finding.is_certain})
        refused.update({name: certain} if certain else {})
        hints.update({name: told} if told else {})
    every = {file.relative_to(library.root / library.configs).as_posix() for file in files}
    return {"count": len(names), "refused": refused, "hints": hints, "unreadable": sorted(every - names)}


def lacks_a_package(error: BaseException | None) -> bool:
    """Whether an import failed because a package is not installed here, or not in the version that a library needs."""
    while error is not None:
        name = (getattr(error, "name", None) or "eng").partition(".")[0]
        if name not in ("eng", "mmengine"):
            return True
        error = error.__cause__
    return False


def typos(library: Library, number: int, num_types: int, num_files: int, seed: int) -> dict[str, Any]:
    """Slips in keys and wrong types that are drawn from the parts of some configs, and which of them the check finds."""
    draw = random.Random(seed)
    configs = drawn_configs(library, num_files, draw)
    return {
        "typos": counted([one_typo(draw.choice(configs), draw) for _ in range(number)]),
        "types": counted([one_wrong_type(draw.choice(configs), draw) for _ in range(num_types)]),
    }


def drawn_configs(
    library: Library, num_files: int, draw: random.Random
) -> list[tuple[Path, dict[str, Any], set[tuple[str, str]]]]:
    """Some configs of a library, each with what the check says of it."""
    from eng.registry import check
    from eng.runner.schema import SCHEMA

    files = library.config_files()
    draw.shuffle(files)
    configs = []
    for file, cfg in load(files):
        plain = cfg.to_dict()
        configs.append((file, plain, {(finding.path, finding.message) for finding in check(plain, SCHEMA)}))
        if len(configs) == num_files:
            break
    return configs


def counted(tried: list[dict[str, Any]]) -> dict[str, Any]:
    """Typos at eng's own parts and at others, and those of them that were missed."""
    return {
        "number": len(tried),
        "ours": sum(each["is_ours"] for each in tried),
        "missed_ours": [each for each in tried if each["is_ours"] and not each["found"]],
        "others": sum(not each["is_ours"] for each in tried),
        "missed_others": [each for each in tried if not each["is_ours"] and not each["found"]],
    }


def one_typo(config: tuple[Path, dict[str, Any], set[tuple[str, str]]], draw: random.Random) -> dict[str, Any]:
    from eng.registry import check
    from eng.runner.schema import SCHEMA

    file, cfg, before = config
    node, key, path, is_ours = draw.choice(list(keys_of_parts(cfg)))
    slip = slip_in(key, set(node), draw)
    items = list(node.items())
    node.clear()
    node.update((slip if name == key else name, value) for name, value in items)
    after = {(finding.path, finding.message) for finding in check(cfg, SCHEMA)}
    node.clear()
    node.update(items)
    return {"file": file.name, "path": path, "slip": slip, "is_ours": is_ours, "found": bool(after - before)}


def one_wrong_type(config: tuple[Path, dict[str, Any], set[tuple[str, str]]], draw: random.Random) -> dict[str, Any]:
    """A type of a config replaced by a name that nobody registered."""
    from eng.registry import check
    from eng.runner.schema import SCHEMA

    file, cfg, before = config
    nodes = [entry for entry in keys_of_parts(cfg) if entry[1] == "type" and isinstance(entry[0]["type"], str)]
    node, _, path, is_ours = draw.choice(nodes)
    right = node["type"]
    node["type"] = wrong_type(right, draw)
    after = {(finding.path, finding.message) for finding in check(cfg, SCHEMA)}
    wrong, node["type"] = node["type"], right
    return {
        "file": file.name,
        "path": path,
        "slip": f"{right} -> {wrong}",
        "is_ours": is_ours,
        "found": bool(after - before),
    }


def wrong_type(right: str, draw: random.Random) -> str:
    """The name in another case, with two letters swapped, or an invented one; its scope or module stays."""
    scope, dot, name = right.rpartition(".")
    syllables = "".join(draw.choice("bdfgklmnprstvz") + draw.choice("aeiou") for _ in range(draw.randint(2, 4)))
    at = draw.randrange(max(len(name) - 1, 1))
    swapped = name[:at] + name[at + 1 : at + 2] + name[at : at + 1] + name[at + 2 :]
    ways = [name.lower(), name.upper(), name.capitalize(), swapped, swapped, syllables.capitalize()]
    return scope + dot + draw.choice([way for way in ways if way != name])


DEFAULT_HOOKS = ("runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint")


def keys_of_parts(cfg: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, str, bool]]:
    """Each key with a meaning: its mapping, itself, the way to it, and whether it belongs to a part of eng."""
    from eng.runner.schema import SCHEMA

    scope = str(cfg.get("default_scope"))
    for key, value in cfg.items():
        if key in SCHEMA.keys:
            yield cfg, key, key, True
            is_ours = key not in ("model", "tta_model", "data_preprocessor")
            yield from _keys_below(value, key, scope, is_ours=is_ours and "constructor" not in str(value))


def _keys_below(node: Any, path: str, scope: str, *, is_ours: bool) -> Iterator[tuple[dict[str, Any], str, str, bool]]:
    if isinstance(node, dict):
        if path.endswith("custom_keys"):  # their names are parts of the model's parameters
            for key, value in node.items():
                yield from _keys_below(value, f"{path}.{key}", scope, is_ours=is_ours)
            return
        is_ours = is_part_of_eng(node["type"], scope) if "type" in node else is_ours
        for key, value in node.items():
            # A hook beside the default ones may have any name.
            is_free = path == "default_hooks" and key not in DEFAULT_HOOKS
            if isinstance(key, str) and not is_free:
                yield node, key, f"{path}.{key}", is_ours
            yield from _keys_below(value, f"{path}.{key}", scope, is_ours=is_ours and "type" not in node)
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from _keys_below(value, f"{path}[{index}]", scope, is_ours=is_ours)


def is_part_of_eng(kind: Any, scope: str) -> bool:
    """Whether a type names a class or function of eng, in a root registry.

    A library may have one of the same name in its scope; what a root registry takes from another library is not eng's.
    """
    from eng.registry._root import ROOT_REGISTRIES

    if isinstance(kind, str):
        if any(kind in root.children[scope].module_dict for root in ROOT_REGISTRIES if scope in root.children):
            return False
        kind = next((found for root in ROOT_REGISTRIES if (found := root.module_dict.get(kind)) is not None), None)
    is_code = inspect.isclass(kind) or inspect.isroutine(kind)
    return is_code and kind.__module__.startswith("eng.")


def slip_in(word: str, taken: set[str], draw: random.Random) -> str:
    """The word with one letter missing, replaced, too many, or swapped with its neighbour."""
    while True:
        at, letter = draw.randrange(len(word)), draw.choice(LETTERS)
        ways = (
            word[:at] + word[at + 1 :],
            word[:at] + letter + word[at + 1 :],
            word[:at] + letter + word[at:],
            word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :],
        )
        slip = draw.choice(ways)
        if slip and slip != word and slip not in taken:
            return slip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("library")
    parser.add_argument("configs", nargs="*", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--typos", type=int)
    parser.add_argument("--types", type=int, default=0)
    parser.add_argument("--files", type=int, default=40)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    library = BY_PACKAGE[args.library]
    with contextlib.suppress(Exception):  # a part that needs another library is no part of this check
        importlib.import_module(f"{args.library}.utils").register_all_modules(False)
    result = refused_and_hinted(library, args.configs)
    if args.typos and result["count"]:
        result |= typos(library, args.typos, args.types, args.files, args.seed)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
