"""`.github/workflows`: every step is a session of the noxfile, and together they run what `.ci/run` runs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
NOXFILE = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
SESSIONS = {
    node.name
    for node in NOXFILE.body
    if isinstance(node, ast.FunctionDef) and any("nox.session" in ast.unparse(item) for item in node.decorator_list)
}
PREPARATION = re.compile(r"python -m pip install nox|sudo apt-get update && sudo apt-get install .*")
TESTS_SESSION = re.compile(r'-s "tests\((.+)\)"$')
# It needs the shim of torchvision that lies beside a checkout of ours.
NOT_ON_GITHUB = {"downstream"}


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    workflow: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    return workflow


def commands(path: Path) -> Iterator[str]:
    """Each command of a workflow, once for each combination of its matrix."""
    for job in jobs(path).values():
        matrix = job.get("strategy", {}).get("matrix", {})
        for step in job["steps"]:
            filled = (fill(step["run"], matrix, values) for values in product(*matrix.values()) if "run" in step)
            yield from dict.fromkeys(filled)


def fill(command: str, names: Iterable[str], values: Iterable[str]) -> str:
    """The command for one combination of a matrix."""
    for name, value in zip(names, values, strict=True):
        command = command.replace(f"${{{{ matrix.{name} }}}}", value)
    return command


def session_of(command: str) -> str | None:
    match = re.match(r'python -m nox -s "?(\w+)', command)
    return match[1] if match else None


def constant(name: str) -> Any:
    return next(
        ast.literal_eval(node.value)
        for node in NOXFILE.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
    )


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_each_step_runs_on_any_machine(path: Path) -> None:
    strange = [
        command
        for command in commands(path)
        if not PREPARATION.fullmatch(command) and session_of(command) not in SESSIONS
    ]
    assert strange == []


def test_github_runs_what_ci_runs() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    here = {name for line in re.findall(r"nox -s ([\w ]+)", script) for name in line.split()}
    there = {session_of(command) for command in commands(ROOT / ".github/workflows/ci.yml")}
    assert "lint" in here
    assert here - there == NOT_ON_GITHUB


def test_github_runs_each_package_alone_as_ci_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    environments = pytest.importorskip("nox_environments", reason="the session that runs these tests installs nox")
    free = {f"{name}-{python}" for name in environments.TORCH_FREE for python in constant("TORCH_FREE_PYTHONS")}
    torch = {
        f"{name}-{environments.TORCH_PYTHON}" for name in environments.NAMES if name not in environments.TORCH_FREE
    }
    there = {
        match[1] for command in commands(ROOT / ".github/workflows/ci.yml") if (match := TESTS_SESSION.search(command))
    }
    assert there == {*free, *torch, "integration"}


def test_the_matrix_has_every_package_and_the_ends_of_the_support_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    environments = pytest.importorskip("nox_environments", reason="the session that runs these tests installs nox")
    matrices = {
        name: job["strategy"]["matrix"]
        for name, job in jobs(ROOT / ".github/workflows/ci.yml").items()
        if "strategy" in job
    }
    free, torch = matrices["torch-free"], matrices["torch"]
    assert sorted(free["package"]) == sorted(environments.TORCH_FREE)
    assert sorted(free["package"] + torch["package"]) == sorted(environments.NAMES)
    assert free["python"] == torch["python"] == list(constant("TORCH_FREE_PYTHONS"))
    versions = constant("TORCH_VERSIONS")
    assert torch["torch"] == [versions[0], versions[-1]]
    assert {name.partition("-")[0] for name in free["os"]} == {"ubuntu", "windows", "macos"}


def test_every_action_is_named_by_a_tag_and_no_checkout_keeps_its_token() -> None:
    steps = [step for path in WORKFLOWS for job in jobs(path).values() for step in job["steps"] if "uses" in step]
    assert not [step["uses"] for step in steps if not re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|release/v\d+)", step["uses"])]
    checkouts = [step for step in steps if step["uses"].startswith("actions/checkout")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
