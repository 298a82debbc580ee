"""Every module and public name of MMEngine 0.10.7, and every name that eleven libraries use, resolves under the alias."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

NAMES = Path(__file__).with_name("names.json")

# Names of the reference that eng does not have, by reason. None of them is used by a library.
OF_OTHER_PACKAGES = {
    "mmengine._strategy.deepspeed.deepspeed",
    "mmengine.analysis.jit_analysis.T",
    "mmengine.hooks.checkpoint_hook.inf",
    "mmengine.hooks.early_stopping_hook.inf",
    "mmengine.optim.optimizer.apex_optimizer_wrapper.apex_amp",
    "mmengine.utils.manager.T",
    *(f"mmengine.{module}.TYPE_CHECKING" for module in ("hooks.test_time_aug_hook", "logging.message_hub", "registry.build_functions", "visualization.utils", "visualization.visualizer")),
}  # fmt: skip
INSIDES_OF_COLOSSALAI = {
    f"mmengine._strategy.colossalai.{name}"
    for name in (
        "Booster", "ColossalAIModelWrapper", "ColossalAIOptimWrapper", "MIXED_PRECISIONS", "ModelWrapper", "PLUGINS",
        "colo_optimizer", "colo_plugin", "colo_precision", "colossalai", "register_mixed_precisions",
        "register_optimizers", "register_plugins",
    )
}  # fmt: skip
INSIDES_OF_FSDP_AND_OF_PARSING = {
    "mmengine._strategy.fsdp.FSDP_CONFIGS",
    "mmengine.config.config.ImportTransformer",
    "mmengine.config.utils.ImportTransformer",
}
LEFT_OUT = OF_OTHER_PACKAGES | INSIDES_OF_COLOSSALAI | INSIDES_OF_FSDP_AND_OF_PARSING

RESOLVE = """
import importlib, json, sys
import eng.compat
eng.compat.install()
missing = []
for name in json.load(sys.stdin):
    module, _, last = name.rpartition(".")
    try:
        exec(f"from {module} import {last}" if module else f"import {name}")
        continue
    except ImportError:
        pass
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:length]))
            break
        except ModuleNotFoundError:
            continue
    try:
        for part in parts[length:]:
            value = getattr(value, part)
        if length == len(parts) or length == len(parts) - 1:
            missing.append(name)  # the statement above would have had to find it
    except AttributeError:
        missing.append(name)
print(json.dumps(missing))
"""


def missing_of(names: list[str]) -> list[str]:
    """Those of the names that do not resolve in a fresh interpreter with the alias."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RESOLVE],
        input=json.dumps(names),
        capture_output=True,
        text=True,
        timeout=170,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    missing: list[str] = json.loads(done.stdout.splitlines()[-1])
    return missing


def test_every_module_and_name_of_the_reference_resolves() -> None:
    reference = json.loads(NAMES.read_text(encoding="utf-8"))["reference"]
    names = [*reference, *(f"{module}.{name}" for module, of_module in reference.items() for name in of_module)]
    assert len(names) > 1500
    assert set(missing_of(names)) == LEFT_OUT & set(names)


def test_every_name_that_libraries_use_resolves() -> None:
    used = json.loads(NAMES.read_text(encoding="utf-8"))["libraries"]
    assert len(used) > 300
    assert missing_of(list(used)) == []
    assert not LEFT_OUT & set(used)


def test_an_imported_name_is_the_object_of_its_own_module() -> None:
    check = """
import eng.compat; eng.compat.install()
from mmengine.runner.runner import EpochBasedTrainLoop, print_log
from mmengine.runner.loops import EpochBasedTrainLoop as loop
from mmengine.logging import print_log as log
from mmengine.registry.root import MODELS
import mmengine.registry, mmengine.runner.checkpoint
assert EpochBasedTrainLoop is loop and print_log is log and MODELS is mmengine.registry.MODELS
assert mmengine.runner.checkpoint.mmengine is mmengine
try:
    from mmengine.runner.runner import EpochBasedTrainLop
except ImportError:
    print("fine")
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", check], capture_output=True, text=True, timeout=60)
    assert done.stdout == "fine\n", done.stderr[-2000:]


STAR = """
import json, sys
import eng.compat
eng.compat.install()
brought = {}
for module in json.load(sys.stdin):
    names = {}
    exec(f"from {module} import *", names)
    brought[module] = sorted(set(names) - {"__builtins__"})
print(json.dumps(brought))
"""


def test_a_star_import_brings_the_names_of_the_reference() -> None:
    star = json.loads(NAMES.read_text(encoding="utf-8"))["star"]
    assert len(star) == 29
    call = [sys.executable, "-W", "ignore", "-c", STAR]
    done = subprocess.run(call, input=json.dumps(star), capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == star


def test_eng_brings_its_own_names_where_no_alias_is_installed() -> None:
    script = """
import eng.compat
with eng.compat.alias():
    import mmengine.fileio
    assert "FsspecBackend" not in mmengine.fileio.__all__
    mmengine.fileio.FsspecBackend, mmengine.FsspecBackend  # public names stay readable
from eng.fileio import *
print(FsspecBackend.__module__)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout == "eng.fileio.backends.fsspec_backend\n", done.stderr[-2000:]
