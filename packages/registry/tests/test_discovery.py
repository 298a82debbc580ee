from __future__ import annotations

import sys
import threading
import traceback

import pytest

from eng.registry import Registry, _discovery, build_chain
from eng.registry._discovery import distribution_of, import_if_present, object_at

REGISTER = "from {home}.registry import R\n@R.register_module()\nclass {name}:\n    pass\n"


def library(package, name: str = "alib", **files: str) -> Registry:
    registry = f"from eng.registry import Registry\nR = Registry('model', scope={name!r}, locations=['{name}.parts'])\n"
    package(name, registry=registry, **files)
    return __import__(f"{name}.registry", fromlist=["R"]).R


def test_location_is_imported_on_the_first_lookup_only(package) -> None:
    registry = library(package, parts=REGISTER.format(home="alib", name="Part"))
    assert "alib.parts" not in sys.modules
    assert registry.get("Part").__module__ == "alib.parts"


def test_name_that_is_there_needs_no_import(package) -> None:
    registry = library(package, parts="raise OSError('not needed')")
    registry.register_module(name="X", module=int)
    assert registry.get("X") is int


def test_import_error_inside_a_location_comes_with_its_own_traceback(package) -> None:
    registry = library(package, parts="def f():\n    import no_such_thing\nf()\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_thing") as caught:
        registry.get("Part")
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert last.filename.endswith("parts.py")
    assert last.lineno == 2


def test_failed_location_is_tried_again(package) -> None:
    registry = library(package, parts="raise OSError('first')")
    for _ in range(2):
        with pytest.raises(OSError, match="first"):
            registry.get("Part")


def test_error_of_a_location_reaches_the_caller_of_build(package) -> None:
    registry = library(package, parts="1 / 0")
    with pytest.raises(ZeroDivisionError) as caught:
        registry.build(dict(type="Part"))
    assert [node.path for node in build_chain(caught.value)] == ["model"]
    assert traceback.extract_tb(caught.value.__traceback__)[-1].filename.endswith("parts.py")


def test_location_that_does_not_exist_is_passed_over_with_a_warning(package, caplog) -> None:
    registry = library(package)
    registry.register_module(name="Known", module=dict)
    assert registry.get("Part") is None
    assert registry.get("Known") is dict
    registry.get("Other")
    [record] = [record for record in caplog.records if "alib.parts" in record.message]  # warned of once
    assert "there is no module 'alib.parts'" in record.message
    with pytest.raises(KeyError, match=r"its location 'alib\.parts' does not exist"):
        registry.build(dict(type="Part"))


def test_missing_package_of_ours_is_named_with_its_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_discovery._MODULE_TO_DISTRIBUTION, "room_of_no_release", "eng-runner")
    registry = Registry("hook", scope="base", locations=["eng.room_of_no_release"])
    with pytest.raises(KeyError, match=r"eng-runner is not installed.*pip install eng-runner"):
        registry.build(dict(type="CheckpointHook"))
    registry.register_module(name="Known", module=dict)
    assert registry.build(dict(type="Known", a=1)) == {"a": 1}


@pytest.mark.parametrize(
    ("module", "distribution"),
    [("eng.hooks", "eng-runner"), ("eng.config.x", "eng-config"), ("torch.nn", None), ("eng.unknown", None)],
)
def test_distribution_of(module: str, distribution: str | None) -> None:
    assert distribution_of(module) == distribution


def test_scope_brings_its_registry_by_import(package) -> None:
    root = Registry("model", scope="base")
    sys.modules["the_root_of_this_test"] = type(sys)("the_root_of_this_test")
    sys.modules["the_root_of_this_test"].ROOT = root
    package(
        "blib",
        registry=(
            "from the_root_of_this_test import ROOT\nfrom eng.registry import Registry\n"
            "R = Registry('model', parent=ROOT, scope='blib', locations=['blib.parts'])\n"
        ),
        parts=REGISTER.format(home="blib", name="Part"),
    )
    assert root.get("blib.Part").__module__ == "blib.parts"
    assert root.build(dict(type="Part", _scope_="blib")).__class__.__module__ == "blib.parts"
    del sys.modules["the_root_of_this_test"]


def test_library_from_before_locations_registers_all_its_modules(package) -> None:
    package(
        "mmselfsup",
        registry="from eng.registry import Registry\nR = Registry('model', scope='mmselfsup')\n",
        utils=(
            "from mmselfsup.registry import R\n"
            "def register_all_modules(init_default_scope=True):\n"
            "    assert init_default_scope is False\n    R.register_module(name='Part', module=int)\n"
        ),
    )
    from mmselfsup.registry import R

    assert R.get("Part") is int


def test_location_may_look_names_up_while_it_is_imported(package) -> None:
    registry = library(
        package,
        parts=f"{REGISTER.format(home='alib', name='Part')}assert R.get('Absent') is None\nassert R.get('Part') is Part\n",
    )
    assert registry.get("Part") is not None


def test_second_thread_waits_for_the_import(package) -> None:
    slow = f"import time\ntime.sleep(0.2)\n{REGISTER.format(home='alib', name='Part')}"
    registry = library(package, parts=slow)
    found: list = []
    threads = [threading.Thread(target=lambda: found.append(registry.get("Part"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert len(found) == 4
    assert None not in found


def test_import_if_present_tells_absence_from_failure(package) -> None:
    package("clib", broken="import no_such_thing_either")
    assert not import_if_present("clib.absent")
    assert not import_if_present("no_such_package.part")
    with pytest.raises(ModuleNotFoundError, match="no_such_thing_either"):
        import_if_present("clib.broken")


def test_object_at() -> None:
    import collections.abc

    assert object_at("collections.abc.Mapping") is collections.abc.Mapping
    assert object_at("collections.OrderedDict.fromkeys") == collections.OrderedDict.fromkeys
    assert object_at("single") is None
