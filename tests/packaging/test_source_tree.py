"""What the packages have in common, asserted over the source tree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

if __import__("sys").version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(path for path in (ROOT / "packages").iterdir() if path.is_dir())
IMPORT_NAMES = {
    "config": ["config"], "registry": ["registry"], "fileio": ["fileio"], "structures": ["structures"],
    "dist": ["dist", "device"], "analysis": ["analysis"], "tune": ["tune"], "compat": ["compat"], "eng": ["cli"],
    "runner": [
        "runner", "hooks", "optim", "model", "dataset", "evaluator", "logging", "visualization", "infer", "hub",
        "testing", "checkpoint",
    ],
}  # fmt: skip


def metadata(package: Path) -> dict:
    return tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_packages_of_the_architecture_are_there() -> None:
    assert {package.name for package in PACKAGES} == set(IMPORT_NAMES)


def test_the_namespace_has_no_init_file() -> None:
    assert not list(ROOT.glob("packages/*/src/eng/__init__.py"))
    assert not list(ROOT.glob("packages/*/src/eng/py.typed")), "uninstalling one package would delete it for all"


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
class TestPackage:
    def test_has_its_own_papers(self, package: Path) -> None:
        for name in ("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "tests"):
            assert (package / name).exists(), name
        assert "Apache License" in (package / "LICENSE").read_text(encoding="utf-8")

    def test_owns_its_import_names_and_marks_them_typed(self, package: Path) -> None:
        owned = sorted(path.name for path in (package / "src/eng").iterdir() if path.is_dir() and path.name[0] != "_")
        assert owned == sorted(IMPORT_NAMES[package.name])
        assert all((package / "src/eng" / name / "py.typed").exists() for name in owned)

    def test_is_built_by_hatchling_with_a_version_of_its_own(self, package: Path) -> None:
        settings = metadata(package)
        assert settings["build-system"]["build-backend"] == "hatchling.build"
        version_file = package / settings["tool"]["hatch"]["version"]["path"]
        assert re.search(r'__version__ = "\d+\.\d+\.\d+"', version_file.read_text(encoding="utf-8"))

    def test_asks_for_ranges_never_for_exact_versions(self, package: Path) -> None:
        project = metadata(package)["project"]
        asked = [*project["dependencies"], *sum(project.get("optional-dependencies", {}).values(), [])]
        assert not [item for item in asked if "==" in item.split(";")[0]]
        siblings = [item for item in asked if re.match(r"eng-", item)]
        assert all(re.search(r">=\d+\.\d+,<\d+$", item) for item in siblings), siblings

    def test_says_which_versions_are_tested(self, package: Path) -> None:
        assert re.search(r"[Tt]ested", (package / "README.md").read_text(encoding="utf-8"))
