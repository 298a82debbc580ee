from __future__ import annotations

import multiprocessing

import pytest
from alias_parts import run

SCRIPT = """
import multiprocessing, sys
from mmengine.version import version_info  # at the top, where a spawned child meets it again

def work(number):
    import mmengine.version
    return number * mmengine.version.version_info[1]

if __name__ == "__main__":
    method = sys.argv[1]
    with multiprocessing.get_context(method).Pool(2) as pool:
        print(pool.map(work, [1, 2]), sys.argv)
"""


@pytest.mark.parametrize(
    "method", [m for m in ("fork", "spawn", "forkserver") if m in multiprocessing.get_all_start_methods()]
)
def test_workers_have_the_alias(tmp_path, method) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = run("-m", "eng.compat", "script.py", method, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"[10, 20] ['script.py', '{method}']"
