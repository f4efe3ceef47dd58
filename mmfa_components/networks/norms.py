"""Convolutions followed by batch norms: computed together in training, folded for use."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval


def conv_norm(convolution: nn.Module, normalisation: nn.Module, x: Tensor) -> Tensor:
    """``normalisation(convolution(x))`` with fewer passes over the memory; equal up to rounding.

    With batch statistics the convolution leaves out its bias, which the norm would take away again:
    the running mean still counts it, so weights mean the same, and the bias gets no gradient
    (without rounding, its gradient is 0). With running statistics the norm is a factor and an
    offset of each channel, which go into the convolution's weight and bias. Other norms, and
    convolutions without a bias, are applied as they are.
    """
    bias = getattr(convolution, "bias", None)
    plain = isinstance(convolution, nn.Conv2d | nn.Conv3d) and isinstance(normalisation, nn.BatchNorm2d | nn.BatchNorm3d)
    if bias is None or not plain:
        return cast("Tensor", normalisation(convolution(x)))
    c, n = cast("nn.Conv2d", convolution), cast("nn.BatchNorm2d", normalisation)
    kind = functional.conv2d if isinstance(convolution, nn.Conv2d) else functional.conv3d
    mean, variance = cast("Tensor", n.running_mean), cast("Tensor", n.running_var)
    if not n.training:
        factor = n.weight * (variance + n.eps).rsqrt()
        return kind(
            x,
            c.weight * factor.view(-1, *[1] * (c.weight.dim() - 1)),
            (bias - mean) * factor + n.bias,
            c.stride,
            c.padding,
        )
    y = kind(x, c.weight, None, c.stride, c.padding)
    unbiased = mean - bias.detach()  # a tensor of its own: autograd keeps it until the backward pass
    y = functional.batch_norm(y, unbiased, variance, n.weight, n.bias, True, cast("float", n.momentum), n.eps)
    with torch.no_grad():
        mean.copy_(unbiased + bias)
        cast("Tensor", n.num_batches_tracked).add_(1)
    return y


def idle_biases(network: nn.Module) -> list[nn.Parameter]:
    """The biases that ``conv_norm`` leaves out with batch statistics.

    With running statistics the norm's own offset does what they would.
    """
    found = [getattr(module, name).bias for module in network.modules() for name, _ in getattr(module, "foldable", ())]
    return [bias for bias in found if bias is not None]


def fold_norms(network: nn.Module) -> None:
    """Fold every batch norm that directly follows a convolution into it, in place.

    For inference only, with the network in eval mode. The result is the same up to rounding, with
    fewer passes over memory.
    """
    for module in network.modules():
        for conv_name, norm_name in getattr(module, "foldable", ()):
            convolution, normalisation = getattr(module, conv_name), getattr(module, norm_name)
            setattr(module, conv_name, fuse_conv_bn_eval(convolution, normalisation))
            setattr(module, norm_name, nn.Identity())
