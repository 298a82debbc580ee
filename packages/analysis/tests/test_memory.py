from __future__ import annotations

import pytest
import torch
from torch import nn

from eng.analysis import estimate_memory

KIB = 1024


def test_parameters_buffers_and_gradients() -> None:
    model = nn.Sequential(nn.Linear(16, 16), nn.BatchNorm1d(16))
    model[0].bias.requires_grad_(False)
    estimate = estimate_memory(model, torch.zeros(2, 16), backward=True)
    assert estimate.parameter_bytes == 4 * (256 + 16 + 32)
    assert estimate.buffer_bytes == 4 * 32 + 8
    assert estimate.gradient_bytes == 4 * (256 + 32)


def test_activations_are_what_autograd_keeps() -> None:
    # tanh keeps its output, the second layer its input, which is the same tensor; the first keeps the model's input.
    model = nn.Sequential(nn.Linear(64, 128), nn.Tanh(), nn.Linear(128, 8))
    estimate = estimate_memory(model, torch.zeros(32, 64), backward=True)
    assert estimate.activation_bytes == 4 * (32 * 128 + 32 * 64)
    assert estimate_memory(model, torch.zeros(32, 64)).activation_bytes == 0


def test_peak_of_a_forward_is_the_largest_pair_of_neighbours() -> None:
    model = nn.Sequential(*[nn.Linear(256, 256, bias=False) for _ in range(6)])
    estimate = estimate_memory(model, torch.zeros(256, 256))
    tensor = 256 * KIB
    assert estimate.parameter_bytes == 6 * tensor
    assert estimate.peak_bytes == (6 + 3) * tensor  # the caller holds the input; one layer reads, one tensor is written


def test_training_keeps_every_activation_alive() -> None:
    model = nn.Sequential(*[nn.Sequential(nn.Linear(256, 256, bias=False), nn.Tanh()) for _ in range(6)])
    x = torch.zeros(256, 256)
    forward, training = estimate_memory(model, x), estimate_memory(model, x, backward=True)
    assert training.activation_bytes == 7 * 256 * KIB
    assert training.peak_bytes >= forward.parameter_bytes + training.activation_bytes
    assert forward.peak_bytes < training.peak_bytes


def test_checkpointing_keeps_less() -> None:
    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = nn.Sequential(*[nn.Sequential(nn.Linear(64, 64), nn.Tanh()) for _ in range(8)])

        def forward(self, x):
            return torch.utils.checkpoint.checkpoint(self.part, x, use_reentrant=False)

    model, x = Checkpointed(), torch.zeros(512, 64)
    plain, saved = estimate_memory(model.part, x, backward=True), estimate_memory(model, x, backward=True)
    assert saved.peak_bytes <= plain.peak_bytes


@pytest.mark.parametrize("batch_size", [1, 64])
def test_batch_size_scales_inputs_wherever_they_are(batch_size) -> None:
    class Takes(nn.Module):
        def forward(self, images, *, more):
            return images + more[0]

    estimate = estimate_memory(
        Takes(), {"images": torch.zeros(2, 8)}, forward_kwargs={"more": [torch.zeros(2, 8)]}, batch_size=batch_size
    )
    assert estimate.peak_bytes == 3 * 32 * batch_size


def test_a_model_larger_than_the_machine() -> None:
    with torch.device("meta"):
        model = nn.Sequential(*[nn.Linear(32768, 32768, bias=False) for _ in range(32)])
    estimate = estimate_memory(model, torch.zeros(1, 32768, device="meta"), backward=True, batch_size=16)
    assert estimate.parameter_bytes == estimate.gradient_bytes == 32 * 4 * 32768**2
