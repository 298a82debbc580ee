"""Building, look-up and check, beside MMEngine's registry."""

from __future__ import annotations

import subprocess
import sys
import timeit
from typing import Any

import pytest

from eng.config import ConfigDict
from eng.registry import MODELS, DefaultScope, Registry, check

REFERENCE = """
import json, timeit
from mmengine.registry import Registry
from mmengine.config import ConfigDict
things = Registry("thing", scope="base")
@things.register_module()
class Thing:
    def __init__(self, a): self.a = a
times = {}
for name, cfg in dict(plain=dict(type="Thing", a=1), config=ConfigDict(type="Thing", a=1)).items():
    build = timeit.Timer(lambda: things.build(cfg))
    times[name] = min(build.timeit(5000) / 5000 for _ in range(7))
times["get"] = min(timeit.Timer(lambda: things.get("Thing")).timeit(5000) / 5000 for _ in range(7))
print(json.dumps(times))
"""


class Thing:
    def __init__(self, a: int) -> None:
        self.a = a


@pytest.fixture
def things() -> Registry:
    registry = Registry("thing", scope="base")
    registry.register_module(module=Thing)
    return registry


def compared(versus: Any, name: str, ours_us: float, theirs_us: float, target: str) -> None:
    versus.report(name, f"{ours_us / theirs_us:.3f}x", target, f"{ours_us:.2f} us against {theirs_us:.2f} us")


def test_build_of_a_one_argument_class(versus: Any, reference: Any, things: Registry) -> None:
    cfg = dict(type="Thing", a=1)
    theirs = reference(REFERENCE)
    ours = versus.per_call("Registry.build, plain dict", lambda: things.build(cfg), target="<= 5 us")
    compared(versus, "Registry.build against MMEngine", ours, theirs["plain"] * 1e6, "<= 0.25")
    located = ConfigDict(cfg)
    ours = versus.per_call("Registry.build, ConfigDict", lambda: things.build(located), target="<= 5 us")
    compared(versus, "Registry.build of a ConfigDict against MMEngine", ours, theirs["config"] * 1e6, "<= 0.25")
    with DefaultScope.overwrite_default_scope("base"):
        versus.per_call("Registry.build in a default scope", lambda: things.build(cfg), target="<= 5 us")
    ours = versus.per_call("Registry.get", lambda: things.get("Thing"), target="<= 0.5 us")
    compared(versus, "Registry.get against MMEngine", ours, theirs["get"] * 1e6, "<= 0.5")


@pytest.mark.parametrize("num_nodes", [100, 1000, 10000])
def test_check_grows_with_the_number_of_nodes(versus: Any, num_nodes: int) -> None:
    name = "ThingOfThisBenchmark"
    MODELS.register_module(name=name, module=Thing, force=True)
    cfg = dict(model=[dict(type=name, a=1) for _ in range(num_nodes)])
    seconds = min(timeit.repeat(lambda: check(cfg), number=1, repeat=5))
    target = "equal per node"
    versus.report(f"check, {num_nodes} nodes", f"{seconds / num_nodes * 1e6:.1f} us", target, f"{seconds * 1e3:.1f} ms")


LINES = """
import time, torch
start = time.perf_counter()
from pathlib import Path
from tempfile import TemporaryDirectory
from eng.config import Config
from eng.registry import check
imported = time.perf_counter() - start
text = "model = [\\n" + "".join(f"    dict(type='Linear{i}',\\n        features={i}),\\n" for i in range(150)) + "]\\n"
with TemporaryDirectory() as folder:
    file = Path(folder, "a.py")
    file.write_text(text)
    start = time.perf_counter()
    findings = check(Config.fromfile(file))
print(imported, time.perf_counter() - start, len(findings))
"""


def test_check_of_a_300_line_config_full_of_mistakes(versus: Any) -> None:
    done = subprocess.run([sys.executable, "-c", LINES], capture_output=True, text=True, timeout=120, check=True)
    imported, seconds, findings = done.stdout.split()
    assert findings == "150"
    versus.report(
        "eng config check, 300 lines", f"{float(seconds):.2f} s", "<= 1 s", f"beside {float(imported):.2f} s of imports"
    )


def test_import(versus: Any) -> None:
    code = "import time; t = time.perf_counter(); import eng.registry; print(time.perf_counter() - t)"
    times = [
        float(
            subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout
        )
        for _ in range(5)
    ]
    versus.report("import eng.registry", f"{min(times) * 1e3:.0f} ms", "<= 100 ms", "beyond the interpreter")
