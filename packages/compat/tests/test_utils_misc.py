from __future__ import annotations

import os
import sys

import pytest

from eng.compat.utils import misc


def test_tuples() -> None:
    assert (misc.to_2tuple(3), misc.to_2tuple([1, 2]), misc.to_3tuple("ab")) == ((3, 3), [1, 2], "ab")


def test_sequence_types() -> None:
    assert misc.is_seq_of((1, 2), int)
    assert not misc.is_list_of((1, 2), int)
    assert misc.is_tuple_of((), int)
    assert not misc.is_seq_of(3, int)
    assert misc.is_str("a")


def test_casts_slices_and_joins() -> None:
    assert misc.list_cast(["1", "2"], int) == [1, 2]
    assert misc.tuple_cast([1.5], str) == ("1.5",)
    assert list(misc.iter_cast("12", int)) == [1, 2]
    assert misc.slice_list([1, 2, 3, 4], 2) == [[1, 2], [3, 4]]
    assert misc.concat_list([[1], [], [2, 3]]) == [1, 2, 3]
    with pytest.raises(ValueError, match="pieces of 2 in all"):
        misc.slice_list([1, 2, 3], [1, 1])
    with pytest.raises(ValueError, match="cut into pieces of 2"):
        misc.slice_list([1, 2, 3], 2)
    with pytest.raises(TypeError, match="iterable"):
        misc.iter_cast(3, int)


def test_apply_to_keeps_the_containers() -> None:
    data = {"a": [1, (2, "x")], "b": None}
    assert misc.apply_to(data, lambda x: isinstance(x, int), lambda x: x + 1) == {"a": [2, (3, "x")], "b": None}


def test_imports_by_name() -> None:
    assert misc.import_modules_from_strings(["os.path", "sys"]) == [os.path, sys]
    assert misc.import_modules_from_strings([]) is None
    with pytest.raises(ImportError, match="cannot import 'no_such_module'"):
        misc.import_modules_from_strings("no_such_module")
    with pytest.warns(UserWarning, match="going on without it"):
        assert misc.import_modules_from_strings("no_such_module", allow_failed_imports=True) is None
    with pytest.raises(TypeError, match="a name or a list of names"):
        misc.import_modules_from_strings({"a": 1})
    assert misc.get_object_from_string("os.path.join") is os.path.join
    assert misc.get_object_from_string("no.such.thing") is None


def test_prerequisites(capsys) -> None:
    @misc.requires_package(["os", "no_such_module.part"])
    def needs_packages():
        return 1

    @misc.requires_executable("no-such-program")
    def needs_program():
        return 1

    with pytest.raises(RuntimeError, match=r"no_such_module\.part.*needs_packages"):
        needs_packages()
    with pytest.raises(RuntimeError, match="no-such-program"):
        needs_program()
    assert "no-such-program" in capsys.readouterr().out
    assert misc.requires_package("os")(lambda: 1)() == 1


def test_old_argument_names() -> None:
    @misc.deprecated_api_warning({"old": "new"}, cls_name="Cls")
    def function(new):
        return new

    with pytest.warns(DeprecationWarning, match=r"Cls\.function: the argument 'old'.*'new'"):
        assert function(old=3) == 3
    with pytest.raises(TypeError, match="'old' is the old name of 'new'"):
        function(old=1, new=2)


def test_a_deprecated_function_warns_once() -> None:
    @misc.deprecated_function("1.0", "2.0", "Call other().")
    def function():
        """Does it."""
        return 1

    with pytest.warns(DeprecationWarning, match=r"since 1\.0; version 2\.0 comes without it\. Call other"):
        function()
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert function() == 1
    assert "Does it." in function.__doc__


def test_overridden_methods() -> None:
    class Base:
        def run(self):
            pass

        def stop(self):
            pass

    class Child(Base):
        def run(self):
            pass

    assert misc.is_method_overridden("run", Base, Child)
    assert not misc.is_method_overridden("stop", Base, Child())
    assert misc.has_method(Child(), "stop")
    with pytest.raises(TypeError, match="must be a class"):
        misc.is_method_overridden("run", Base(), Child)
