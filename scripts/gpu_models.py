"""The three models of `gpu_check.py`, written out so that the check needs torch alone."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from eng.model import BaseModel

# Shapes: B batch, C channels, H height, W width, T tokens, D features, V vocabulary.


class Case(NamedTuple):
    """A model with a batch for it."""

    model: BaseModel
    batch: tuple[Tensor, Tensor]
    flops_per_step: float  # forward and backward: 6 per parameter and token; for the ResNet three times the forward


class Classifier(BaseModel):
    """Cross-entropy over the output of `net`: (B, K), or (B, T, V) for language models."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, inputs: Tensor, targets: Tensor, mode: str = "tensor") -> dict[str, Tensor] | Tensor:
        """The loss with ``mode="loss"``, the logits without."""
        logits = self.net(inputs)
        if mode == "loss":
            return {"loss": nn.functional.cross_entropy(logits.flatten(0, -2), targets.flatten())}
        return logits


class Bottleneck(nn.Module):
    """The block of ResNet-50 (He et al. 2015, arXiv:1512.03385)."""

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        out_channels = 4 * width
        self.body = nn.Sequential(
            *conv(in_channels, width, 1), nn.ReLU(),
            *conv(width, width, 3, stride), nn.ReLU(),
            *conv(width, out_channels, 1),
        )  # fmt: skip
        is_same = stride == 1 and in_channels == out_channels
        self.shortcut = nn.Identity() if is_same else nn.Sequential(*conv(in_channels, out_channels, 1, stride))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, C, H, W) to (B, 4 * width, H / stride, W / stride)."""
        return torch.relu(self.body(x_BCHW) + self.shortcut(x_BCHW))


def conv(in_channels: int, out_channels: int, size: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    layer = nn.Conv2d(in_channels, out_channels, size, stride, size // 2, bias=False)
    return layer, nn.BatchNorm2d(out_channels)


def resnet(depths: tuple[int, ...], width: int, classes: int) -> nn.Module:
    """ResNet-50 with depths (3, 4, 6, 3), width 64 and 1,000 classes."""
    layers: list[nn.Module] = [*conv(3, width, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    channels = width
    for stage, depth in enumerate(depths):
        for block in range(depth):
            stride = 2 if stage > 0 and block == 0 else 1
            layers.append(Bottleneck(channels, width * 2**stage, stride))
            channels = 4 * width * 2**stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


class Encoder(nn.Module):
    """Pre-norm transformer layers over tokens that `embed` makes."""

    def __init__(self, embed: nn.Module, tokens: int, features: int, depth: int, heads: int, is_causal: bool) -> None:
        super().__init__()
        self.embed, self.is_causal = embed, is_causal
        self.position = nn.Parameter(torch.randn(tokens, features) * 0.02)
        layer = nn.TransformerEncoderLayer(
            features, heads, 4 * features, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, depth, nn.LayerNorm(features), enable_nested_tensor=False)
        mask = nn.Transformer.generate_square_subsequent_mask(tokens) if is_causal else None
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) to (B, T, D)."""
        x_BTD = self.embed(x) + self.position
        return self.layers(x_BTD, mask=self.mask, is_causal=self.is_causal)


class Patches(nn.Module):
    """Patches of an image as tokens: (B, 3, H, W) to (B, T, D)."""

    def __init__(self, size: int, features: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(3, features, size, size)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Cuts the image into patches and projects each."""
        return self.project(x_BCHW).flatten(2).transpose(1, 2)


class MeanToken(nn.Module):
    """The mean over the tokens: (B, T, D) to (B, D)."""

    def forward(self, x_BTD: Tensor) -> Tensor:
        """The mean over dimension 1."""
        return x_BTD.mean(1)


def image_case(
    net: nn.Module, batch: int, side: int, classes: int, flops_per_image: float, device: torch.device
) -> Case:
    model = Classifier(net).to(device)
    images = torch.randn(batch, 3, side, side, device=device)
    labels = torch.randint(classes, (batch,), device=device)
    return Case(model, (images, labels), 3 * flops_per_image * batch)


def resnet50(device: torch.device, is_small: bool) -> Case:
    """ResNet-50 on 224 x 224 images (4.1 GFLOPs of multiply-adds, so 8.2 GFLOPs each); small: four blocks on 32 x 32."""
    torch.manual_seed(0)
    if is_small:
        return image_case(resnet((1, 1, 1, 1), 8, 10), 8, 32, 10, 1e6, device)
    return image_case(resnet((3, 4, 6, 3), 64, 1000), 128, 224, 1000, 8.2e9, device)


def vit_b(device: torch.device, is_small: bool) -> Case:
    """ViT-B/16 without its class token, 86 M parameters; small: two layers."""
    torch.manual_seed(0)
    side, patch, features, depth, heads, batch = (32, 8, 32, 2, 2, 8) if is_small else (224, 16, 768, 12, 12, 128)
    classes, tokens = (10, 16) if is_small else (1000, 196)
    encoder = Encoder(Patches(patch, features), tokens, features, depth, heads, is_causal=False)
    net = nn.Sequential(encoder, MeanToken(), nn.Linear(features, classes))
    parameters = sum(parameter.numel() for parameter in net.parameters())
    return image_case(net, batch, side, classes, 2 * parameters * tokens, device)


def gpt_350m(device: torch.device, is_small: bool) -> Case:
    """A GPT of 24 layers and 1,024 features, 354 M parameters with its head; small: two layers."""
    torch.manual_seed(0)
    tokens, features, depth, heads, words, batch = (16, 32, 2, 2, 64, 4) if is_small else (1024, 1024, 24, 16, 50304, 8)
    encoder = Encoder(nn.Embedding(words, features), tokens, features, depth, heads, is_causal=True)
    net = nn.Sequential(encoder, nn.Linear(features, words, bias=False))
    model = Classifier(net).to(device)
    text = torch.randint(words, (batch, tokens + 1), device=device)
    parameters = sum(parameter.numel() for parameter in net.parameters()) - words * features
    return Case(model, (text[:, :-1].contiguous(), text[:, 1:].contiguous()), 6.0 * parameters * batch * tokens)


CASES = {"ResNet-50": resnet50, "ViT-B/16": vit_b, "GPT 350M": gpt_350m}
