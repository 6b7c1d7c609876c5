"""The convolutions of a network on the compiled kernels, with the values and gradients of torch's layers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional

from tivae.native.kernels import CHANNEL_MULTIPLE, Activation, Kernels, Level
from tivae.native.library import kernels

# 2 MB of hidden values, about a processor's second cache: 5,900 images/s are evaluated so, 4,600 with 500 at a time.
IMAGES_IN_CACHE = 16


class Plan(NamedTuple):
    """The levels of an encoder, from the image down, and of a decoder, up to the image."""

    encoder: tuple[Level, ...]
    decoder: tuple[Level, ...]


def plan(widths: Sequence[int], sizes: Sequence[int]) -> Plan | None:
    """Of the networks with these hidden channels and image sizes; None if the kernels do not fit the channels."""
    if any(width % CHANNEL_MULTIPLE for width in widths):
        return None
    down = itertools.pairwise(zip(sizes, (1, *widths), strict=True))
    up = itertools.pairwise(zip(sizes, (widths[0], *widths), strict=True))
    encoder = tuple(Level(big, big_channels, small, channels, 2) for (big, big_channels), (small, channels) in down)
    decoder = tuple(Level(big, big_channels, small, channels, 2) for (big, big_channels), (small, channels) in up)
    last = Level(sizes[0], 1, sizes[0], widths[0], 1)
    return Plan(encoder, (*reversed(decoder), last))


def fits(network: nn.Module, inputs: Tensor) -> bool:
    """Whether the kernels can run `network` on `inputs`: float32 on the host, training or without gradients."""
    # They read memory as it lies: what torch would refuse must not come to them.
    for tensor in (inputs, next(network.parameters())):
        if tensor.device.type != "cpu" or tensor.dtype != torch.float32:
            return False
    if torch.is_autocast_enabled("cpu") or inputs.numel() == 0:
        return False
    # Of differentiation they have the reverse mode alone, and that for batches' own statistics.
    if torch.is_grad_enabled() and not network.training:
        return False
    return forward_ad.unpack_dual(inputs).tangent is None


def available(plan: Plan | None) -> bool:
    """Whether there are kernels for networks of `plan`; they are compiled now if need be."""
    return plan is not None and kernels(*plan) is not None


def run(plan: Plan, layers: nn.Sequential, inputs: Tensor) -> Tensor | None:
    """The output of `layers`, the encoder or decoder of `plan`, for `inputs` (B, C, H, W); None without kernels."""
    compiled = kernels(*plan)
    if compiled is None:
        return None
    blocks = _blocks(layers, plan)
    flat = inputs.permute(0, 2, 3, 1)
    if layers.training:
        parameters = itertools.chain.from_iterable(block.parameters for block in blocks)
        outputs = _Training.apply(compiled, blocks, flat, *parameters)
    else:
        outputs = _evaluated(compiled, blocks, flat)
    outputs = outputs.permute(0, 3, 1, 2)
    return torch.tanh(outputs) if isinstance(layers[-1], nn.Tanh) else outputs


@dataclass(frozen=True)
class _Block:
    """A convolution down a level or up, and the batch norm and leaky ReLU behind it, if any.

    weight: (small channels, big channels, 3, 3).
    """

    level: Level
    is_down: bool
    weight: Tensor
    bias: Tensor
    norm: nn.BatchNorm2d | None = None
    slope: float = 0.0

    @property
    def parameters(self) -> list[Tensor]:
        return [self.weight, self.bias, *([] if self.norm is None else [self.norm.weight, self.norm.bias])]

    @property
    def fixed_activation(self) -> Activation | None:
        """With the norm's running statistics."""
        norm = self.norm
        if norm is None:
            return None
        scale = norm.weight * torch.rsqrt(_given(norm.running_var) + norm.eps)
        return Activation(scale, norm.bias - _given(norm.running_mean) * scale, self.slope)


