"""Which module of eng stands behind a module path of MMEngine."""

from __future__ import annotations

ALIAS = "mmengine"

# Paths whose module has another name or place in eng. The longest matching prefix counts.
_PLACES = {
    "mmengine": "eng.compat.toplevel",
    "mmengine.utils": "eng.compat.utils",
    "mmengine.version": "eng.compat.version",
    "mmengine._strategy": "eng.compat.strategies",
    "mmengine.runner._flexible_runner": "eng.compat.flexible_runner",
}
# Everything below these stays below them; everything below the others goes to `eng.<the same path>`.
_OWN = ("mmengine.utils", "mmengine._strategy")


def target_of(name: str) -> str:
    """The module of eng behind a module path of MMEngine.

    Example:
        >>> target_of("mmengine.hooks.hook"), target_of("mmengine.utils.path"), target_of("mmengine")
        ('eng.hooks.hook', 'eng.compat.utils.path', 'eng.compat.toplevel')
    """
    if name in _PLACES:
        return _PLACES[name]
    for own in _OWN:
        if name.startswith(f"{own}."):
            return _PLACES[own] + name[len(own) :]
    return "eng" + name[len(ALIAS) :]
