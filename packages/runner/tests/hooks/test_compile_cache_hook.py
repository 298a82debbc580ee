"""Artifacts of torch.compile from start to start, and files that a user did not write."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from eng.hooks import CompileCacheHook, _compiled_files
from eng.hooks._signed_file import ForeignFile, key_file, read_signed, write_signed
from eng.logging.errors import UsageError


@pytest.fixture(autouse=True)
def own_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))


class Compiler:
    """Stands for torch's store of artifacts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, content: bytes = b"") -> None:
        self.content, self.loaded, self.saves = content, [], 0
        monkeypatch.setattr(torch.compiler, "save_cache_artifacts", self._save, raising=False)
        monkeypatch.setattr(torch.compiler, "load_cache_artifacts", self.loaded.append, raising=False)

    def _save(self):
        self.saves += 1
        return (self.content, {"artifacts": len(self.content)}) if self.content else None


def test_the_second_start_loads_what_the_first_compiled(make_runner, monkeypatch, tmp_path) -> None:
    compiler = Compiler(monkeypatch, b"programs")
    settings = dict(compile=dict(backend="eager", cache=True), work_dir=tmp_path / "run")
    make_runner(**settings).train()
    assert compiler.loaded == [] and compiler.saves == 2  # after two iterations, and at the end
    make_runner(**settings).train()
    assert compiler.loaded == [b"programs"]
    assert [path.name for path in (tmp_path / "run").glob("compile_cache*")] == ["compile_cache.bin"]


def test_without_the_setting_nothing_is_written_or_read(make_runner, monkeypatch, tmp_path) -> None:
    compiler = Compiler(monkeypatch, b"programs")
    (tmp_path / "run").mkdir()
    write_signed(tmp_path / "run" / "compile_cache.bin", b"programs", b"any")
    make_runner(compile=dict(backend="eager"), work_dir=tmp_path / "run").train()
    assert compiler.loaded == [] and compiler.saves == 0


def test_a_hostile_folder_is_left_alone(monkeypatch, tmp_path, caplog) -> None:
    compiler = Compiler(monkeypatch, b"programs")
    hook, run = CompileCacheHook(), SimpleNamespace(work_dir=str(tmp_path))
    file = tmp_path / "compile_cache.bin"
    hook._iterations = 1
    hook.after_run(run)
    written = file.read_bytes()
    changed = bytearray(written)
    changed[-1] ^= 1
    for content in (b"", b"hostile programs", b"\0" * 32 + b"hostile", bytes(changed), written[32:], written[:-1]):
        file.write_bytes(content)
        hook.before_train(run)
    assert compiler.loaded == [] and caplog.text.count("is not loaded: this user did not write it with torch") == 6
    file.write_bytes(written)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home of another user"))
    hook.before_train(run)
    assert compiler.loaded == []
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    hook.before_train(run)
    assert compiler.loaded == [b"programs"]


def test_a_file_of_another_torch_is_left_alone(monkeypatch, tmp_path) -> None:
    compiler = Compiler(monkeypatch, b"programs")
    hook, run = CompileCacheHook(), SimpleNamespace(work_dir=str(tmp_path))
    hook._iterations = 1
    hook.after_run(run)
    monkeypatch.setattr(torch, "__version__", "99.0")
    hook.before_train(run)
    assert compiler.loaded == []


def test_a_file_for_another_processor_is_left_alone(monkeypatch, tmp_path) -> None:
    compiler = Compiler(monkeypatch, b"programs")
    hook, run = CompileCacheHook(), SimpleNamespace(work_dir=str(tmp_path))
    hook._iterations = 1
    hook.after_run(run)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "ANOTHER")
    hook.before_train(run)
    assert compiler.loaded == []


