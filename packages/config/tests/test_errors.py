"""Errors come out of another process as they went in, and tell their place in any traceback."""

from __future__ import annotations

import importlib
import inspect
import pickle
import pkgutil
import traceback
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
from config_parts import Write

import eng.config
from eng.config import Config, ConfigDict, errors

# arguments besides a text that a constructor needs or takes, so that each attribute is filled
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "ConfigFileError": ("wrong", "a.py", 3),
    "ConfigSyntaxError": ("wrong", "a.py", 3, 5, "x = 1 1"),
    "MergeTypeError": ("cannot", ("a", 0)),
    "DumpTypeError": ("cannot", ("a", 0)),
    "MissingKeyError": ("depht", ["depth"]),
    "MissingAttributeError": ("depht", ["depth"]),
    "UndefinedMarkError": (errors.UndefinedVariableError("wrong", "a.py", 2),),
}


def exception_classes() -> list[type[BaseException]]:
    classes = set()
    for info in pkgutil.iter_modules(eng.config.__path__):
        module = importlib.import_module(f"eng.config.{info.name}")
        classes |= {
            item
            for item in vars(module).values()
            if inspect.isclass(item) and issubclass(item, BaseException) and item.__module__.startswith("eng.config")
        }
    return sorted(classes, key=lambda item: item.__name__)


def facts(error: BaseException) -> dict[str, Any]:
    names = ("msg", "filename", "lineno", "offset", "text", "path", "reason", "file", "line", "key")
    return {"type": type(error), "text": str(error), **{name: getattr(error, name, None) for name in names}}


def test_there_are_some() -> None:
    assert len(exception_classes()) >= 16


@pytest.mark.parametrize("kind", exception_classes(), ids=lambda kind: kind.__name__)
def test_a_pickled_error_is_the_same(kind: type[BaseException]) -> None:
    error = kind(*ARGUMENTS.get(kind.__name__, ("what is wrong",)))
    error.config_place = "a.py:3"  # type: ignore[attr-defined]  # as the loader notes it
    again = pickle.loads(pickle.dumps(error))
    if kind.__name__ != "UndefinedMarkError":  # it never leaves the package
        assert facts(again) == facts(error)
    assert again.config_place == "a.py:3"


@pytest.mark.parametrize("kind", exception_classes(), ids=lambda kind: kind.__name__)
def test_an_error_made_from_a_text_has_it(kind: type[BaseException]) -> None:
    """As torch's DataLoader makes it from the traceback of a worker."""
    text = "Caught it in worker 0.\nTraceback: line"
    assert str(kind(text)) == text


def fail(how: str) -> Any:
    cfg = Config(dict(a=1))
    return {
        "merge": lambda: cfg.merge_from_dict({"a.b": 1}),
        "attribute": lambda: ConfigDict(depth=1).depht,
        "key": lambda: ConfigDict(depth=1)["depht"],
        "syntax": lambda: Config.fromstring("x = 1\na = (", ".py"),
        "json": lambda: Config.fromstring('{"x": 1,\n"y" 2}', ".json"),
    }[how]()


@pytest.mark.parametrize(
    ("how", "kind", "text"),
    [
        ("merge", TypeError, "a: a dict cannot be merged onto a int"),
        ("attribute", AttributeError, "no attribute 'depht'; did you mean 'depth'?"),
        ("key", KeyError, "no key 'depht' in this config; did you mean 'depth'?"),
        ("syntax", SyntaxError, r"<string>.py:2: '\(' was never closed"),
        ("json", SyntaxError, r"<string>.json:2: Expecting ':' delimiter"),
    ],
)
def test_an_error_crosses_a_process(how: str, kind: type[Exception], text: str) -> None:
    with ProcessPoolExecutor(1) as pool, pytest.raises(kind, match=text):
        pool.submit(fail, how).result(timeout=60)


def test_a_syntax_error_is_one(write: Write) -> None:
    path = write(a_py="x = 1\ny = (1 1)\n")
    with pytest.raises(SyntaxError, match=r"a.py:2: .*\n    y = \(1 1\)\n         \^") as caught:
        Config.fromfile(path.name)
    error = caught.value
    assert (error.filename, error.lineno, error.offset, error.text) == ("a.py", 2, 6, "y = (1 1)")
    assert "invalid syntax" in str(error.msg)
    shown = "".join(traceback.format_exception_only(error))
    assert 'File "a.py", line 2' in shown
    assert "y = (1 1)" in shown
    assert "no detail" not in shown


def test_a_circle_of_keys_is_no_place_for_hints() -> None:
    error = pickle.loads(pickle.dumps(errors.MissingKeyError("lr", ConfigDict(lrs=1).keys())))
    assert "did you mean 'lrs'" in str(error)
