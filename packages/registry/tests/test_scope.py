from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from eng.registry import DefaultScope, _scope, init_default_scope


def current() -> str | None:
    scope = DefaultScope.get_current_instance()
    return scope.scope_name if scope else None


def test_none_before_any_is_set() -> None:
    assert current() is None


def test_overwriting_holds_for_the_block_and_nests() -> None:
    with DefaultScope.overwrite_default_scope("a"):
        with DefaultScope.overwrite_default_scope("b"):
            assert current() == "b"
            with DefaultScope.overwrite_default_scope(None):
                assert current() == "b"
        assert current() == "a"
    assert current() is None


def test_scope_is_restored_after_an_error() -> None:
    with pytest.raises(OSError, match="x"), DefaultScope.overwrite_default_scope("a"):
        raise OSError("x")
    assert current() is None


def test_init_default_scope_sets_and_changes(caplog) -> None:
    init_default_scope("a")
    assert current() == "a"
    init_default_scope("b")
    assert current() == "b"
    assert "changes from 'a' to 'b'" in caplog.text
    init_default_scope("a")
    assert current() == "a"


def test_a_new_instance_becomes_current() -> None:
    DefaultScope.get_instance("exp1", scope_name="mm")
    assert current() == "mm"
    assert DefaultScope.get_current_instance().instance_name == "exp1"


def test_scope_name_must_be_a_string() -> None:
    with pytest.raises(TypeError, match="scope_name should be a string, but got 3"):
        DefaultScope.get_instance("x", scope_name=3)


def test_threads_do_not_disturb_one_another() -> None:
    barrier = threading.Barrier(2, timeout=10)
    seen: dict[str, list] = {"a": [], "b": []}

    def work(name: str) -> None:
        with DefaultScope.overwrite_default_scope(name):
            for _ in range(20):
                barrier.wait()
                seen[name].append(current())
        init_default_scope(name)
        barrier.wait()
        seen[name].append(current())

    threads = [threading.Thread(target=contextvars.Context().run, args=(work, name)) for name in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert seen == {"a": ["a"] * 21, "b": ["b"] * 21}


def test_a_thread_without_a_scope_sees_the_latest_of_the_process() -> None:
    found: list = []

    def work() -> None:
        contextvars.Context().run(lambda: found.append(current()))

    _scope._CURRENT.set(None)
    DefaultScope.get_instance("run", scope_name="mm")
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(timeout=5)
    assert found == ["mm"]


def test_tasks_do_not_disturb_one_another() -> None:
    async def work(name: str) -> str | None:
        with DefaultScope.overwrite_default_scope(name):
            await asyncio.sleep(0)
            return current()

    async def both() -> list:
        return await asyncio.gather(work("a"), work("b"))

    assert asyncio.run(both()) == ["a", "b"]
