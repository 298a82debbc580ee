from __future__ import annotations

import os
import subprocess
import sys
import threading
from importlib import metadata
from pathlib import Path

import pytest
from alias_parts import run

from eng import compat
from eng.compat import _path_entry
from eng.compat.version import __version__ as version_of_mmengine

CHILD = "from mmengine.version import version_info; import mmengine; print(mmengine.__name__, version_info[:2])"
PARENT = """
import subprocess, sys
from eng import compat

compat.install()
sys.exit(subprocess.run([sys.executable, *sys.argv[1:]]).returncode)
"""
ANSWER = "eng.compat.toplevel (0, 10)"


@pytest.mark.parametrize(
    ("before", "during"),
    [(None, "{}"), ("", "{}"), ("a", "{}:a"), ("a::b", "{}:a::b"), (":a", "{}::a"), ("a:", "{}:a:")],
    ids=["unset", "empty", "one", "with a gap", "gap first", "gap last"],
)
def test_the_variable_holds_the_folder_while_the_alias_is_installed(monkeypatch, before, during) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    if before is not None:
        monkeypatch.setenv("PYTHONPATH", before.replace(":", os.pathsep))
    path = list(sys.path)
    compat.install()
    compat.install()
    assert os.environ["PYTHONPATH"] == during.format(_path_entry.FOLDER).replace(":", os.pathsep)
    assert sys.path.count(_path_entry.FOLDER) == 1
    compat.uninstall()
    assert os.environ.get("PYTHONPATH", "") == (before or "").replace(":", os.pathsep)
    assert sys.path == path


def test_a_program_that_python_starts_has_the_alias(tmp_path) -> None:
    (tmp_path / "parent.py").write_text(PARENT)
    (tmp_path / "child.py").write_text(CHILD)
    for child in (["child.py"], ["-c", CHILD], ["-m", "child"], ["parent.py", "child.py"]):
        done = run("parent.py", *child, cwd=tmp_path)
        assert done.stdout.strip() == ANSWER, (child, done.stderr)


def test_a_child_looks_for_the_alias_without_an_import(tmp_path) -> None:
    """Python holds the lock of all imports meanwhile, so that an import could wait for ever for another thread."""
    (tmp_path / "parent.py").write_text(PARENT)
    (tmp_path / "child.py").write_text(
        "import sys, _eng_compat_start\nbefore = set(sys.modules)\n"
        "print(_eng_compat_start.has_eng_compat(), set(sys.modules) - before)"
    )
    assert run("parent.py", "child.py", cwd=tmp_path).stdout.strip() == "True set()"


def test_a_command_and_what_it_starts_have_the_alias_and_this_python(tmp_path) -> None:
    (tmp_path / "child.py").write_text(f"{CHILD}\nimport sys\nprint(sys.argv[1:])")
    (tmp_path / "launch.sh").write_text(
        '#!/bin/sh\nPYTHONPATH="$(dirname $0)/..":$PYTHONPATH python child.py "$@"\nexit 3\n'
    )
    (tmp_path / "launch.sh").chmod(0o755)
    env = {**os.environ, "PATH": "/usr/bin:/bin"}
    for command in (["sh", "launch.sh", "a b"], ["./launch.sh", "a b"]):
        call = [sys.executable, "-m", "eng.compat", *command]
        done = subprocess.run(call, capture_output=True, text=True, cwd=tmp_path, env=env, timeout=60, check=False)
        assert done.stdout.splitlines() == [ANSWER, "['a b']"], done.stderr
        assert done.returncode == 3


def test_a_class_is_unpickled_by_its_old_path_in_a_child(tmp_path) -> None:
    script = "import pickle; print(pickle.loads(b'cmmengine.utils.timer\\nTimer\\n.').__module__)"
    (tmp_path / "parent.py").write_text(PARENT)
    assert run("parent.py", "-c", script, cwd=tmp_path).stdout.strip() == "eng.compat.utils.timer"


