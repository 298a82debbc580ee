"""What a failed build adds to the error of a constructor: the nodes of the config around it, as a note (PEP 678)."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ._nodes import key_path_to
from .errors import BuildNode


def build_chain(error: BaseException) -> tuple[BuildNode, ...]:
    """The nodes that were being built when `error` was raised, from the outermost to the one that failed.

    Args:
        error: any exception; one that no build let through has none.

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
    """Notes on `error` that `node` was being built; an error of a node below it gets one note for both.

    Args:
        error: the error of the constructor, which stays as it is.
        node: the node around the failure.
        hints: what arguments that the class does not take may have meant; of the innermost node.
    """
    chain = list(build_chain(error))
    before = None
    if chain:
        before = _text(chain, getattr(error, "build_hints", ()))
    if chain:
        _join_paths(chain, node)
    else:
        error.build_hints = tuple(hints)  # type: ignore[attr-defined]  # errors of others carry it along
    chain.insert(0, node)
    error.build_chain = chain  # type: ignore[attr-defined]  # as above
    _replace_note(error, before, _text(chain, getattr(error, "build_hints", ())))


def _join_paths(chain: list[BuildNode], node: BuildNode) -> None:
    """Puts the path of `node` in front of those of the nodes below it."""
    below = key_path_to(chain[0].cfg, node.cfg)
    old = chain[0].path
    for inner in chain if below else ():
        if inner.path == old or inner.path.startswith((f"{old}.", f"{old}[")):
            inner.path = f"{node.path}{below}{inner.path[len(old) :]}"


def _text(chain: Sequence[BuildNode], hints: Sequence[str]) -> str:
    *outer, failed = chain
    lines = [f"while building {failed}", *(f"  {hint}" for hint in hints)]
    return "\n".join([*lines, *(f"  inside {node}" for node in reversed(outer))])


def _replace_note(error: BaseException, before: str | None, text: str) -> None:
    if sys.version_info < (3, 11):  # notes are shown from 3.11 on: before, the text stands in the message
        old_message = None
        if error.args and isinstance(error.args[0], str):
            old_message = error.args[0]
        if old_message is not None:
            bare_message = old_message.removesuffix(f"\n{before}")
            error.args = (f"{bare_message}\n{text}", *error.args[1:])
        return
    notes = getattr(error, "__notes__", [])
    if before in notes:
        notes.remove(before)
    error.add_note(text)
