"""Maps module paths of MMEngine to modules of eng."""

from __future__ import annotations

ALIAS = "mmengine"

# Key: a module path of MMEngine. Value: the module of eng with the same contents but another name.
_PLACES = {
    "mmengine": "eng.compat.toplevel",
    "mmengine.utils": "eng.compat.utils",
    "mmengine.version": "eng.compat.version",
    "mmengine._strategy": "eng.compat.strategies",
    "mmengine.runner._flexible_runner": "eng.compat.flexible_runner",
    # Modules of MMEngine whose contents are spread over several modules of eng, or that exist only in eng-compat.
    **{
        f"mmengine._strategy.{name}": "eng.compat.strategies.kinds"
        for name in ("colossalai", "distributed", "fsdp", "single_device")
    },
    "mmengine.analysis.jit_analysis": "eng.compat.legacy.jit_analysis",
    "mmengine.analysis.jit_handles": "eng.compat.legacy.jit_handles",
    "mmengine.config.utils": "eng.compat.legacy.config_utils",
    "mmengine.hooks.test_time_aug_hook": "eng.hooks.prepare_tta_hook",
    "mmengine.registry.build_functions": "eng.registry._build",
    "mmengine.registry.default_scope": "eng.registry._scope",
    "mmengine.registry.registry": "eng.registry._registry",
    "mmengine.registry.root": "eng.registry._root",
    "mmengine.registry.utils": "eng.registry._report",
    "mmengine.testing._internal": "eng.compat.legacy.testing_internal",
    "mmengine.testing._internal.distributed": "eng.compat.legacy.testing_internal.distributed",
}
# Submodules of these two packages are in the package that replaces them. All other paths map to `eng.<same path>`.
_OWN = ("mmengine.utils", "mmengine._strategy")


def target_of(name: str) -> str:
    """Returns the name of the module of eng for a module path of MMEngine.

    Example:
        >>> target_of("mmengine.hooks.hook"), target_of("mmengine.utils.path"), target_of("mmengine")
        ('eng.hooks.hook', 'eng.compat.utils.path', 'eng.compat.toplevel')
    """
    if name in _PLACES:
        return _PLACES[name]
    for package in _OWN:
        if name.startswith(f"{package}."):
            return _PLACES[package] + name[len(package) :]
    return "eng" + name[len(ALIAS) :]


def is_moved(name: str) -> bool:
    """Whether the module at a module path of MMEngine has another name in eng."""
    return name in _PLACES
