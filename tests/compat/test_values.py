"""Functions of ``mmengine`` give what MMEngine 0.10.7 gives, over the inputs of ``values.py``."""

from __future__ import annotations

import builtins
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

# Beginning of an expression -> why eng gives something else.
DIFFERENT = {
    "utils.track_progress(double, (1, 2, 3)": "a tuple of tasks is a sequence of tasks",
    "bar_text(0, 2)": "the line of a bar without a total is written over the one before",
    "utils.slice_list([1, 2, 3, 4], 0)": "pieces of length 0 are a wrong value, not a division",
    "utils.slice_list((1, 2), 0)": "pieces of length 0 are a wrong value, not a division",
    "utils.slice_list([], 0)": "pieces of length 0 are a wrong value, not a division",
    "utils.slice_list([], -2)": "pieces of negative length are a wrong value, also of an empty list",
    "utils.slice_list('abcd', 0)": "pieces of length 0 are a wrong value, not a division",
}

EVALUATE = """
import json, sys, warnings
warnings.filterwarnings("ignore")
import eng.compat
eng.compat.install()
sys.path.insert(0, sys.argv[1])
import values
names = values.namespace()
rows = json.load(open(sys.argv[1] + "/values.json"))
print("RESULTS" + json.dumps({expression: values.evaluated(expression, names) for expression in rows}))
"""


def is_caught_as(ours: str, theirs: str) -> bool:
    """Whether code that catches the reference's exception catches ours."""
    return issubclass(getattr(builtins, ours), getattr(builtins, theirs))


def test_values_are_those_of_the_reference() -> None:
    done = subprocess.run([sys.executable, "-c", EVALUATE, str(HERE)], capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr[-2000:]
    ours = json.loads(done.stdout.rpartition("RESULTS")[2])
    reference = json.loads((HERE / "values.json").read_text(encoding="utf-8"))
    assert len(reference) > 1500
    wrong = []
    for expression, (outcome, result) in reference.items():
        our_outcome, our_results = ours[expression]
        if outcome == our_outcome == "raises":
            if any(is_caught_as(name, result[0]) for name in our_results):
                continue
        elif [outcome, result] == [our_outcome, our_results]:
            continue
        if not expression.startswith(tuple(DIFFERENT)):
            wrong.append(f"{expression}: {outcome} {result}, and here {our_outcome} {our_results}")
    assert wrong == []
