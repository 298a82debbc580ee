"""Convolution and batch normalisation in evaluation mode as one convolution, still trainable.

In evaluation mode ``bn(conv(x))`` is affine in ``conv``'s weight, so that scaling the weight does the work of the
normalisation and the intermediate result need not be kept for the backward: less memory, more speed.

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


def efficient_conv_bn_eval_forward(bn: _BatchNorm, conv: Any, x: torch.Tensor) -> torch.Tensor:
    """``bn(conv(x))`` for a normalisation in evaluation mode, by one convolution.

    Args:
        bn: the normalisation; its running statistics are used.
        conv: a convolution of any dimension, transposed or not.
        x: its input.

    Raises:
        ValueError: the normalisation keeps no running statistics.
    """
    mean, variance = bn.running_mean, bn.running_var
    if mean is None or variance is None:
        raise ValueError("efficient_conv_bn_eval needs a normalisation with running statistics")
    scale = torch.rsqrt(variance + bn.eps)
    if bn.weight is not None:
        scale = scale * bn.weight
    transposed = bool(conv.transposed)
    shape = [1] * conv.weight.dim()
    shape[1 if transposed else 0] = -1
    if transposed and conv.groups > 1:  # the output channels of a group lie together in `scale`
        factor = scale.view(conv.groups, 1, -1, *shape[2:]).expand(
            conv.groups, conv.in_channels // conv.groups, -1, *shape[2:]
        )
        weight = conv.weight * factor.reshape(conv.in_channels, -1, *shape[2:])
    else:
        weight = conv.weight * scale.view(shape)
    offset = -mean if conv.bias is None else conv.bias - mean
    bias = scale * offset if bn.bias is None else bn.bias + scale * offset
    if not transposed:
        # The convolution itself pads the input, as its padding_mode says.
        result: torch.Tensor = torch.func.functional_call(conv, {"weight": weight, "bias": bias}, (x,))
        return result
    function = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)[
        conv.weight.dim() - 3
    ]
    return function(x, weight, bias, conv.stride, conv.padding, conv.output_padding, conv.groups, conv.dilation)


def efficient_conv_bn_eval_control(bn: _BatchNorm, conv: Any, x: torch.Tensor) -> torch.Tensor:
    """``bn(conv(x))``, by one convolution where ``bn`` is in evaluation mode.

    Args:
        bn: the normalisation.
        conv: the convolution before it.
        x: the convolution's input.
    """
    if bn.training or bn.running_mean is None:
        return bn(conv(x))  # type: ignore[no-any-return]  # a module's result has no type
    return efficient_conv_bn_eval_forward(bn, conv, x)


def efficient_conv_bn_eval_graph_transform(fx_model: fx.GraphModule) -> None:
    """Replaces, in a traced model, each normalisation right behind a convolution, where nothing else uses either.

    Args:
        fx_model: changed in place.
    """
    modules = dict(fx_model.named_modules())
    pairs = [pair for node in fx_model.graph.nodes if (pair := _pair(node, modules)) is not None]
    for bn_node, conv_node in pairs:
        _replace(fx_model, bn_node, conv_node)
    fx_model.graph.lint()
    fx_model.recompile()


def _pair(node: fx.Node, modules: dict[str, nn.Module]) -> tuple[fx.Node, fx.Node] | None:
    """The node of a normalisation and the one of the convolution before it."""
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
    graph = fx_model.graph
    with graph.inserting_before(bn_node):
        conv = graph.get_attr(str(conv_node.target))
        bn = graph.get_attr(str(bn_node.target))
        joined = graph.call_function(efficient_conv_bn_eval_control, (bn, conv, conv_node.args[0]))
    bn_node.replace_all_uses_with(joined)
    graph.erase_node(bn_node)
    graph.erase_node(conv_node)


def turn_on_efficient_conv_bn_eval_for_single_model(model: nn.Module) -> None:
    """Turns it on for one module, which torch.fx must be able to trace; its forward is replaced, its state is not.

    Args:
        model: changed in place.

    Raises:
        torch.fx.proxy.TraceError: its forward depends on values and cannot be traced.

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
    """Turns it on for parts of a model.

    Args:
        model: changed in place.
        modules: dotted names of the parts, such as ``"backbone"``.

    Raises:
        AttributeError: the model has no such part.
    """
    for name in [modules] if isinstance(modules, str) else modules:
        try:
            part = operator.attrgetter(name)(model)
        except AttributeError as error:
            children = [child for child, _ in model.named_children()]
            raise AttributeError(f"{type(model).__name__} has no part {name!r}; it has {children}") from error
        turn_on_efficient_conv_bn_eval_for_single_model(part)
