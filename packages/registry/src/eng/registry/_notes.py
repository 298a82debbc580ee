"""Adds a note (PEP 678) to the exception of a failed build that names the config mappings around the failure."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ._nodes import key_path_to
from .errors import BuildNode


def build_chain(error: BaseException) -> tuple[BuildNode, ...]:
    """Returns the config mappings that were being built when an exception was raised, outermost first.

    Args:
        error: any exception; the result is empty if it was not raised during a build.

    Examples:
        >>> from eng.registry import Registry
        >>> try:
        ...     Registry("tool", scope="example").build(dict(type="builtins.complex", real="one"))
        ... except ValueError as error:
        ...     print(*build_chain(error))
        tool → builtins.complex(real='one')
    """
    return tuple(getattr(error, "build_chain", ()))


def note_failure(error: Exception, node: BuildNode, hints: Sequence[str] = ()) -> None:
    """Adds a note to an exception, which names the config mapping that was being built when the exception was raised.

    A mapping may be built inside the build of another mapping. The exception then passes through several builds, and
    each call replaces the note by a longer one, so that a single note lists all mappings.

    Args:
        error: the exception of the constructor.
        node: the config mapping whose build failed.
        hints: suggestions for arguments that the class does not accept. They are used only at the first call for an
            exception, which is that of the innermost mapping.
    """
    chain = list(build_chain(error))
    old_note = None
    if chain:
        old_note = _note_text(chain, getattr(error, "build_hints", ()))
        _join_paths(chain, node)
    else:
        error.build_hints = tuple(hints)  # type: ignore[attr-defined]  # every exception accepts additional attributes
    chain.insert(0, node)
    error.build_chain = chain  # type: ignore[attr-defined]  # every exception accepts additional attributes
    _replace_note(error, old_note, _note_text(chain, getattr(error, "build_hints", ())))


def _join_paths(chain: list[BuildNode], node: BuildNode) -> None:
    """Changes the paths of the inner config mappings in `chain` so that they start at the outer mapping `node`.

    For example ``"backbone.stem"`` becomes ``"model.backbone.stem"``, if the outer mapping has the path ``"model"``.
    """
    keys = key_path_to(chain[0].cfg, node.cfg)
    if not keys:
        return
    old_root = chain[0].path
    for inner in chain:
        if inner.path == old_root or inner.path.startswith((f"{old_root}.", f"{old_root}[")):
            inner.path = f"{node.path}{keys}{inner.path[len(old_root) :]}"


def _note_text(chain: Sequence[BuildNode], hints: Sequence[str]) -> str:
    """Returns the text of the note: the mapping whose build failed, the hints, and the mappings around it."""
    *outer, failed = chain
    lines = [f"while building {failed}", *(f"  {hint}" for hint in hints)]
    return "\n".join([*lines, *(f"  inside {node}" for node in reversed(outer))])


def _replace_note(error: BaseException, old_note: str | None, note: str) -> None:
    """Replaces the note `old_note` of an exception by `note`; None adds `note`."""
    # Tracebacks show notes from Python 3.11 on; on 3.10 the note is appended to the message.
    if sys.version_info < (3, 11):
        if error.args and isinstance(error.args[0], str):
            message = error.args[0].removesuffix(f"\n{old_note}")
            error.args = (f"{message}\n{note}", *error.args[1:])
        return
    notes = getattr(error, "__notes__", [])
    if old_note in notes:
        notes.remove(old_note)
    error.add_note(note)
