"""Speed of eng.config beside MMEngine 0.10.7: loading a deep inheritance, printing, growth with the number of keys."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eng.config import Config
from eng.config._python import _cached_code

DEPTH, BLOCKS = 5, 10
REFERENCE = """
import json, sys, timeit
from mmengine.config import Config
path = sys.argv[1]
load = lambda: Config.fromfile(path)
cfg = load()
text = lambda: cfg.pretty_text
best = lambda f: min(timeit.repeat(f, number=5, repeat=7)) / 5
print(json.dumps({"load": best(load), "text": best(text)}))
"""


PURE_LIBRARIES = ("xtuner", "opencompass")
# Each file once, in processor time, so that other work on the machine counts for neither.
LOAD_ALL = """
import contextlib, importlib.util, io, json, pathlib, sys, time
{imports}
folder = pathlib.Path(importlib.util.find_spec(sys.argv[1]).submodule_search_locations[0]) / "configs"
files = sorted(path for path in folder.rglob("*.py") if path.name != "__init__.py")[:: int(sys.argv[2])]
count = seconds = 0
for path in files:
    begin = time.process_time()
    with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
        Config.fromfile(path, import_custom_modules=False)
        seconds += time.process_time() - begin
        count += 1
print(json.dumps([count, seconds / count]))
"""


def block(name: str, number: int) -> str:
    """A realistic setting of eight keys on nine lines."""
    return (
        f"{name} = dict(\n    type='Block{number}',\n    in_channels={number},\n    lr=0.{number + 1},\n"
        f"    norm=dict(type='BN', requires_grad=True),\n    sizes=[{number}, 2, 3],\n    mode='train',\n)\n"
    )


def write_chain(folder: Path) -> Path:
    """Five files, each the base of the next; the last overrides a key of each block of the first."""
    for level in range(DEPTH):
        text = f"_base_ = './level{level - 1}.py'\n" if level else ""
        text += "".join(block(f"part_{level}_{number}", number) for number in range(BLOCKS))
        text += "".join(f"part_{level - 1}_{number} = dict(lr=1.0)\n" for number in range(3) if level)
        (folder / f"level{level}.py").write_text(text, encoding="utf-8")
    return folder / f"level{DEPTH - 1}.py"


def count_keys(value: Any) -> int:
    return sum(1 + count_keys(item) for item in value.values()) if isinstance(value, dict) else 0


def load_cold(path: Path) -> Config:
    """A load that compiles every file, as the first one of a process does."""
    _cached_code.cache_clear()
    return Config.fromfile(path)


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    return write_chain(tmp_path)


def test_load_of_a_five_deep_inheritance(chain: Path, versus: Any, reference: Any) -> None:
    assert count_keys(Config.fromfile(chain).to_dict()) >= 400
    mine = versus.per_call("config: load 5 deep, 450 keys", lambda: Config.fromfile(chain), target="<= 5000 us")
    cold = versus.per_call("config: load 5 deep, no base read before", lambda: load_cold(chain), target="<= 5000 us")
    theirs = reference(REFERENCE, str(chain))["load"] * 1e6
    versus.report("config: load, times faster than mmengine", f"{theirs / mine:.1f}x", ">= 10", f"{theirs:.0f} us")
    versus.report("config: load, the same with nothing compiled", f"{theirs / cold:.1f}x", ">= 10", f"{cold:.0f} us")


@pytest.mark.parametrize("library", PURE_LIBRARIES)
def test_load_of_the_pure_python_configs_of_a_library(library: str, versus: Any, reference: Any) -> None:
    """Every configuration file that the library ships, each loaded once."""
    step = {"xtuner": "1", "opencompass": "8"}[library]
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    own = LOAD_ALL.format(imports="from eng.config import Config")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", own, library, step],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    count, mine = json.loads(done.stdout)
    _, theirs = reference(LOAD_ALL.format(imports="from mmengine.config import Config"), library, step)
    versus.report(
        f"config: load {count} pure-Python files of {library}, times faster than mmengine",
        f"{theirs / mine:.1f}x", ">= 5", f"{theirs * 1e6:.0f} us against {mine * 1e6:.0f} us a file",
    )  # fmt: skip


def test_pretty_text(chain: Path, versus: Any, reference: Any) -> None:
    cfg = Config.fromfile(chain)
    mine = versus.per_call("config: pretty_text, 450 keys", lambda: cfg.pretty_text, target="<= 5000 us")
    theirs = reference(REFERENCE, str(chain))["text"] * 1e6
    versus.report(
        "config: pretty_text, times faster than mmengine", f"{theirs / mine:.0f}x", ">= 20", f"{theirs:.0f} us"
    )


@pytest.mark.parametrize("keys", [100, 1_000, 10_000], ids=str)
def test_cost_per_key_does_not_grow(keys: int, tmp_path: Path, versus: Any) -> None:
    path = tmp_path / "flat.py"
    path.write_text("".join(block(f"part_{number}", number) for number in range(keys // 9)), encoding="utf-8")
    cfg = Config.fromfile(path)
    for name, call in [("load", lambda: Config.fromfile(path)), ("pretty_text", lambda: cfg.pretty_text)]:
        total = versus.per_call(f"config: {name}, {keys} keys", call, target="linear", rounds=3)
        versus.report(f"config: {name}, per key at {keys}", f"{total / keys:.2f} us", "the same", "")


def test_import_time(versus: Any) -> None:
    code = "import time; t = time.perf_counter(); import eng.config; print((time.perf_counter() - t) * 1e3)"
    times = [
        float(
            subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
        )
        for _ in range(5)
    ]
    versus.report(
        "config: import eng.config", f"{min(times):.0f} ms", "<= 100 ms", json.dumps([round(t) for t in times])
    )
