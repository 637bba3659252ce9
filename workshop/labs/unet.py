"""The U-Net of lab L01, which predicts the noise in a digit.

Axes: B pictures, C channels, H W image px, E numbers of an embedding, N = H·W places.
Source: Ho et al. 2020 (2006.11239), section 4 and appendix B; the embedding of t: Vaswani et al. 2017
(1706.03762), section 3.5.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F


def embed_timestep(t: torch.Tensor, width: int) -> torch.Tensor:
    """Turn timesteps into vectors of cosines and sines, from fast waves to slow ones.

    t: (B,), any number
    width: even
    returns: (B, width), float32
    """
    rates = torch.exp(-math.log(10_000) * torch.arange(width // 2) / (width // 2))
    angles = t[:, None].float() * rates.to(t.device)
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class ResidualBlock(nn.Module):
    """Two convolutions beside a way straight through; the embedding is added between them.

    x: (B, inside, H, W), embedding: (B, E); returns (B, outside, H, W)
    """

    def __init__(self, inside: int, outside: int, embedding: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(8, inside), nn.Conv2d(inside, outside, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(8, outside), nn.Conv2d(outside, outside, 3, padding=1)
        self.embedding = nn.Linear(embedding, outside)
        self.straight = nn.Conv2d(inside, outside, 1) if inside != outside else nn.Identity()

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """Return what the block makes of x."""
        h = self.conv1(F.silu(self.norm1(x)))
        h = h + self.embedding(F.silu(embedding))[:, :, None, None]
        return self.straight(x) + self.conv2(F.silu(self.norm2(h)))


class AttentionBlock(nn.Module):
    """Each place looks at all places and takes what it needs: softmax(q·kᵀ/√C)·v, added to x.

    x: (B, C, H, W); returns the same shape
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x with what each place has learned of the others."""
        places = self.norm(x).flatten(2).transpose(1, 2)  # (B, N, C)
        q, k, v = self.qkv(places).chunk(3, dim=2)
        weights = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(q.shape[2]), dim=2)  # (B, N, N)
        return x + self.out(weights @ v).transpose(1, 2).unflatten(2, x.shape[2:])


class UNet(nn.Module):
    """Down to a quarter of the side and up again; what was on the way down is put beside what comes up."""

    def __init__(self, width: int = 16, classes: int = 10) -> None:
        super().__init__()
        self.width, wide, deep, e = width, 2 * width, 4 * width, 4 * width
        self.time = nn.Sequential(nn.Linear(width, e), nn.SiLU(), nn.Linear(e, e))
        self.label = nn.Embedding(classes, e)
        self.enter = nn.Conv2d(1, width, 3, padding=1)
        self.down1 = ResidualBlock(width, width, e)
        self.shrink1 = nn.Conv2d(width, wide, 3, stride=2, padding=1)
        self.down2 = ResidualBlock(wide, wide, e)
        self.shrink2 = nn.Conv2d(wide, deep, 3, stride=2, padding=1)
        self.middle1, self.attention = ResidualBlock(deep, deep, e), AttentionBlock(deep)
        self.middle2 = ResidualBlock(deep, deep, e)
        self.grow2, self.up2 = nn.Conv2d(deep, wide, 3, padding=1), ResidualBlock(2 * wide, wide, e)
        self.grow1, self.up1 = nn.Conv2d(wide, width, 3, padding=1), ResidualBlock(2 * width, width, e)
        self.leave = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, x: torch.Tensor, t: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Return the noise that the network sees in x.

        x: (B, 1, H, W), H and W multiples of 4; t: (B,) timesteps; label: (B,) digits
        returns: (B, 1, H, W)
        """
        e = self.time(embed_timestep(t, self.width)) + self.label(label)
        fine = self.down1(self.enter(x), e)
        coarse = self.down2(self.shrink1(fine), e)
        deep = self.middle2(self.attention(self.middle1(self.shrink2(coarse), e)), e)
        up = self.up2(torch.cat([self.grow2(F.interpolate(deep, scale_factor=2.0)), coarse], dim=1), e)
        up = self.up1(torch.cat([self.grow1(F.interpolate(up, scale_factor=2.0)), fine], dim=1), e)
        return self.leave(up)
