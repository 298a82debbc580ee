from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from eng.analysis import ActivationAnalyzer, FlopAnalyzer, FormulaError, activation_count, flop_count


def layers() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 3), nn.GELU(), nn.Linear(3, 2))


X = torch.zeros(5, 4)


def test_by_module_operator_and_both() -> None:
    analyzer = FlopAnalyzer(layers(), X)
    assert analyzer.total() == 90
    assert analyzer.by_operator() == {"addmm": 90}
    assert analyzer.by_module() == {"": 90, "0": 60, "1": 0, "2": 30}
    assert analyzer.by_module_and_operator()["2"] == {"addmm": 30}


def test_activations_are_outputs_of_products() -> None:
    analyzer = ActivationAnalyzer(layers(), X)
    assert (analyzer.total(), analyzer.total("2")) == (25, 10)


def test_uncounted_operators_are_listed_with_calls_and_elements() -> None:
    analyzer = FlopAnalyzer(layers(), X)
    entry = analyzer.uncounted()["aten::gelu"]
    assert (entry.calls, entry.elements) == (1, 15)
    assert entry.elements / analyzer.tally.elements == 15 / 40
    assert analyzer.unsupported_ops("1") == {"aten::gelu": 1}


def test_handles_add_replace_and_ignore() -> None:
    analyzer = FlopAnalyzer(layers(), X)
    analyzer.set_op_handle("aten::gelu", lambda inputs, outputs: 8 * outputs[0].numel())
    assert analyzer.by_operator() == {"addmm": 90, "gelu": 120}
    analyzer.set_op_handle("aten::addmm", lambda inputs, outputs: {"mine": 1})
    assert analyzer.by_operator()["addmm"] == 2
    analyzer.set_op_handle("aten::gelu", None)
    assert analyzer.unsupported_ops() == {}
    assert analyzer.clear_op_handles().total() == 0
    assert set(analyzer.unsupported_ops()) == {"aten::addmm", "aten::gelu"}


def test_handles_come_in_pairs() -> None:
    with pytest.raises(TypeError, match="pairs"):
        FlopAnalyzer(layers(), X).set_op_handle("aten::gelu")


def test_a_handle_that_fails_names_its_operator() -> None:
    analyzer = FlopAnalyzer(layers(), X).set_op_handle("aten::gelu", lambda inputs, outputs: outputs[7])
    with pytest.raises(FormulaError, match=r"aten::gelu: its formula failed.*\(5, 3\)"):
        analyzer.total()


def test_functions_of_the_reference() -> None:
    giga, uncounted = flop_count(layers(), (X,))
    assert giga == {"addmm": 90e-9}
    assert uncounted == {"aten::gelu": 1}
    mega, _ = activation_count(layers(), (X,), {"aten::gelu": lambda inputs, outputs: 1})
    assert mega["addmm"] == 25e-6


def test_unknown_module_and_convention() -> None:
    model = nn.ModuleDict({"backbone": nn.Linear(4, 4)})
    model.forward = lambda x: model["backbone"](x)
    with pytest.raises(KeyError, match=r"no module 'backbon'.*backbone"):
        FlopAnalyzer(model, X).total("backbon")
    with pytest.raises(ValueError, match="'macs' or 'flops'"):
        FlopAnalyzer(model, X, convention="gigaflops")


def test_a_shared_module_counts_each_call() -> None:
    shared = nn.Linear(4, 4)
    analyzer = FlopAnalyzer(nn.Sequential(shared, shared), X)
    assert analyzer.by_module() == {"": 160, "0": 160}


@pytest.mark.parametrize(
    "wrap",
    [nn.DataParallel, torch.compile, lambda model: torch.compile(nn.DataParallel(model))],
    ids=["DataParallel", "compile", "both"],
)
def test_wrappers_are_taken_off(wrap) -> None:
    assert FlopAnalyzer(wrap(layers()), X).by_module() == {"": 90, "0": 60, "1": 0, "2": 30}


