"""``eng flops``, given what the front door gives it."""

from __future__ import annotations

import json
import struct
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from commands_parts import SERVICES, run
from models import TestNet
from torch import nn

from eng.analysis._commands import flops


def test_lists_what_was_not_counted() -> None:
    services = SimpleNamespace(
        load_config=lambda *_: {}, build_model=lambda cfg: nn.Sequential(nn.Linear(4, 4), nn.GELU())
    )
    assert "aten::gelu (1x, 50.0%)" in run("--shape", "4", services=services).output


def test_json_holds_the_numbers() -> None:
    numbers = json.loads(run("--shape", "1,10", "--json", "--convention", "flops").output)
    assert (numbers["flops"], numbers["params"], numbers["by_module"]["inner"]) == (800, 440, 400)


class Wrapper(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x)


class WrapperOfRun(Wrapper):
    shown_name = "TestNet"


@pytest.mark.parametrize(("wrapper", "name"), [(WrapperOfRun, "inner"), (Wrapper, "network.inner")])
def test_modules_inside_the_wrapper_of_a_run_have_the_names_of_the_user(wrapper: type[Wrapper], name: str) -> None:
    services = SimpleNamespace(load_config=lambda *_: {}, build_model=lambda cfg: wrapper(TestNet()))
    done = run("--shape", "1,10", "--json", "--convention", "flops", services=services)
    assert json.loads(done.output)["by_module"][name] == 400


def test_plot_writes_a_picture(tmp_path) -> None:
    file = tmp_path / "flops.png"
    assert run("--shape", "10", "--plot", str(file)).exit_code == 0
    header = file.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", header[16:])[0] == 800


def test_the_config_is_changed_before_the_model_is_built() -> None:
    seen = []
    services = SimpleNamespace(
        load_config=lambda path, options: seen.append((path, options)), build_model=lambda cfg: TestNet()
    )
    run("--shape", "10", "--cfg-options", "model.depth=3", services=services)
    assert seen == [("config.py", ("model.depth=3",))]


@pytest.mark.parametrize("words", [("--shape", "3xe"), ("--shape", "3,-2")], ids=["text", "negative"])
def test_a_shape_that_is_none(words) -> None:
    done = run(*words)
    assert done.exit_code == 2
    assert "whole numbers such as 3 224 224" in done.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("config.py", "--shape", "1", "x"), "takes whole numbers such as 3 224 224, got 1 x"),
        (("--shape", "1", "x"), "takes whole numbers such as 3 224 224, got 1 x"),
        (("--shape", "²", "config.py"), "takes whole numbers such as 3 224 224, got ²"),
        (("--shape", "1", "x", "config.py"), "takes whole numbers such as 3 224 224, got 1 x"),
        (("config.py", "other.py"), "one CONFIG is expected, got 2: config.py other.py"),
    ],
    ids=["behind-the-config", "in-place-of-the-config", "raised-digit", "before-the-config", "two-configs"],
)
def test_a_stray_word_is_told_by_what_it_was_meant_to_be(words, told, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.py").touch()
    done = CliRunner().invoke(flops, list(words), obj=SERVICES)
    assert (done.exit_code, told in done.output) == (2, True), done.output


@pytest.mark.parametrize(
    ("words", "tried"), [((), "3 224 224 (the default)"), (("--shape", "2,9,9"), "2 9 9")], ids=str
)
def test_an_input_that_the_model_does_not_take_is_told_with_its_shape(words, tried) -> None:
    gray = SimpleNamespace(load_config=lambda *_: {}, build_model=lambda cfg: nn.Sequential(nn.Conv2d(1, 2, 3)))
    done = run(*words, services=gray)
    assert done.exit_code == 2
    assert f"does not run on one input of --shape {tried}: RuntimeError: " in done.output
    assert "such as --shape 1 28 28" in done.output


def test_what_cannot_be_analysed_says_so_itself() -> None:
    frozen = SimpleNamespace(load_config=lambda *_: {}, build_model=lambda cfg: nn.Flatten())
    with pytest.raises(ValueError, match="^backward=True: no output"):
        run("--shape", "4", "--backward", services=frozen)
