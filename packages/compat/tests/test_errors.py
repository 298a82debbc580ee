from __future__ import annotations

from alias_parts import run


def test_after_the_real_mmengine_it_is_an_error(tmp_path) -> None:
    (tmp_path / "mmengine").mkdir()
    (tmp_path / "mmengine/__init__.py").write_text("__version__ = 'real'")
    done = run("-c", "import mmengine, eng.compat; eng.compat.install()", cwd=tmp_path)
    assert done.returncode == 1
    assert "mmengine was imported already" in done.stderr
    assert "python -m eng.compat" in done.stderr
