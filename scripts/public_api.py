"""Compares the public interface of each package with its snapshot in ``packages/NAME/api.txt``.

A snapshot has a line per public name with its signature. A line of a released name that is gone, or that no longer takes the
calls it took, is an error, unless the package has a changelog fragment ``changes/*.breaking.md``; ``--update`` then writes
nothing. Other differences are errors until ``--update`` writes new snapshots. The source is read and never imported, so no dependency is needed.

``packages/NAME/added.txt`` says which version brought each public name, ``next`` for those that no release has. ``--update`` writes
the lines that lack, ``--release NAME`` the version of a release (``nox -s changelog`` calls it), and the API pages of the
documentation show them. A name without a line, and a version that the changelog lacks, are errors.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import griffe
from field_signatures import FieldSignatures

PACKAGES = Path(__file__).parents[1] / "packages"
NEXT = "next"


def signature(function: griffe.Function) -> str:
    """The parameters as a caller sees them: names, kinds and whether there is a default."""
    parts = []
    for parameter in function.parameters:
        prefix = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}.get(
            parameter.kind, ""
        )
        keyword_only = "kw " if parameter.kind is griffe.ParameterKind.keyword_only else ""
        has_default = parameter.default is not None and not prefix
        parts.append(f"{keyword_only}{prefix}{parameter.name}{'=' if has_default else ''}")
    return f"({', '.join(parts)})"


def public_lines(member: griffe.Object | griffe.Alias, path: str) -> Iterator[str]:
    """A line for a public object and for each public member of a class, inherited ones of eng included."""
    if member.is_alias:
        try:
            member = member.final_target
        except griffe.AliasResolutionError:
            yield path
            return
    if isinstance(member, griffe.Function):
        yield path + signature(member)
        return
    yield path
    if isinstance(member, griffe.Class):
        for name, child in member.all_members.items():
            is_public = not name.startswith("_") or name == "__init__"
            if is_public and not isinstance(child, griffe.Module):
                yield from public_lines(child, f"{path}.{name}")


def rooms(package: Path) -> list[str]:
    """Import names of a package, such as ``eng.dist`` and ``eng.device``."""
    return sorted(f"eng.{path.parent.name}" for path in (package / "src/eng").glob("*/__init__.py"))


def load_all(packages: list[Path]) -> griffe.GriffeLoader:
    """Every module of eng, with the names that they import from one another resolved."""
    extensions = griffe.load_extensions(FieldSignatures)
    loader = griffe.GriffeLoader(
        search_paths=[path / "src" for path in packages], allow_inspection=False, extensions=extensions
    )
    for package in packages:
        for room in rooms(package):
            loader.load(room, try_relative_path=False)
    loader.resolve_aliases(implicit=True, external=False)
    return loader


def interface(loader: griffe.GriffeLoader, package: Path) -> list[str]:
    """Sorted lines of everything that the ``__all__`` lists of a package name."""
    lines: set[str] = set()
    for room in rooms(package):
        module = loader.modules_collection[room]
        for name in map(str, module.exports or ()):
            path = f"{room}.{name}"
            # A name that a module-level __getattr__ makes on demand is not in the source.
            lines.update(public_lines(module.members[name], path) if name in module.members else [path])
    return sorted(lines)


def names(lines: list[str]) -> set[str]:
    """The names in a snapshot, without signatures."""
    return {line.partition("(")[0] for line in lines}


def read_added(package: Path) -> dict[str, str]:
    """The version that brought each name."""
    file = package / "added.txt"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return {name: version for version, name in (line.split() for line in lines)}


def write_added(package: Path, added: dict[str, str]) -> None:
    """Writes what `read_added` reads."""
    text = "".join(f"{added[name]} {name}\n" for name in sorted(added))
    (package / "added.txt").write_text(text, encoding="utf-8")


def update(package: Path, now: list[str]) -> None:
    """Writes the snapshot of a package; names without a version get ``next``, names that are gone leave."""
    added = read_added(package)
    write_added(package, {name: added.get(name, NEXT) for name in names(now)})
    (package / "api.txt").write_text("\n".join(now) + "\n", encoding="utf-8")


def release(package: Path) -> None:
    """Gives the names that no release has the version of the source."""
    (version_file,) = package.glob("src/eng/*/_version.py")
    version = re.search(r'"(.+)"', version_file.read_text(encoding="utf-8")).group(1)
    write_added(package, {name: version if since == NEXT else since for name, since in read_added(package).items()})


def problems_of_added(package: Path, now: list[str]) -> list[str]:
    """What is wrong with a package's ``added.txt``, one line each."""
    added = read_added(package)
    changelog = (package / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## (\d+\.\d+\.\d+)\b", changelog, re.MULTILINE)
    lacking = [f"{package.name}: added.txt has no line for {name}" for name in sorted(names(now) - added.keys())]
    stale = [
        f"{package.name}: added.txt has a line for {name}, which is gone" for name in sorted(added.keys() - names(now))
    ]
    unknown = [
        f"{package.name}: added.txt dates {name} {version}; CHANGELOG.md has the releases {', '.join(released)}"
        for name, version in added.items()
        if version not in (NEXT, *released)
    ]
    return [*lacking, *stale, *unknown]


def read_snapshot(package: Path) -> list[str]:
    """Reads the lines of a package's ``api.txt``."""
    return (package / "api.txt").read_text(encoding="utf-8").splitlines()


def takes_the_calls_of(line: str, earlier: str) -> bool:
    """Whether every call that fits the signature in the line `earlier` fits that in `line` too.

    Parameters may get a default, and optional ones may be added behind the positional parameters.
    """
    before, after = (text.partition("(")[2].rstrip(")").split(", ") for text in (earlier, line))
    names_before = [parameter.rstrip("=") for parameter in before]
    common = [parameter for parameter in after if parameter.rstrip("=") in names_before]
    if [parameter.rstrip("=") for parameter in common] != names_before:
        return False
    if any(old.endswith("=") and not new.endswith("=") for old, new in zip(before, common, strict=True)):
        return False
    by_position = [parameter for parameter in after if not parameter.startswith(("kw ", "*"))]
    common_by_position = [parameter for parameter in by_position if parameter in common]
    added = [parameter for parameter in after if parameter not in common]
    is_optional = all(parameter.endswith("=") or parameter.startswith(("*", "kw *")) for parameter in added)
    return is_optional and by_position[: len(common_by_position)] == common_by_position


def unmarked_breaks(package: Path, current: list[str]) -> list[str]:
    """Returns a message for each released name that breaks a caller, unless the package has a breaking fragment."""
    if any((package / "changes").glob("*.breaking.md")):
        return []
    versions = read_added(package)
    lines = {line.partition("(")[0]: line for line in current}
    messages = []
    for earlier in sorted(set(read_snapshot(package)) - set(current)):
        name, bracket, _ = earlier.partition("(")
        line = lines.get(name, "")
        fits = bracket and "(" in line and takes_the_calls_of(line, earlier)
        if versions.get(name) != NEXT and not fits:
            messages.append(f"{package.name}: gone or changed, without a fragment changes/*.breaking.md: {earlier}")
    return messages


def check(loader: griffe.GriffeLoader, package: Path) -> list[str]:
    """What is wrong with a package's snapshot, one line each."""
    snapshot = read_snapshot(package)
    current = interface(loader, package)
    gone = sorted(set(snapshot) - set(current))
    added = sorted(set(current) - set(snapshot))
    messages = [*problems_of_added(package, current), *unmarked_breaks(package, current)]
    if added or gone:
        messages.append(f"{package.name}: {len(added)} lines are new, {len(gone)} are gone")
    if messages:
        messages.append(f"{package.name}: `nox -s api -- --update` writes the snapshot and added.txt")
    return messages


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare public interfaces with their snapshots.")
    parser.add_argument("--update", action="store_true", help="write new snapshots")
    parser.add_argument(
        "--release", metavar="NAME", help="write new snapshots, and the version of NAME at its new names"
    )
    options = parser.parse_args()
    packages = sorted(path for path in PACKAGES.iterdir() if (path / "pyproject.toml").exists())
    loader = load_all(packages)
    if options.update or options.release:
        interfaces = {package: interface(loader, package) for package in packages}
        breaks = [message for package, lines in interfaces.items() for message in unmarked_breaks(package, lines)]
        if breaks:
            print("\n".join([*breaks, "no snapshot is written: add the fragment, or keep the name as it was"]))
            return 1
        for package, lines in interfaces.items():
            update(package, lines)
        if options.release:
            release(PACKAGES / options.release)
        return 0
    messages = [message for package in packages for message in check(loader, package)]
    print("\n".join(messages) or f"the public interfaces of {len(packages)} packages are those of their snapshots")
    return 1 if messages else 0


if __name__ == "__main__":
    sys.exit(main())
