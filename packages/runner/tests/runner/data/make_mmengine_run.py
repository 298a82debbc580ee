"""Writes the run of `test_runner_of_mmengine.py`, with MMEngine 0.10.7: ``python make_mmengine_run.py`` in this folder.

Five epochs of three iterations: the checkpoint after the second, and as numbers what the fifth ended with.
"""

import json
import shutil
import tempfile

import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Net(BaseModel):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 3, bias=False), nn.BatchNorm1d(3), nn.Tanh(), nn.Linear(3, 1))
        for number, parameter in enumerate(self.net.parameters()):
            values = torch.linspace(-0.5, 0.7, parameter.numel()).reshape(parameter.shape)
            parameter.data.copy_(values + 0.1 * number)

    def forward(self, x, y, mode="tensor"):
        return {"loss": (self.net(x) - y).square().mean()}


x = torch.stack([torch.linspace(0, 1, 12), torch.linspace(1, -1, 12).square()], dim=1)
folder = tempfile.mkdtemp()
Runner(
    Net(), folder,
    train_dataloader=DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=4),
    train_cfg=dict(by_epoch=True, max_epochs=5),
    optim_wrapper=dict(
        type="OptimWrapper", optimizer=dict(type="Adam", lr=0.05, weight_decay=0.01), clip_grad=dict(max_norm=0.5)
    ),
    param_scheduler=[
        dict(type="LinearLR", start_factor=0.2, by_epoch=False, end=4), dict(type="CosineAnnealingLR", T_max=5),
    ],
    custom_hooks=[dict(type="EMAHook", momentum=0.2)],
    default_hooks=dict(checkpoint=dict(type="CheckpointHook", interval=1)),
    randomness=dict(seed=0),
).train()  # fmt: skip
shutil.copy(f"{folder}/epoch_2.pth", "mmengine_0_10_7_run_epoch_2.pth")
end = torch.load(f"{folder}/epoch_5.pth", weights_only=False)
scalars = end["message_hub"]["log_scalars"]
numbers = {
    "average": {name: value.tolist() for name, value in end["state_dict"].items()},
    "weights": {name: value.tolist() for name, value in end["ema_state_dict"].items()},
    "moments": {
        str(number): {name: value.tolist() for name, value in state.items()}
        for number, state in end["optimizer"]["state"].items()
    },
    "lr": [float(value) for value in scalars["train/lr"]._log_history],
    "loss": [float(value) for value in scalars["train/loss"]._log_history],
}
with open("mmengine_0_10_7_run_epoch_5.json", "w") as file:
    json.dump(numbers, file)
