from __future__ import annotations

import threading
import time

import pytest

from eng.registry import ManagerMixin


def board_class(delay_s: float = 0.0) -> type:
    class Board(ManagerMixin):
        built = 0

        def __init__(self, name: str = "", value: int = 0) -> None:
            super().__init__(name)
            time.sleep(delay_s)
            type(self).built += 1
            self.value = value

    return Board


def test_instances_are_found_by_name_and_the_last_created_is_current() -> None:
    board = board_class()
    first = board.get_instance("first", value=50)
    second = board.get_instance("second", value=100)
    assert board.get_instance("first") is first
    assert board.get_current_instance() is second
    assert first.instance_name == "first"
    assert board.check_instance_created("first")
    assert not board.check_instance_created("third")


def test_keywords_for_an_existing_instance_are_warned_about() -> None:
    board = board_class()
    board.get_instance("first", value=1)
    with pytest.warns(UserWarning, match="Board 'first' exists already; 'value' has no effect on it"):
        assert board.get_instance("first", value=2).value == 1


def test_current_instance_without_any_says_how_to_create_one() -> None:
    with pytest.raises(RuntimeError, match=r"no Board yet; create one by Board\.get_instance"):
        board_class().get_current_instance()


@pytest.mark.parametrize("name", ["", 3, None], ids=repr)
def test_bad_name(name: object) -> None:
    with pytest.raises(ValueError, match="a name that is a string and not empty"):
        board_class()(name)


def test_get_instance_with_a_number() -> None:
    with pytest.raises(TypeError, match="needs a name that is a string, not 3"):
        board_class().get_instance(3)


def test_class_without_name_argument_is_refused_when_defined() -> None:
    with pytest.raises(TypeError, match="needs an argument 'name'"):

        class Nameless(ManagerMixin):
            def __init__(self) -> None:
                super().__init__("x")


def test_subclasses_do_not_share_instances() -> None:
    board = board_class()

    class Other(board):
        pass

    board.get_instance("x")
    assert not Other.check_instance_created("x")


def test_threads_get_one_instance_built_once() -> None:
    board = board_class(delay_s=0.02)
    found: list = []
    barrier = threading.Barrier(8)

    def ask() -> None:
        barrier.wait()
        found.append(board.get_instance("shared"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert board.built == 1
    assert len(found) == 8
    assert len(set(map(id, found))) == 1


def test_failing_constructor_leaves_the_lock_free() -> None:
    class Fragile(ManagerMixin):
        def __init__(self, name: str, fail: bool = False) -> None:
            super().__init__(name)
            if fail:
                raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        Fragile.get_instance("x", fail=True)
    assert not Fragile.check_instance_created("x")
    worker = threading.Thread(target=Fragile.get_instance, args=("x",), daemon=True)
    worker.start()
    worker.join(timeout=5)
    assert Fragile.check_instance_created("x")


def test_constructor_may_ask_for_another_instance() -> None:
    class Nested(ManagerMixin):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            if name == "outer":
                Nested.get_instance("inner")

    Nested.get_instance("outer")
    assert Nested.check_instance_created("inner")


def test_an_instance_becomes_current_again() -> None:
    board = board_class()
    first, second = board.get_instance("first"), board.get_instance("second")
    assert board.make_current("first") == "second"
    assert board.get_current_instance() is first
    assert board.make_current("third") == "first"
    assert board.make_current("second") == "first"
    assert board.get_current_instance() is second
    assert board_class().make_current("first") is None


def test_a_released_instance_is_forgotten_at_once_or_when_it_is_not_current_any_more() -> None:
    board = board_class()
    first, second = board.get_instance("first"), board.get_instance("second")
    first.release()
    second.release()
    assert not board.check_instance_created("first")
    assert board.get_current_instance() is second
    third = board.get_instance("third")
    assert not board.check_instance_created("second")
    assert board.get_current_instance() is third
    second.release()
    first.release()  # it is known no more
    assert board.get_instance("first") is not first
    first.release()  # nor is the one that has its name now forgotten with it
    board.get_instance("fourth")
    assert board.check_instance_created("first")
