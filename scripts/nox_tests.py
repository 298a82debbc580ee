"""Running pytest from the sessions of noxfile.py, with a second try for the few tests that fail at times."""

from __future__ import annotations

import json
import os
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import nox
import nox.command
from nox_environments import NAMES, PACKAGES, ROOT, find_python, project, torch_index, venv_python

REPORTS = ROOT / ".nox" / "reports"
# A change that breaks something fails more tests than this, or fails the same one twice.
MAX_SECOND_TRIES = 3
# Options by which pytest ends before the last test: what did not run has not passed.
STOPS_EARLY = ("-x", "--exitfirst", "--maxfail", "--sw", "--stepwise")
COVERAGE = REPORTS / "coverage"
MEASURE = "--measure"  # behind `--`: note which lines run, also of these packages
MEASURED_ON_DEMAND = ("runner", "dist", "tune")
# Dynamo cannot read the calls that slipcover puts between the lines of what torch compiles: these tests run unmeasured.
COMPILING_TESTS = {
    "structures": ("packages/structures/tests/test_batch.py::test_compiled_code_takes_and_gives_elements",)
}


def run_measured(session: nox.Session, label: str, package: str, *options: str, env: dict[str, str]) -> None:
    """Runs a package's tests, notes which of its lines run, and holds their share against its floor.

    Args:
        session: the session whose environment has pytest and slipcover.
        label: as for `run_pytest`.
        package: name of the folder in packages/.
        *options: of pytest.
        env: variables for pytest's process.
    """
    COVERAGE.mkdir(parents=True, exist_ok=True)
    report = COVERAGE / f"{package}.json"
    report.unlink(missing_ok=True)
    compiling = COMPILING_TESTS.get(package, ())
    left_out = [part for test in compiling for part in ("--deselect", test)]
    program = ("scripts/measured_tests.py", f"packages/{package}/src", str(report))
    run_pytest(session, label, f"packages/{package}/tests", *left_out, *options, env=env, program=program)
    if compiling:
        run_pytest(session, f"{label}-compiling", *compiling, *options, env=env)
    session.run("python", "scripts/coverage_floors.py", str(report))


def run_pytest(
    session: nox.Session,
    label: str,
    *args: str,
    env: dict[str, str] | None = None,
    program: tuple[str, ...] = ("-m", "pytest"),
) -> None:
    """Runs pytest; where at most three tests fail, they are run once more, alone.

    Thousands of tests start processes, servers and terminals, and a machine that halts for a second can fail one of
    them. What passes only at the second try does not fail the session, but is written to ``.nox/reports/LABEL.unsteady``
    and printed by `totals`, so that it is looked into.

    Args:
        session: the session whose environment has pytest.
        label: names the JUnit report in ``.nox/reports``.
        *args: what pytest collects, and its options.
        env: variables for pytest's process.
        program: what python runs in the first try.
    """
    REPORTS.mkdir(parents=True, exist_ok=True)
    report, cache, unsteady = REPORTS / f"{label}.xml", REPORTS / f"{label}-cache", REPORTS / f"{label}.unsteady"
    report.unlink(missing_ok=True)
    unsteady.unlink(missing_ok=True)
    shutil.rmtree(cache, ignore_errors=True)
    call = ("python", *program, "-q", "-o", f"cache_dir={cache}", f"--junitxml={report}", *args)
    try:
        session.run(*call, env=env)
    except nox.command.CommandFailed as error:
        failed = _failed(cache)
        ran_all = error.reason == "Returned code 1" and not any(option.startswith(STOPS_EARLY) for option in args)
        if not ran_all or not 0 < len(failed) <= MAX_SECOND_TRIES:
            raise
        session.warn(f"{len(failed)} failed and run once more, alone: {', '.join(failed)}")
        again = report.with_suffix(".again")
        session.run("python", "-m", "pytest", "-q", f"--junitxml={again}", *failed, env=env)
        unsteady.write_text("".join(f"{name}\n" for name in failed), encoding="utf-8")


def _failed(cache: Path) -> list[str]:
    """The failed tests that the last run of pytest noted in its cache."""
    note = cache / "v" / "cache" / "lastfailed"
    return list(json.loads(note.read_text(encoding="utf-8"))) if note.is_file() else []


def totals() -> str:
    """How many tests passed, over the reports of this checkout's last runs."""
    suites = [suite for report in sorted(REPORTS.glob("*.xml")) for suite in ET.parse(report).iter("testsuite")]
    count = {key: sum(int(suite.get(key, 0)) for suite in suites) for key in ("tests", "failures", "errors", "skipped")}
    unsteady = [
        name for note in sorted(REPORTS.glob("*.unsteady")) for name in note.read_text(encoding="utf-8").splitlines()
    ]
    failed = count["failures"] + count["errors"] - len(unsteady)
    passed = count["tests"] - failed - count["skipped"]
    text = f"{passed} passed, {failed} failed, {count['skipped']} skipped in {len(suites)} environments"
    return "\n".join([text, *(f"passed at the second try only: {name}" for name in unsteady)])


def matrix_environment(version: str, torch: str) -> Path:
    """The folder of the environment with this Python and this torch."""
    return ROOT / ".nox" / f"matrix-{version}-{torch}"


def test_with_versions(session: nox.Session, version: str, torch: str, packages: list[str]) -> list[str]:
    """Labels of the packages whose tests fail with this Python and this torch; their reports are for `matrix_table.py`."""
    interpreter = find_python(version)
    if interpreter is None:
        session.warn(f"Python {version} is not on this machine")
        return []
    python = _prepare_matrix_environment(session, interpreter, matrix_environment(version, torch), torch)
    reports = REPORTS / "matrix"
    reports.mkdir(parents=True, exist_ok=True)
    failures = []
    for name in packages:
        label = f"{name} (Python {version}, torch {torch})"
        session.log(label)
        report = reports / f"{version}_{torch}_{name}.xml"
        report.write_text("", encoding="utf-8")  # stays so where pytest dies, which counts as failed
        call = (python, "-m", "pytest", "-q", f"--junitxml={report}", f"packages/{name}/tests")
        try:
            session.run(*call, external=True)
        except nox.command.CommandFailed:
            failures.append(label)
    return failures


def _prepare_matrix_environment(session: nox.Session, interpreter: str, folder: Path, torch: str) -> str:
    """Makes an environment of all packages with a version of torch, unless it is there; returns its interpreter."""
    python = venv_python(folder)
    if (folder / "ready").exists():
        return python
    session.run(interpreter, "-m", "venv", "--clear", str(folder), external=True)
    pip = (python, "-m", "pip", "install", "-q")
    session.run(*pip, *_wanted_torch(session, torch), external=True)
    groups = {item for name in NAMES for item in nox.project.dependency_groups(project(name), "test")}
    editable = [part for name in NAMES for part in ("-e", str(PACKAGES / name))]
    session.run(*pip, *editable, *sorted(groups), external=True)
    (folder / "ready").touch()
    return python


def _wanted_torch(session: nox.Session, torch: str) -> tuple[str, ...]:
    """What pip takes for a version of torch; the CPU wheel where ENG_TORCH_INDEX says where it is."""
    if torch != "nightly":
        return (*torch_index(), f"torch=={torch}")
    index = os.environ.get("ENG_TORCH_NIGHTLY_INDEX", "")
    if not index:  # `pip install --pre torch` would take the newest release
        session.error(
            "PyPI has no nightly builds of torch: set ENG_TORCH_NIGHTLY_INDEX to the index that torch's install page names for them"
        )
    return ("--pre", "--index-url", index, "torch")