def python(*arguments: str, path: tuple[object, ...] = (), cwd=None) -> subprocess.CompletedProcess[str]:
    """A Python that was started under the alias, with more folders on its path."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (_path_entry.FOLDER, *path)))}
    call = [sys.executable, *arguments]
    return subprocess.run(call, capture_output=True, text=True, env=env, cwd=cwd, timeout=120, check=False)


def test_threads_of_a_child_import_mmengine_for_the_first_time_at_once() -> None:
    done = python(str(Path(__file__).with_name("first_imports.py")))
    assert done.stdout.splitlines() == ["0 failures"], done.stderr


def test_threads_install_the_alias_at_once() -> None:
    installers = [threading.Thread(target=compat.install) for _ in range(8)]
    for thread in installers:
        thread.start()
    for thread in installers:
        thread.join()
    assert [type(finder).__name__ for finder in sys.meta_path].count("AliasFinder") == 1
    compat.uninstall()
    assert not compat.is_installed()


def test_the_sitecustomize_behind_the_folder_runs_too(tmp_path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nVALUE = 7\nprint('customized', __name__)\n")
    script = f"import sitecustomize\n{CHILD}\nprint(sitecustomize.VALUE)"
    done = python("-c", script, path=(tmp_path,))
    assert done.stdout.splitlines() == ["customized sitecustomize", ANSWER, "7"], done.stderr


def test_a_child_whose_path_begins_with_another_sitecustomize_has_the_alias(tmp_path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('customized')\n")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), _path_entry.FOLDER])}
    done = subprocess.run(
        [sys.executable, "-c", CHILD], capture_output=True, text=True, env=env, timeout=60, check=False
    )
    assert done.stdout.splitlines() == ["customized", ANSWER], done.stderr


def test_a_child_that_takes_the_alias_off_has_it_no_more() -> None:
    script = (
        "from eng import compat\nimport mmengine\ncompat.uninstall()\n"
        "try:\n    import mmengine\nexcept ModuleNotFoundError as error:\n    print(error)"
    )
    assert python("-c", script).stdout.strip() == "No module named 'mmengine'"


def test_a_python_with_a_site_and_without_eng_gets_the_package_that_it_has(tmp_path) -> None:
    script = "import sitecustomize, mmengine; from mmengine import part; print(mmengine.VALUE, part.__name__)"
    done = python("-S", "-c", script, path=(fake_mmengine(tmp_path),))  # -S: no installed package, so no eng
    assert done.stdout.strip() == "installed mmengine.part", done.stderr


def fake_mmengine(folder) -> str:
    (folder / "mmengine").mkdir()
    (folder / "mmengine" / "__init__.py").write_text("from mmengine.part import VALUE\n")
    (folder / "mmengine" / "part.py").write_text("VALUE = 'installed'\n")
    return str(folder)


def test_a_python_without_eng_gets_the_package_that_it_has(tmp_path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([_path_entry.FOLDER, fake_mmengine(tmp_path)])}
    script = "import mmengine; from mmengine import part; print(mmengine.VALUE, part.__name__)"
    call = [sys.executable, "-S", "-c", script]  # -S: no installed package, so no eng
    done = subprocess.run(call, capture_output=True, text=True, env=env, timeout=60, check=False)
    assert done.stdout.strip() == "installed mmengine.part", done.stderr
    env["PYTHONPATH"] = _path_entry.FOLDER
    done = subprocess.run(call, capture_output=True, text=True, env=env, timeout=60, check=False)
    assert f"No module named 'mmengine': {sys.executable} has neither eng-compat nor mmengine" in done.stderr


def test_a_python_without_eng_gets_the_editable_package_of_a_finder(tmp_path) -> None:
    """As setuptools installs a checkout: a finder behind those of the path, and no folder on ``sys.path``."""
    folder = os.path.join(fake_mmengine(tmp_path), "mmengine")
    script = f"""
import sys
from importlib.util import spec_from_file_location

class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == "mmengine":
            return spec_from_file_location(name, {folder!r} + "/__init__.py", submodule_search_locations=[{folder!r}])

sys.meta_path.append(Finder)
import mmengine
from mmengine import part
print(mmengine.VALUE, part.__name__, sys.modules["mmengine"] is mmengine)
"""
    env = {**os.environ, "PYTHONPATH": _path_entry.FOLDER}
    call = [sys.executable, "-S", "-c", script]
    done = subprocess.run(call, capture_output=True, text=True, env=env, timeout=60, check=False)
    assert done.stdout.strip() == "installed mmengine.part True", done.stderr


def test_a_child_of_this_environment_takes_eng_before_an_installed_mmengine(tmp_path) -> None:
    env = {**os.environ, "PYTHONPATH": fake_mmengine(tmp_path)}
    (tmp_path / "parent.py").write_text(PARENT)
    call = [sys.executable, str(tmp_path / "parent.py"), "-c", CHILD]
    done = subprocess.run(call, capture_output=True, text=True, env=env, timeout=60, check=False)
    assert done.stdout.strip() == ANSWER, done.stderr


def test_the_version_of_the_distribution_is_that_of_the_module() -> None:
    with compat.alias():
        assert metadata.version("mmengine") == version_of_mmengine
        assert metadata.packages_distributions()["mmengine"][0] == "mmengine"
