"""Makes the files of golden/ with the real MMEngine 0.10.7; runs under the reference's Python.

    python make_goldens.py configs|models|trainings|runs|tests [PACKAGE...]

The reference's environment holds mmengine 0.10.7 and the same libraries as ``nox -s downstream`` (CONTRIBUTING.md).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import model_inputs
import own_tests
from libraries import BY_PACKAGE, LIBRARIES, Library
from runs import PACKAGES, run_library

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
# How many configs of each library are drawn for a training, and with which seed.
NUM_DRAWN, SEED = 10, 14


def run_script(script: str, *args: str, timeout: float = 7200) -> dict:
    """Runs a script of this folder under this Python and reads the JSON on its last line."""
    call = [sys.executable, "-W", "ignore", str(HERE / script), *args]
    done = subprocess.run(call, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(call)} ended with exit status {done.returncode}:\n{done.stderr[-3000:]}")
    line = done.stdout.strip().splitlines()[-1]
    return json.loads(line[line.index("{") :])


def by_folder(digests: dict[str, str]) -> dict[str, dict[str, str]]:
    """Digests grouped by folder, which halves the size of the file."""
    grouped: dict[str, dict[str, str]] = {}
    for name, digest in digests.items():
        folder, _, file = name.rpartition("/")
        grouped.setdefault(folder, {})[file] = digest
    return grouped


def make_configs(library: Library) -> None:
    """golden/configs/PACKAGE.json: a digest per config, or the name of the exception that the reference raises."""
    root = library.root / library.configs
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as listing:
        listing.write("\n".join(map(str, library.config_files())))
        listing.flush()
        result = run_script("digest_configs.py", listing.name)
    digests = {Path(path).relative_to(root).as_posix(): text for path, text in result["digests"].items()}
    for name, text in digests.items():
        if ":" in text:
            print(f"{library.package} {name}: {text}")
            digests[name] = "!" + text.split(":")[0]
    write(GOLDEN / "configs" / f"{library.package}.json", {
        "version": library.version,
        "seconds": {kind: round(duration, 1) for kind, duration in result["seconds"].items()},
        "digests": by_folder(digests),
    })  # fmt: skip


def write(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=0, sort_keys=True) + "\n", encoding="utf-8")


def make_models(library: Library) -> None:
    """golden/models/PACKAGE.json: losses, parameter groups and weights after a step of each model of models.json."""
    names = json.loads((HERE / "models.json").read_text(encoding="utf-8")).get(library.package, [])
    if not names:
        return
    results = run_script("model_steps.py", library.package, *names)
    for name, result in list(results.items()):
        if "error" in result:
            print(f"{library.package} {name}: {result['error']}")
            del results[name]
        else:
            del result["seconds"]
    write(GOLDEN / "models" / f"{library.package}.json", results)


def make_trainings(library: Library) -> None:
    """golden/trainings/PACKAGE.json: losses and weights of configs drawn at random, those that the reference trains."""
    if not hasattr(model_inputs, library.package):
        return
    results = run_script("trainings.py", library.package, "--draw", str(NUM_DRAWN), str(SEED))
    for name, result in results.items():
        if "error" in result:
            print(f"{library.package} {name}: {result['error']}")
    trained = {name: result for name, result in results.items() if "error" not in result}
    write(GOLDEN / "trainings" / f"{library.package}.json", trained)


def make_runs(library: Library) -> None:
    """golden/runs/PACKAGE.json: what a project of the library gives."""
    if library.package in PACKAGES:
        with tempfile.TemporaryDirectory() as folder:
            write(GOLDEN / "runs" / f"{library.package}.json", run_library(library.package, Path(folder)))


def make_tests(library: Library) -> None:
    """golden/tests/PACKAGE.json: outcome of each test that the library ships."""
    if library.package in own_tests.FOLDERS:
        with tempfile.TemporaryDirectory() as folder:
            outcomes = own_tests.run_own_tests(library.package, Path(folder))
        write(GOLDEN / "tests" / f"{library.package}.json", outcomes)


MAKERS = {
    "configs": make_configs, "models": make_models, "trainings": make_trainings, "runs": make_runs, "tests": make_tests,
}  # fmt: skip


def main() -> None:
    # torch 2.6 reads nothing but tensors by default; MMEngine 0.10.7 cannot resume its own checkpoints with that.
    os.environ["PYTHONHASHSEED"] = "0"  # as in conftest.py
    os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"
    kind, *packages = sys.argv[1:]
    libraries = [BY_PACKAGE[package] for package in packages] or list(LIBRARIES)
    for library in libraries:
        MAKERS[kind](library)
        print(library.package, "done", flush=True)


if __name__ == "__main__":
    main()
