"""Suspected mistakes in parts that foreign code builds; a search of that code's identifiers decides about them."""

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
    """A possible mistake, which is reported only if no source file mentions the identifier in question.

    Attributes:
        finding: the finding to report; suggestions are added to its message.
        identifier: the key or type in the config that may be a mistake.
        names: known names that `identifier` may be a misspelling of.
        builders: classes and functions that read the key. If none of their files mentions the identifier, a misspelling
            of one of `names` is reported even though other code contains the identifier.
        group: path of the mapping that contains the identifier, if no signature says which keys are allowed; otherwise
            None. If a group has several keys that no code mentions, code that cannot be searched is assumed to read
            them, and none is reported.
        is_sure: whether an identifier that no code mentions is reported even without a similar known name.
    """

    finding: Finding
    identifier: str
    names: frozenset[str] = frozenset()
    builders: tuple[Callable[..., Any], ...] = ()
    group: str | None = None
    is_sure: bool = False


def confirm(items: list[Finding | Suspicion], packages: Iterable[str]) -> list[Finding]:
    """Returns the findings in `items`, and a finding for each suspicion that a search of the source code confirms.

    The order of `items` is kept. A suspicion about a key is confirmed if no source file mentions the key.

    Args:
        items: findings (mistakes) and suspicions (possible mistakes) that the check of a config collected.
        packages: the packages that define the types of the config.
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
    """Returns the finding of a suspicion, with suggestions in its message; None if the identifier may be right.

    Args:
        suspicion: the possible mistake: a key or type in the config, its identifier.
        vocabulary: the identifiers in the source code of all libraries.
        unread: the identifiers in question that no source file contains.
        counts: number of such identifiers in each group of keys.
    """
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
    """Returns the finding with a suggestion of similar names, unless its message already contains advice."""
    if not candidates or "one level" in finding.message or "did you mean" in finding.message:
        return finding
    return replace(finding, message=f"{finding.message}; {did_you_mean(candidates[:3])}")


def _nobody_reads(identifier: str, builders: tuple[Callable[..., Any], ...]) -> bool:
    """Whether no source file of the classes and functions `builders`, and of their base classes, contains `identifier`.

    Returns False if one of these classes has no source file.
    """
    return all(file is not None and identifier not in words_of(file) for file in files_or_none_of(builders))