def _blocks(layers: nn.Sequential, plan: Plan) -> list[_Block]:
    is_down = isinstance(layers[0], nn.Conv2d)
    parts = [layer for layer in layers if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    norms = [layer for layer in layers if isinstance(layer, nn.BatchNorm2d)]
    slopes = [layer.negative_slope for layer in layers if isinstance(layer, nn.LeakyReLU)]
    levels = plan.encoder if is_down else plan.decoder
    # The decoder's last convolution has no norm; with stride 1 it is a transposed one with its kernel turned round.
    blocks = [
        _Block(level, is_down, part.weight, _given(part.bias), norm, slope)
        for level, part, norm, slope in zip(levels, parts, norms, slopes, strict=False)
    ]
    if not is_down:
        last = parts[-1]
        blocks.append(_Block(levels[-1], False, last.weight.flip(2, 3).transpose(0, 1), _given(last.bias)))
    return blocks


def _given(tensor: Tensor | None) -> Tensor:
    assert tensor is not None, "all convolutions have a bias, and all norms running statistics"
    return tensor


class _Training(torch.autograd.Function):
    """Batch norm by the batch's own statistics; running statistics are updated as torch's are."""

    @staticmethod
    def forward(ctx: Any, compiled: Kernels, blocks: list[_Block], inputs: Tensor, *parameters: Tensor) -> Tensor:
        kept: list[Tensor] = []
        outputs = _trained(compiled, blocks, inputs, kept)
        ctx.compiled, ctx.blocks = compiled, blocks
        ctx.save_for_backward(*kept, *parameters)
        return outputs

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upper: Tensor) -> tuple[Tensor | None, ...]:
        compiled, kept = ctx.compiled, list(ctx.saved_tensors)
        gradients: list[Tensor] = []
        upper = upper.contiguous()
        for number, block in reversed(list(enumerate(ctx.blocks))):
            padded, values, statistics = kept[3 * number : 3 * number + 3]
            if block.norm is None:
                gradient, norm_gradients = _framed(upper), []
                bias_gradient = upper.sum((0, 1, 2))
            else:
                gradient, *norm_gradients = compiled.activation_gradient(upper, values, statistics, block.slope)
                # What is subtracted with the batch's mean has no gradient; torch's is rounding noise.
                bias_gradient = torch.zeros_like(block.bias)
            big, small = (padded, gradient) if block.is_down else (gradient, padded)
            weight_gradient = compiled.weight_gradient(block.level, big, small)
            gradients = [weight_gradient, bias_gradient, *norm_gradients, *gradients]
            if number > 0 or ctx.needs_input_grad[2]:
                down = not block.is_down
                packed = compiled.packed(block.level, block.weight, down=down)
                upper = compiled.convolve(block.level, gradient, packed, None, down=down)
        return None, None, upper if ctx.needs_input_grad[2] else None, *gradients


def _trained(compiled: Kernels, blocks: list[_Block], inputs: Tensor, kept: list[Tensor]) -> Tensor:
    """`kept` takes each block's padded input, its values before the norm, and their statistics."""
    padded = _framed(inputs)
    for block in blocks:
        packed = compiled.packed(block.level, block.weight, down=block.is_down)
        values = compiled.convolve(block.level, padded, packed, block.bias, down=block.is_down)
        if block.norm is None:
            kept += [padded, values.new_empty(0), values.new_empty(0)]
            return values
        statistics = compiled.statistics(values, block.norm)
        _given(block.norm.num_batches_tracked).add_(1)
        kept += [padded, values, statistics]
        padded = compiled.activate(values, Activation(statistics[2], statistics[3], block.slope))
    return padded[:, 1:-1, 1:-1]


def _evaluated(compiled: Kernels, blocks: list[_Block], inputs: Tensor) -> Tensor:
    """A few images at a time, through all blocks, so that they stay in the processor's cache."""
    prepared = [
        (block, compiled.packed(block.level, block.weight, down=block.is_down), block.fixed_activation)
        for block in blocks
    ]
    outputs = []
    for images in inputs.split(IMAGES_IN_CACHE):
        hidden = _framed(images)
        for block, packed, activation in prepared:
            if activation is None:
                hidden = compiled.convolve(block.level, hidden, packed, block.bias, down=block.is_down)
            else:
                hidden = compiled.convolve_and_activate(
                    block.level, hidden, packed, block.bias, activation, down=block.is_down
                )
        outputs.append(hidden if blocks[-1].norm is None else hidden[:, 1:-1, 1:-1])
    return torch.cat(outputs)


def _framed(images: Tensor) -> Tensor:
    return functional.pad(images, (0, 0, 1, 1, 1, 1)).contiguous()
