"""What looks wrong below code that nobody here wrote, until the words of that code are asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from .._nearness import closest, did_you_mean, is_slip_of
from .findings import Finding
from .words import Words, files_or_none_of, words_of, words_of_libraries


@dataclass(frozen=True)
class Suspicion:
    """A finding that holds only if no code reads the identifier it is about.

    Attributes:
        finding: what to report; its message gets the near names.
        identifier: the key or the type in question.
        names: what `identifier` may have been meant to be, where a signature or a registry tells.
        builders: classes and functions that see the word before the part is built; where none of their files mentions
            it, a slip of one of `names` is a finding although other code knows the word.
        group: the mapping that the word belongs to, where nothing but the words of the code tells. A mapping with
            several unread words is read by code that is not known here.
        is_sure: whether an unread word is a finding without a near name too.
    """

    finding: Finding
    identifier: str
    names: frozenset[str] = frozenset()
    builders: tuple[Callable[..., Any], ...] = ()
    group: str | None = None
    is_sure: bool = False


def judged(items: list[Finding | Suspicion], packages: Iterable[str]) -> list[Finding]:
    """The findings, and the suspicions that the words of the code confirm, in their order.

    Args:
        items: what the walk through a config saw.
        packages: those that the config's types are from.
    """
    suspicions = [item for item in items if isinstance(item, Suspicion)]
    if not suspicions:
        return [item for item in items if isinstance(item, Finding)]
    vocabulary = words_of_libraries(packages)
    unread = vocabulary.without({suspicion.identifier for suspicion in suspicions})
    in_groups = {
        (suspicion.group, suspicion.identifier)
        for suspicion in suspicions
        if suspicion.group is not None and suspicion.identifier in unread
    }
    counts: Counter[str | None] = Counter(group for group, _ in in_groups)
    findings = (item if isinstance(item, Finding) else _confirmed(item, vocabulary, unread, counts) for item in items)
    return [finding for finding in findings if finding is not None]


def _confirmed(
    suspicion: Suspicion, vocabulary: Words, unread: set[str], counts: Counter[str | None]
) -> Finding | None:
    identifier, names = suspicion.identifier, suspicion.names
    slips = sorted(name for name in names if is_slip_of(identifier, name))
    if identifier not in unread:
        is_found = slips and suspicion.builders and _nobody_reads(identifier, suspicion.builders)
        if is_found:
            return _with_near(suspicion.finding, slips)
        return None
    if counts[suspicion.group] > 1:
        return None
    candidates = slips or (
        vocabulary.slips_of(identifier) if suspicion.group is not None else closest(identifier, names, cutoff=0.8)
    )
    if candidates or suspicion.is_sure:
        return _with_near(suspicion.finding, candidates)
    return None


def _with_near(finding: Finding, candidates: list[str]) -> Finding:
    if not candidates or "one level" in finding.message or "did you mean" in finding.message:
        return finding
    return replace(finding, message=f"{finding.message}; {did_you_mean(candidates[:3])}")


def _nobody_reads(identifier: str, builders: tuple[Callable[..., Any], ...]) -> bool:
    """Whether no file that defines a builder or a base of one mentions the word; False where a file cannot be read."""
    return all(file is not None and identifier not in words_of(file) for file in files_or_none_of(builders))
