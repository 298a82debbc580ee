"""Members of MMEngine's public classes are there under the alias, and those that libraries assign can be assigned."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

CHECK = """
import importlib, json, sys, warnings
warnings.filterwarnings("ignore")
sys.path.insert(0, sys.argv[1])
import eng.compat
eng.compat.install()
from members_of import members_of
missing = []
for full, members in json.load(open(sys.argv[1] + "/members.json")).items():
    module, _, name = full.rpartition(".")
    try:
        cls = getattr(importlib.import_module(module), name)
    except AttributeError:
        continue  # test_names.py lists these
    have = members_of(cls, "eng") | set(dir(cls))
    missing += [f"{full}.{member}" for member in members if member not in have]
print(json.dumps(missing))
"""


def test_every_member_is_there_or_listed_with_its_reason() -> None:
    done = subprocess.run([sys.executable, "-c", CHECK, str(HERE)], capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr[-2000:]
    listed = json.loads((HERE / "members_left_out.json").read_text(encoding="utf-8"))
    left_out = {name for names in listed.values() for name in names}
    missing = set(json.loads(done.stdout.splitlines()[-1]))
    assert missing - left_out == set()


def test_no_member_that_a_library_uses_is_left_out_for_good() -> None:
    members = json.loads((HERE / "members.json").read_text(encoding="utf-8"))
    used = {f"{full}.{name}" for full, names in members.items() for name, users in names.items() if users}
    listed = json.loads((HERE / "members_left_out.json").read_text(encoding="utf-8"))
    on_instances = "set on instances by another package's base class, or for the time of a call"
    for reason, names in listed.items():
        if reason != on_instances:
            assert set(names) & used == set(), reason