def test_a_folder_in_place_of_the_file_is_left_alone(make_runner, monkeypatch, tmp_path, caplog) -> None:
    compiler = Compiler(monkeypatch, b"programs")
    (tmp_path / "run" / "compile_cache.bin").mkdir(parents=True)
    runner = make_runner(compile=dict(backend="eager", cache=True), work_dir=tmp_path / "run")
    runner.train()
    assert runner.iter == runner.max_iters and compiler.loaded == []
    assert "compile_cache.bin is not loaded" in caplog.text and "compile_cache.bin is not written" in caplog.text


@pytest.mark.parametrize("key", [None, b""])
def test_without_a_key_a_training_goes_on(make_runner, monkeypatch, tmp_path, caplog, key) -> None:
    Compiler(monkeypatch, b"programs")
    if key is None:  # no folder can be made there
        (tmp_path / "home").write_bytes(b"")
    else:
        key_file().parent.mkdir(parents=True)
        key_file().write_bytes(key)
    runner = make_runner(compile=dict(backend="eager", cache=True), work_dir=tmp_path / "run")
    runner.train()
    assert runner.iter == runner.max_iters and "compile_cache.bin is not written" in caplog.text
    assert list((tmp_path / "run").glob("compile_cache*")) == []


def test_a_torch_without_artifacts_is_named(monkeypatch) -> None:
    monkeypatch.delattr(torch.compiler, "save_cache_artifacts", raising=False)
    with pytest.raises(UsageError, match="needs torch 2.7 or newer, this is"):
        CompileCacheHook()


def test_the_key_is_made_once_for_the_user_only(tmp_path) -> None:
    write_signed(tmp_path / "a", b"one", b"p")
    key = key_file().read_bytes()
    write_signed(tmp_path / "b", b"two", b"p")
    assert key_file().read_bytes() == key and len(key) == 32
    if os.name == "posix":
        assert stat.S_IMODE(key_file().stat().st_mode) == 0o600
    assert (read_signed(tmp_path / "a", b"p"), read_signed(tmp_path / "b", b"p")) == (b"one", b"two")
    with pytest.raises(ForeignFile, match="a$"):
        read_signed(tmp_path / "a", b"q")
    with pytest.raises(FileNotFoundError, match="missing"):
        read_signed(tmp_path / "missing", b"p")


def test_libraries_of_this_process_travel_with_the_artifacts(monkeypatch, tmp_path) -> None:
    compiler = Compiler(monkeypatch)
    old, new, foreign = (tmp_path / "compiled" / folder / f"{folder}.so" for folder in ("old", "new", "foreign"))
    for path in (old, new, foreign):
        path.parent.mkdir(parents=True)
        path.write_bytes(path.stem.encode())
    os.utime(old, (1, 1))
    os.utime(foreign, (1, 1))
    monkeypatch.setattr(_compiled_files, "_loaded_libraries", lambda: {str(old)})
    content = _compiled_files.pack(b"programs", since=1000.0)
    for path in (old, new, foreign):
        path.unlink()
    new.write_bytes(b"is there")
    _compiled_files.unpack(content)
    assert compiler.loaded == [b"programs"]
    assert (old.read_bytes(), new.read_bytes(), foreign.exists()) == (b"old", b"is there", False)


def test_libraries_behind_a_link_travel_and_those_that_vanish_do_not(monkeypatch, tmp_path) -> None:
    compiler = Compiler(monkeypatch)
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "compiled").symlink_to(real)
    old = real / "old.so"
    old.write_bytes(b"old")
    os.utime(old, (1, 1))
    for name in ("gone.so", "lost.so"):
        (real / name).symlink_to(tmp_path / "nothing")  # listed, and not there when it is looked at
    monkeypatch.setattr(_compiled_files, "_loaded_libraries", lambda: {str(old), str(real / "gone.so")})
    content = _compiled_files.pack(b"programs", since=1000.0)
    old.unlink()
    _compiled_files.unpack(content)
    assert compiler.loaded == [b"programs"]
    assert old.read_bytes() == b"old"
