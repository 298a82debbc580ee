"""The helpers of `mmengine.utils` that need neither torch nor another package of eng."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time

import pytest

from eng.compat.utils import misc, package_utils, path, progressbar, timer, version_utils
from eng.compat.version import parse_version_info


# Taken from MMEngine 0.10.7: digit_version of each text.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.0.0rc1", (1, 0, 0, 0, -1, 1)),
        ("2.1.0+cu118", (2, 1, 0, 0, 0, 0)),
        ("0.10.7", (0, 10, 7, 0, 0, 0)),
        ("1.2.3.dev4", (1, 2, 3, 0, -4, 0)),
        ("1.0.post1", (1, 0, 0, 0, 1, 1)),
        ("1.0a2", (1, 0, 0, 0, -3, 2)),
        ("1.0b1", (1, 0, 0, 0, -2, 1)),
    ],
)
def test_digit_version(text, expected) -> None:
    assert version_utils.digit_version(text) == expected


def test_versions_compare_in_their_order() -> None:
    ordered = ["1.0.dev0", "1.0a1", "1.0b1", "1.0rc1", "1.0rc2", "1.0", "1.0.post1", "1.0.1", "1.1"]
    digits = [version_utils.digit_version(text) for text in ordered]
    assert digits == sorted(digits)


def test_no_version() -> None:
    with pytest.raises(ValueError, match="'latest' is no version"):
        version_utils.digit_version("latest")


def test_git_hash_of_a_repository_and_of_none(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert version_utils.get_git_hash("nothing") == "nothing"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    assert len(version_utils.get_git_hash()) == 40
    assert len(version_utils.get_git_hash(digits=7)) == 7
    with pytest.raises(TypeError, match="digits"):
        version_utils.get_git_hash(digits="7")


def test_parse_version_info() -> None:
    assert parse_version_info("2.0.0rc4") == (2, 0, 0, "rc4")


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


def test_files_and_folders(tmp_path) -> None:
    for name in ("a.txt", "b.TXT", ".hidden.txt", "sub/c.txt"):
        file = tmp_path / name
        path.mkdir_or_exist(file.parent)
        file.touch()
    assert sorted(path.scandir(tmp_path, ".txt")) == ["a.txt"]
    assert sorted(path.scandir(tmp_path, (".txt",), recursive=True, case_sensitive=False)) == [
        "a.txt",
        "b.TXT",
        "sub/c.txt",
    ]
    with pytest.raises(TypeError, match="suffix"):
        path.scandir(tmp_path, suffix=3)
    with pytest.raises(FileNotFoundError, match='file ".*nope" does not exist'):
        path.check_file_exist(tmp_path / "nope")
    path.symlink(tmp_path / "a.txt", tmp_path / "link")
    path.symlink(tmp_path / "b.TXT", tmp_path / "link")
    assert (tmp_path / "link").resolve().name == "b.TXT"
    with path.fopen(tmp_path / "a.txt", "w") as file:
        file.write("x")
    with pytest.raises(ValueError, match="filepath takes a str or a Path"):
        path.fopen(3)
    (tmp_path / ".git").mkdir()
    assert path.find_vcs_root(tmp_path / "sub/c.txt") == str(tmp_path)
    assert path.is_abs("s3://a/b") and path.is_abs(str(tmp_path)) and not path.is_abs("a/b")
    path.mkdir_or_exist("")


def test_installed_packages() -> None:
    assert package_utils.is_installed("pytest") and package_utils.is_installed("eng.compat")
    assert not package_utils.is_installed("no_such_package")
    assert package_utils.get_installed_path("pytest") == os.path.dirname(pytest.__file__)
    with pytest.raises(ModuleNotFoundError, match="'no_such_package' is not installed here"):
        package_utils.get_installed_path("no_such_package")
    package_utils.call_command([sys.executable, "-c", ""])
    with pytest.raises(subprocess.CalledProcessError):
        package_utils.call_command([sys.executable, "-c", "raise SystemExit(3)"])


def test_timer(capsys) -> None:
    stopped = timer.Timer(start=False)
    assert not stopped.is_running
    with pytest.raises(timer.TimerError, match="call start"):
        stopped.since_start()
    stopped.start()
    time.sleep(0.01)
    assert stopped.since_last_check() >= 0.01
    assert stopped.since_last_check() < stopped.since_start()
    with timer.Timer(print_tmpl="{:.0f} s"):
        pass
    assert capsys.readouterr().out == "0 s\n"
    assert timer.check_time("one of these tests") == 0
    assert timer.check_time("one of these tests") > 0


def square(x, power=2):
    return x**power


def test_progress_bars() -> None:
    out = io.StringIO()
    assert progressbar.track_progress(square, [1, 2, 3], file=out, power=3) == [1, 8, 27]
    assert "3/3" in out.getvalue() and out.getvalue().endswith("\n")
    assert list(progressbar.track_iter_progress((iter([1, 2]), 2), file=out)) == [1, 2]
    with pytest.raises(TypeError, match="an iterable and its length"):
        progressbar.track_progress(square, 3, file=out)
    endless = progressbar.ProgressBar(file=out)
    endless.update(2)
    assert "completed: 2" in out.getvalue()
    with pytest.raises(ValueError, match="at least 1"):
        endless.update(0)


@pytest.mark.parametrize("keep_order", [True, False])
def test_parallel_progress(keep_order) -> None:
    out = io.StringIO()
    results = progressbar.track_parallel_progress(
        square, list(range(6)), 2, skip_first=True, keep_order=keep_order, file=out
    )
    assert sorted(results) == [0, 1, 4, 9, 16, 25]
    assert not keep_order or results == [0, 1, 4, 9, 16, 25]
    assert "4/4" in out.getvalue()
