"""The command `eng help`, which shows pages of the documentation in the terminal, offline."""

from __future__ import annotations

import difflib
import locale
import re
from collections.abc import Iterator
from pathlib import Path

import click

_HERE = Path(__file__).parent
# The folders in which the documentation pages may be: in an installed wheel beside this file, in an editable
# installation in the folder `docs` of the checkout.
FOLDERS = (_HERE / "pages", _HERE.parents[4] / "docs")
TROUBLESHOOTING = "troubleshooting.md"
_FILLERS = frozenset(
    ("a", "an", "and", "are", "do", "for", "how", "i", "in", "is", "my", "of", "on", "the", "to", "with", "why")
)
# These pages mention nearly every topic. Their mentions count less, so that the search finds the page about the topic.
_LISTS = frozenset(("coverage", "differences", "faq", "glossary", "reference"))
_ERROR = re.compile(r"[A-Z]\w*(?:Error|Warning|Interrupted)")
_ROW = re.compile(r"^\| (?P<names>`[^|]+`) \| (?P<cause>[^|]+) \| (?P<remedy>[^|]+) \|$", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")


@click.command("help")
@click.argument("topic_words", nargs=-1, metavar="[TOPIC | ERROR-CLASS]")
@click.option("--lang", type=click.Choice(["en", "zh"]), help="Language. Default: zh in a Chinese locale, else en.")
def help_(topic_words: tuple[str, ...], lang: str | None) -> None:
    r"""Print a page of the documentation, or what an error means.

    No network is used.

    \b
    eng help                        all topics
    eng help early stopping         the page on early stopping
    eng help BrokenCheckpointError  what happened and what to do
    """
    topic = " ".join(topic_words)
    folder = pages_folder()
    if not topic:
        click.echo(_list_of_topics(folder))
    elif _ERROR.fullmatch(topic.rpartition(".")[2]):
        click.echo(error_help(folder, topic.rpartition(".")[2]))
    else:
        page = translated(find_page(folder, topic), lang or _language())
        click.echo_via_pager(terminal_text(page.read_text(encoding="utf-8")))


def pages_folder() -> Path:
    """Returns the folder with the pages of the documentation.

    Raises:
        click.ClickException: the installation contains no pages.
    """
    for folder in FOLDERS:
        if (folder / TROUBLESHOOTING).is_file():
            return folder
    raise click.ClickException(f"this installation of eng has no pages in {FOLDERS[0]}: install the wheel again")


def topics(folder: Path) -> dict[str, Path]:
    """Returns the paths of all pages by topic, such as ``how-to/early-stopping``."""
    pages = (page for page in folder.rglob("*.md") if not page.name.endswith(".zh.md"))
    named = {page.relative_to(folder).with_suffix("").as_posix(): page for page in pages}
    return {name: page for name, page in sorted(named.items()) if not name.startswith("api/")}


def title_of(page: Path) -> str:
    """Returns the first heading of a page; the file name without suffix if the page has no heading."""
    match = re.search(r"^# (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    if match is not None:
        return match[1]
    return page.stem


def find_page(folder: Path, topic: str) -> Path:
    """Finds the page about a topic.

    A page whose name or title equals the topic is preferred. Otherwise the page that mentions the topic most often is
    returned; mentions in the page's name, title and headings count more than others.

    Args:
        folder: folder with the pages.
        topic: words of the user, in upper or lower case.

    Raises:
        click.UsageError: no page mentions the topic.
    """
    pages = topics(folder)
    wanted = _plain(topic)
    for name, page in pages.items():
        if wanted in (_plain(name), _plain(name.rpartition("/")[2]), _plain(title_of(page))):
            return page
    terms = [wanted]
    best = _best_page(pages, terms)
    if best is None:  # No page contains the phrase, so its words are searched.
        terms = [term for term in wanted.split() if term not in _FILLERS]
        best = _best_page(pages, terms)
    if best is None:
        names = {_plain(name.rpartition("/")[2]): name for name in pages}
        nearest = [names[name] for name in difflib.get_close_matches(wanted, names, n=3)]
        hint = "eng help lists all topics"
        if nearest:
            hint = f"did you mean {' or '.join(nearest)}?"
        raise click.UsageError(f"no page is about {topic!r}; {hint}")
    return best


def translated(page: Path, lang: str) -> Path:
    """Returns the Chinese version of a page if `lang` is ``"zh"`` and there is a Chinese version, else `page`."""
    chinese = page.with_suffix(".zh.md")
    if lang == "zh" and chinese.is_file():
        return chinese
    return page


def explained_class(error: BaseException) -> str | None:
    """Returns the name of an error class that the command `eng help` explains.

    This is the class of `error`, or the nearest of its base classes in eng. Returns None if none of them is explained.
    """
    try:
        known = explanations(pages_folder())
    except click.ClickException:
        return None
    ours = (cls.__name__ for cls in type(error).__mro__ if cls.__module__.startswith("eng."))
    return next((name for name in ours if name in known), None)


def error_help(folder: Path, name: str) -> str:
    """Returns the explanation of an error class: what happened and what to do.

    Args:
        folder: folder with the pages.
        name: name of the error class.

    Raises:
        click.UsageError: the pages do not explain the class.
    """
    known = explanations(folder)
    if name not in known:
        nearest = difflib.get_close_matches(name, known, n=3)
        hint = "eng help troubleshooting lists those of eng"
        if nearest:
            hint = f"did you mean {' or '.join(nearest)}?"
        raise click.UsageError(f"{name} is no error class that the pages of eng explain; {hint}")
    cause, remedy = known[name]
    lines = [name, "", f"What happened: {terminal_text(cause)}", f"What to do: {terminal_text(remedy)}"]
    lines += [f"More: eng help {target}" for target in _targets(remedy)]
    return "\n".join(lines)


def explanations(folder: Path) -> dict[str, tuple[str, str]]:
    """Returns the cause and the remedy for each error class, read from the table on the troubleshooting page.

    The key is the name of the class; cause and remedy are Markdown text.
    """
    rows = _ROW.finditer((folder / TROUBLESHOOTING).read_text(encoding="utf-8"))
    return {name: (row["cause"], row["remedy"]) for row in rows for name in re.findall(r"`(\w+)`", row["names"])}


def terminal_text(markdown: str) -> str:
    """Converts Markdown to text for a terminal: anchors are removed, and links show their target.

    Examples:
        >>> terminal_text("See [Data](../dataset.md#folds) and [torch](https://pytorch.org).")
        'See Data (eng help dataset) and torch (https://pytorch.org).'
    """
    without_anchors = re.sub(r"^(#+ .*?) \{ #[\w-]+ \}$", r"\1", markdown, flags=re.MULTILINE)
    parts = re.split(r"(^```.*?^```$)", without_anchors, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("```") else _LINK.sub(_reference, part) for part in parts)


def _reference(match: re.Match[str]) -> str:
    """Returns the text of a Markdown link for the terminal, followed by the help command or address of its target."""
    text, target = match.groups()
    topic = _topic_of(target)
    if topic:
        return f"{text} (eng help {topic})"
    return f"{text} ({target})"


def _topic_of(target: str) -> str | None:
    """Returns the topic of ``eng help`` to which a link in the documentation leads; None for other links."""
    path = target.partition("#")[0]
    if "://" in target or not path.endswith(".md"):
        return None
    return path.rpartition("/")[2].removesuffix(".md")


def _targets(markdown: str) -> Iterator[str]:
    """Yields the topics of ``eng help`` to which the links in a Markdown text lead."""
    for _, target in _LINK.findall(markdown):
        topic = _topic_of(target)
        if topic is not None:
            yield topic


def _list_of_topics(folder: Path) -> str:
    rows = [(name, title_of(page)) for name, page in topics(folder).items()]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {title}" for name, title in rows)


def _best_page(pages: dict[str, Path], terms: list[str]) -> Path | None:
    """Returns the page that mentions the largest number of the terms; None if no page mentions any of them.

    Among several such pages, the page with the highest score is returned: mentions are counted, and weigh more in the
    page's name, title and headings.
    """

    def rank(name: str) -> tuple[int, int]:
        weight = 4
        if name in _LISTS:
            weight = 1
        scores = [weight * _score(pages[name], name, term) for term in terms]
        return sum(score > 0 for score in scores), sum(scores)

    best = max(pages, key=rank)
    if rank(best) > (0, 0):
        return pages[best]
    return None


def _score(page: Path, name: str, wanted: str) -> int:
    """Returns how well a documentation page fits the search text `wanted`: a weighted number of mentions.

    A mention in the name or title counts 1000, in a heading 100, in the first paragraph 50, and elsewhere 1.
    """
    text = page.read_text(encoding="utf-8")
    mention = re.compile(rf"\b{re.escape(wanted)}s?\b")
    headings = _plain("\n".join(re.findall(r"^#+ .*$", text, re.MULTILINE)))
    in_name = bool(mention.search(_plain(f"{name} {title_of(page)}")))
    opening = _plain(" ".join(text.split("\n\n")[:2]))  # The title and first paragraph.
    return (
        1000 * in_name
        + 50 * bool(mention.search(opening))
        + 100 * len(mention.findall(headings))
        + len(mention.findall(_plain(text)))
    )


def _plain(text: str) -> str:
    """Returns a text in lower case with single spaces between its words, to compare topics and titles."""
    return re.sub(r"[\W_]+", " ", text.lower()).strip()


def _language() -> str:
    if (locale.getlocale()[0] or "").startswith(("zh", "Chinese")):
        return "zh"
    return "en"
