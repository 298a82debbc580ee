"""Compute a convolution and a batch normalisation in evaluation mode as a single convolution that can be trained.

In evaluation mode ``bn(conv(x))`` equals a convolution with a scaled weight and another bias. The result of ``conv``
alone need not be kept for the backward, which saves memory and time.

Source: You et al. 2023, arXiv:2305.11624 (the "tune mode").
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from eng.checkpoint.torch_internals import convolve


def efficient_conv_bn_eval_forward(bn: _BatchNorm, conv: Any, x: torch.Tensor) -> torch.Tensor:
    """Returns ``bn(conv(x))`` for a batch normalisation in evaluation mode, computed by a single convolution.

    In evaluation mode a batch normalisation multiplies and shifts each channel by constants, which can be merged into
    the weight and bias of the convolution. The result has the gradients of ``bn(conv(x))``, and takes less memory.

    Args:
        bn: the batch normalisation, whose running statistics are used.
        conv: a convolution of any dimension, transposed or not.
        x: input of the convolution.

    Raises:
        ValueError: the batch normalisation has no running statistics.
    """
    mean, variance = bn.running_mean, bn.running_var
    if mean is None or variance is None:
        raise ValueError("efficient_conv_bn_eval needs a normalisation with running statistics")
    scale = torch.rsqrt(variance + bn.eps)
    if bn.weight is not None:
        scale = scale * bn.weight
    transposed = bool(conv.transposed)
    # The output channels are dimension 0 of the weight, or dimension 1 if the convolution is transposed.
    shape = [1] * conv.weight.dim()
    shape[int(transposed)] = -1
    if transposed and conv.groups > 1:
        # The weight of a transposed convolution has the shape (input channels, output channels per group, ...), so each
        # input channel is multiplied by the scales of the output channels of its group.
        factor = scale.view(conv.groups, 1, -1, *shape[2:]).expand(
            conv.groups, conv.in_channels // conv.groups, -1, *shape[2:]
        )
        weight = conv.weight * factor.reshape(conv.in_channels, -1, *shape[2:])
    else:
        weight = conv.weight * scale.view(shape)
    offset = -mean
    if conv.bias is not None:
        offset = conv.bias - mean
    bias = scale * offset
    if bn.bias is not None:
        bias = bn.bias + bias
    if not transposed:
        # The convolution module itself is not called: its forward hooks would run, and its forward uses its own weight.
        return convolve(conv, x, weight, bias)
    function = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)[
        conv.weight.dim() - 3
    ]
    return function(x, weight, bias, conv.stride, conv.padding, conv.output_padding, conv.groups, conv.dilation)


def efficient_conv_bn_eval_control(bn: _BatchNorm, conv: Any, x: torch.Tensor) -> torch.Tensor:
    """Returns ``bn(conv(x))``, computed by a single convolution if ``bn`` is in evaluation mode.

    In training mode, and if ``bn`` has no running statistics, both modules are called one after the other.

    Args:
        bn: the batch normalisation.
        conv: the convolution before the batch normalisation.
        x: input of the convolution.
    """
    if bn.training or bn.running_mean is None:
        return bn(conv(x))  # type: ignore[no-any-return]  # a module's result has no type
    return efficient_conv_bn_eval_forward(bn, conv, x)


def efficient_conv_bn_eval_graph_transform(fx_model: fx.GraphModule) -> None:
    """Joins each convolution of a traced model with the batch normalisation that follows the convolution.

    In evaluation mode a joined pair is computed by a single convolution. A pair is joined only if no other operation
    uses the output of the convolution.

    Args:
        fx_model: the model as ``torch.fx`` traced it; its graph is changed in place.
    """
    modules = dict(fx_model.named_modules())
    pairs = [pair for node in fx_model.graph.nodes if (pair := _pair(node, modules)) is not None]
    for bn_node, conv_node in pairs:
        _replace(fx_model, bn_node, conv_node)
    fx_model.graph.lint()
    fx_model.recompile()


def _pair(node: fx.Node, modules: dict[str, nn.Module]) -> tuple[fx.Node, fx.Node] | None:
    """Returns the graph nodes of a batch normalisation and of the convolution before it, if both can be joined.

    The result is None if ``node`` is no batch normalisation, if its input is no convolution, or if another operation
    uses the convolution's output too.
    """
    if node.op != "call_module" or not isinstance(modules.get(str(node.target)), _BatchNorm) or not node.args:
        return None
    before = node.args[0]
    if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
        return None
    conv = modules.get(str(before.target))
    if not isinstance(conv, _ConvNd) or (conv.transposed and conv.padding_mode != "zeros"):
        return None
    return node, before


def _replace(fx_model: fx.GraphModule, bn_node: fx.Node, conv_node: fx.Node) -> None:
    """Replaces the two graph nodes of a convolution and its batch normalisation by one call that computes both."""
    graph = fx_model.graph
    with graph.inserting_before(bn_node):
        conv = graph.get_attr(str(conv_node.target))
        bn = graph.get_attr(str(bn_node.target))
        joined = graph.call_function(efficient_conv_bn_eval_control, (bn, conv, conv_node.args[0]))
    bn_node.replace_all_uses_with(joined)
    graph.erase_node(bn_node)
    graph.erase_node(conv_node)


def turn_on_efficient_conv_bn_eval_for_single_model(model: nn.Module) -> None:
    """Makes a module compute each convolution and its batch normalisation as one convolution, in evaluation mode.

    The ``forward`` of the module is replaced by a traced one; parameters, buffers and state dict stay the same.

    Args:
        model: the module, which is changed in place. torch.fx must be able to trace it.

    Raises:
        torch.fx.proxy.TraceError: the module's forward cannot be traced, because its control flow depends on the values
            of tensors.

    Examples:
        >>> model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)).eval()
        >>> x = torch.rand(1, 1, 2, 2)
        >>> before = model(x)
        >>> turn_on_efficient_conv_bn_eval_for_single_model(model)
        >>> torch.allclose(model(x), before)
        True
    """
    traced = fx.symbolic_trace(model)
    efficient_conv_bn_eval_graph_transform(traced)
    object.__setattr__(model, "forward", traced.forward)


def turn_on_efficient_conv_bn_eval(model: nn.Module, modules: list[str] | str) -> None:
    """Makes submodules of a model compute each convolution and its batch normalisation as one convolution.

    The joined computation is used in evaluation mode; see :func:`turn_on_efficient_conv_bn_eval_for_single_model`.

    Args:
        model: the model, which is changed in place.
        modules: dotted names of the submodules, such as ``"backbone"``.

    Raises:
        AttributeError: the model has no submodule with one of the names.
    """
    if isinstance(modules, str):
        modules = [modules]
    for name in modules:
        try:
            part = operator.attrgetter(name)(model)
        except AttributeError as error:
            children = [child for child, _ in model.named_children()]
            raise AttributeError(f"{type(model).__name__} has no part {name!r}; it has {children}") from error
        turn_on_efficient_conv_bn_eval_for_single_model(part)