@pytest.mark.parametrize("part", [layers, lambda: nn.Linear(4, 3)], ids=["container", "layer"])
def test_a_compiled_part_is_counted(part) -> None:
    expected = FlopAnalyzer(part(), X).total()
    assert FlopAnalyzer(nn.Sequential(torch.compile(part())), X).total() == expected


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "with backward"])
def test_an_empty_part_hands_its_input_on(backward) -> None:
    # The identity shortcut of many residual networks is an empty Sequential, which is false.
    model = nn.Sequential(nn.Sequential(), nn.Linear(4, 3), nn.Sequential())
    assert FlopAnalyzer(model, X, backward=backward).total() == 60 * (1 + backward)


def test_a_part_whose_error_is_caught_is_left() -> None:
    class Tries(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(9, 9), nn.Linear(4, 3)

        def forward(self, x):
            try:
                return self.first(x)
            except RuntimeError:
                return self.second(x)

    assert FlopAnalyzer(Tries(), X).by_module() == {"": 60, "first": 0, "second": 60}


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module, not builtin_function_or_method"):
        FlopAnalyzer(torch.relu, X)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_a_scripted_model_is_counted_as_a_whole() -> None:
    scripted = torch.jit.script(nn.Sequential(nn.Linear(4, 3), nn.ReLU()))
    assert FlopAnalyzer(scripted, X).total() == 60
    analyzer = FlopAnalyzer(nn.Sequential(scripted, nn.Linear(3, 2)), X)
    assert (analyzer.total(), analyzer.total("1")) == (90, 30)
    assert "0" in analyzer.uncalled_modules()


def test_a_lazy_model_is_counted_and_left_lazy() -> None:
    model = nn.Sequential(nn.LazyLinear(3))
    assert FlopAnalyzer(model, X).total() == 60
    assert nn.parameter.is_lazy(model[0].weight)


def test_counting_leaves_the_model_and_the_generator_alone() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout())
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    FlopAnalyzer(model, torch.randn(5, 4, generator=torch.Generator().manual_seed(0)), backward=True).total()
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model._forward_hooks and not model[0]._forward_pre_hooks


class Gate(nn.Module):
    """Its second layer runs only where the input is positive."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        return self.second(self.first(x)) if x.sum() > 0 else self.first(x)


@pytest.mark.parametrize(("x", "expected"), [(torch.ones(5, 4), 160), (-torch.ones(5, 4), 80)], ids=["on", "off"])
def test_control_flow_on_values_runs_on_real_tensors_and_says_so(x, expected, caplog) -> None:
    with caplog.at_level(logging.WARNING, "eng.analysis"):
        assert FlopAnalyzer(Gate(), x).total() == expected
    assert "needs real values" in caplog.text


def test_control_flow_on_values_of_a_meta_model_is_an_error() -> None:
    with torch.device("meta"):
        model = Gate()
    with pytest.raises(RuntimeError, match="meta"):
        FlopAnalyzer(model, X).total()


def test_real_running_statistics_do_not_move() -> None:
    class NeedsValues(nn.BatchNorm1d):
        def forward(self, x):
            x.sum().item()
            return super().forward(x)

    model = NeedsValues(4)
    FlopAnalyzer(model, torch.randn(5, 4)).total()
    assert torch.equal(model.running_mean, torch.zeros(4))
    assert int(model.num_batches_tracked) == 0


def test_any_forward_signature() -> None:
    class Signature(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, batch, *, scale, mask=None):
            return {"out": [self.fc(batch["x"][0]) * scale]}

    analyzer = FlopAnalyzer(Signature(), {"batch": {"x": (X,)}}, forward_kwargs={"scale": 2.0}, backward=True)
    assert analyzer.total() == 160


def test_intensity_is_flops_per_byte() -> None:
    analyzer = FlopAnalyzer(nn.Linear(4, 3, bias=False), X)
    assert analyzer.intensity() == 60 / (4 * (20 + 12 + 15))
