"""Converts the styles of tensor-parallel plans to the style objects of ``torch.distributed.tensor.parallel``."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.distributed.device_mesh import DeviceMesh

from .tensor_plans import is_transposed


def parallel_style(style: str, module: nn.Module) -> Any:
    """Returns the style object of torch that splits `module` as its style in a tensor-parallel plan says.

    Args:
        style: name of the style, as :func:`~.tensor_plans.read_plan` returns it.
        module: the layer to split.
    """
    from torch.distributed.tensor import Replicate
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, SequenceParallel

    if is_transposed(module):
        return _transposed_style(style)
    if style == "heads":  # The shape is (batch, position, head, features), and each rank holds some of the heads.
        return SequenceParallel(sequence_dim=2, use_local_output=True)
    if style == "colwise_gathered":
        return ColwiseParallel(output_layouts=Replicate())
    if style == "rowwise_split":
        return RowwiseParallel(input_layouts=Replicate())
    if style == "rowwise":
        return RowwiseParallel()
    return ColwiseParallel()


def _transposed_style(style: str) -> Any:
    """Returns a style object for layers whose weight has the shape (inputs, outputs).

    The styles of torch are made for weights of the shape (outputs, inputs). ``split`` shards the parameters, ``before``
    distributes the inputs, and ``after`` converts the outputs back to plain tensors.
    """
    from torch.distributed.tensor import DTensor, Placement, Replicate, Shard, distribute_module, distribute_tensor
    from torch.distributed.tensor.parallel.style import ParallelStyle

    replicated, split_last = Replicate(), Shard(-1)
    if style.startswith("rowwise"):
        parts = {"weight": Shard(0), "bias": Replicate()}
        needed: Placement = split_last
    else:
        parts = {"weight": Shard(1), "bias": Shard(0)}
        needed = replicated
    inputs_are: Placement = replicated
    if style == "rowwise":
        inputs_are = split_last
    outputs_are: Placement = replicated
    if style == "colwise":
        outputs_are = split_last

    def split(name: str, module: nn.Module, mesh: DeviceMesh) -> None:
        for key, parameter in list(module.named_parameters(recurse=False)):
            part = distribute_tensor(parameter, mesh, [parts[key]])
            module.register_parameter(key, nn.Parameter(part, requires_grad=parameter.requires_grad))

    def before(module: nn.Module, inputs: tuple[Any, ...], mesh: DeviceMesh) -> Any:
        distributed = DTensor.from_local(inputs[0], mesh, [inputs_are], run_check=False)
        return distributed.redistribute(placements=[needed])

    def after(module: nn.Module, outputs: Any, mesh: DeviceMesh) -> Any:
        return outputs.redistribute(placements=[outputs_are]).to_local()

    class TransposedParallel(ParallelStyle):
        def _apply(self, module: nn.Module, device_mesh: DeviceMesh) -> nn.Module:
            return distribute_module(module, device_mesh, split, before, after)

    return TransposedParallel()
