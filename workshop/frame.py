"""The VAE for one frame: its causal 3-D convolutions computed as 2-D ones.

Qwen-Image's VAE was made for videos. A causal convolution pads time with zeros in front, so of a single frame
only the last time slice of the kernel meets data, and the other slices multiply zeros:

    conv3d(x)[t = 0] = conv2d(x[t = 0], weight[last slice])

The sums are the same in another order. On ROCm it also spares the search for 3-D kernels at the first call.

Axes: B batch, C channels, T time, H and W px of this layer.
Source: diffsynth 2.1.12, models/qwen_image_vae.py, QwenImageCausalConv3d.
"""

from __future__ import annotations

from types import MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from diffsynth.models.qwen_image_vae import QwenImageCausalConv3d, QwenImageVAE


def flatten(vae: QwenImageVAE) -> None:
    """Make this VAE compute single frames with 2-D convolutions; videos go the old way."""
    for convolution in _convolutions(vae):
        # An instance's own forward; the class, and every other VAE, stays as it is.
        convolution.forward = MethodType(_forward, convolution)


def restore(vae: QwenImageVAE) -> None:
    """Take `flatten` back."""
    for convolution in _convolutions(vae):
        vars(convolution).pop("forward", None)


def convolve(convolution: QwenImageCausalConv3d, x: torch.Tensor) -> torch.Tensor:
    """Convolve one frame in two dimensions.

    x: (B, C, 1, H, W); returns: (B, channels out, 1, H / stride, W / stride)
    """
    from torch.nn.functional import conv2d

    last, height = convolution.weight[:, :, -1], convolution._padding[2]
    return conv2d(x[:, :, 0], last, convolution.bias, convolution.stride[1:], height).unsqueeze(2)


def _forward(self: QwenImageCausalConv3d, x: torch.Tensor, cache_x: torch.Tensor | None = None) -> Any:
    if cache_x is None and x.shape[2] == 1:
        return convolve(self, x)
    return type(self).forward(self, x, cache_x)


def _convolutions(vae: QwenImageVAE) -> list[QwenImageCausalConv3d]:
    from diffsynth.models.qwen_image_vae import QwenImageCausalConv3d

    return [module for module in vae.modules() if isinstance(module, QwenImageCausalConv3d)]
