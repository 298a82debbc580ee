"""The packages of eng-runner import neither slow parts of torch nor libraries that only some runs need."""

from __future__ import annotations

import json
import subprocess
import sys

# Parts of torch that its own import leaves out, and libraries that only some runs need.
SLOW = {
    "torch.distributed.checkpoint", "torch.distributed.tensor", "torch.distributed.fsdp", "torch._dynamo", "torch._inductor",
    "sympy", "cv2", "matplotlib", "tensorboard", "torchao", "torchvision", "sklearn", "pandas", "scipy",
}  # fmt: skip
SCRIPT = """
import json, sys
import torch, torch.utils.data, torch.distributed
before = set(sys.modules)
import eng.checkpoint, eng.dataset, eng.evaluator, eng.hooks, eng.hub, eng.infer, eng.logging, eng.model, eng.optim, eng.runner
import eng.visualization
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_eng_imports_nothing_slow() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=True)
    imported = json.loads(done.stdout)
    assert "eng.runner" in imported
    assert [name for name in imported if name in SLOW] == []
