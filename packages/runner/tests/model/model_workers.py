"""Models and processes for tests; run as a script under several ranks."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections import namedtuple
from types import SimpleNamespace

import torch
import torch.distributed as dist
from torch import nn

from eng.model import BaseModel
from eng.model.adapters import adapt


class Toy(BaseModel):
    """Two linear layers and a squared error."""

    def __init__(self, width=4, **kwargs):
        super().__init__(**kwargs)
        self.first = nn.Linear(2, width)
        self.second = nn.Linear(width, 1)

    def forward(self, x, y=None, mode="tensor"):
        out = self.second(torch.tanh(self.first(x)))
        if mode == "loss":
            return {
                "loss_a": (out - y) ** 2,
                "loss_b": [0.5 * (out - y).abs(), 0.5 * (out - y).abs()],
                "acc": (out > y).float(),
            }
        return out if mode == "tensor" else [out]


class Wrapper:
    """The little of an OptimWrapper that a model calls."""

    def __init__(self, optimizer):
        self.optimizer = optimizer
        self.calls = []

    @contextlib.contextmanager
    def optim_context(self, model):
        yield

    def update_params(self, loss, **kwargs):
        self.calls.append(kwargs)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


class Gan(BaseModel):
    def __init__(self):
        super().__init__()
        self.generator = nn.Linear(2, 2)
        self.discriminator = nn.Linear(2, 1)
        self.frozen = nn.Linear(1, 1).requires_grad_(False)

    def forward(self, x, mode="tensor"):
        return self.frozen(self.discriminator(self.generator(x)))

    def train_step(self, data, optim_wrapper):
        x = self.data_preprocessor(data, True)["x"]
        loss_d = self.discriminator(self.generator(x).detach()).pow(2).mean()
        optim_wrapper["discriminator"].update_params(loss_d)
        loss_g = self.discriminator(self.generator(x)).mean()
        loss, log_vars = self.parse_losses({"loss_g": loss_g})
        optim_wrapper["generator"].update_params(loss)
        return log_vars


def batch(rank: int, world: int) -> dict:
    """The rank's share of one batch of eight."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(8, 2, generator=generator), torch.randn(8, 1, generator=generator)
    return {"x": x[rank::world], "y": y[rank::world]}


def toy() -> Toy:
    torch.manual_seed(3)
    return Toy()


class AnyBatch(BaseModel):
    """Takes the forms of a batch that `batch_forms` lists: ``x`` alone, ``x`` and ``y``, or an object that holds both."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 1)

    def forward(self, x, y=0.0, mode="tensor"):
        x, y = (x.x, x.y) if isinstance(x, SimpleNamespace) else (x, y)
        return {"loss": (self.first(x) - y) ** 2}


class PlainNetwork(nn.Module):
    """As `AnyBatch`, without the steps of a model of eng."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 1)

    def forward(self, x, y=0.0):
        x, y = (x.x, x.y) if isinstance(x, SimpleNamespace) else (x, y)
        return ((self.first(x) - y) ** 2).mean()


def batch_forms(rank: int, world: int) -> list:
    """The rank's share of one batch in each form that a loader may give it."""
    part = batch(rank, world)
    x, y = part["x"], part["y"]
    return [x, (x, y), [x, y], [x], part, Pair(x, y), SimpleNamespace(x=x, y=y)]


Pair = namedtuple("Pair", "x y")


def trained_on_all_forms(rank: int, world: int, wrap) -> list:
    """Weights after a step on each form, of a model of eng and of a plain module."""
    states = []
    for kind in (AnyBatch, PlainNetwork):
        torch.manual_seed(5)
        model = wrap(adapt(kind()))
        wrapper = Wrapper(torch.optim.SGD(model.parameters(), lr=0.1))
        for form in batch_forms(rank, world):
            model.train_step(form, wrapper)
            states.append([value for parameter in model.parameters() for value in parameter.flatten().tolist()])
    return states


def flat(state) -> dict:
    return {name: value.flatten().tolist() for name, value in state.items()}


def run_ddp(rank, world):
    from eng.model import MMDistributedDataParallel, is_model_wrapper

    model = MMDistributedDataParallel(toy(), detect_anomalous_params=True)
    wrapper = Wrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    logs = [{k: float(v) for k, v in model.train_step(batch(rank, world), wrapper).items()} for _ in range(2)]
    prediction = model.val_step(batch(0, 1))[0]
    assert torch.equal(prediction, model.test_step(batch(0, 1))[0]) and is_model_wrapper(model)
    forms = trained_on_all_forms(rank, world, MMDistributedDataParallel)
    return {"state": flat(model.module.state_dict()), "logs": logs, "forms": forms}


def run_separate(rank, world):
    from torch.nn.parallel import DistributedDataParallel

    from eng.model import MMSeparateDistributedDataParallel, is_model_wrapper

    torch.manual_seed(0)
    model = MMSeparateDistributedDataParallel(Gan())
    kinds = {name: isinstance(child, DistributedDataParallel) for name, child in model.module.named_children()}
    wrappers = {
        name: Wrapper(torch.optim.SGD(getattr(model.module, name).parameters(), lr=0.1))
        for name in ("generator", "discriminator")
    }
    model.train_step({"x": batch(rank, world)["x"]}, wrappers)
    with model.no_sync():
        unsynced = [
            child.require_backward_grad_sync
            for child in model.module.children()
            if isinstance(child, DistributedDataParallel)
        ]
    model.train(False)
    assert not model.training and not model.module.generator.training and is_model_wrapper(model)
    assert model(batch(0, 1)["x"]).shape == (8, 1)
    return {"kinds": kinds, "unsynced": unsynced, "state": flat(model.state_dict())}


def run_fsdp(rank, world):
    from torch.distributed.tensor import DTensor

    from eng.model import MMFullyShardedDataParallel, is_model_wrapper

    options = json.loads(os.environ.get("FSDP_OPTIONS", "{}"))
    policy = options.pop("policy", None)
    if policy == "callable":
        options["auto_wrap_policy"] = lambda module, recurse, nonwrapped_numel: recurse or isinstance(module, nn.Linear)
    elif policy:
        options["auto_wrap_policy"] = policy
    model = MMFullyShardedDataParallel(toy(), **options)
    names = list(model.state_dict())
    wrapper = Wrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    logs = [{k: float(v) for k, v in model.train_step(batch(rank, world), wrapper).items()} for _ in range(2)]
    full = model.full_state_dict()
    lonely = model.full_state_dict(rank0_only=True)
    assert (len(lonely) == len(full)) == (rank == 0), (rank, len(lonely))
    again = MMFullyShardedDataParallel(Toy(), **options)
    again.load_state_dict(full)
    reloaded = flat(again.full_state_dict())
    again.load_state_dict(model.state_dict())
    assert flat(again.full_state_dict()) == reloaded
    sharded = all(isinstance(parameter, DTensor) for parameter in model.parameters())
    return {
        "state": flat(full),
        "reloaded": reloaded,
        "names": names,
        "sharded": sharded,
        "logs": logs,
        "wrapper": is_model_wrapper(model),
        "prediction": model.val_step(batch(0, 1))[0].detach().flatten().tolist(),
    }


HOOKS = {
    "plain": None, "bf16": "bf16", "powersgd": dict(type="powersgd", matrix_approximation_rank=2, start_powerSGD_iter=2, min_compression_rate=1),
    "powersgd in bf16": dict(type="powersgd", start_powerSGD_iter=2, min_compression_rate=1, compress="bf16"),
}  # fmt: skip


def run_hooks(rank, world):
    """Gradients of three backward passes of a linear layer, by the hook that exchanged them."""
    from eng.model import MMDistributedDataParallel

    gradients = {}
    for name, setting in HOOKS.items():
        torch.manual_seed(0)
        model = MMDistributedDataParallel(torch.nn.Linear(16, 16, bias=False), gradient_hook=setting)
        for step in range(3):
            torch.manual_seed(100 * step + rank)
            model.zero_grad()
            model(torch.randn(4, 16)).square().sum().backward()
        gradients[name] = model.module.weight.grad.tolist()
    return gradients


def main() -> None:
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    dist.init_process_group("gloo", init_method=f"file://{os.environ['INIT_FILE']}", rank=rank, world_size=world)
    try:
        print(
            json.dumps(
                {"ddp": run_ddp, "separate": run_separate, "fsdp": run_fsdp, "hooks": run_hooks}[sys.argv[1]](
                    rank, world
                )
            )
        )
    finally:
        dist.destroy_process_group()
    # torch 2.13 aborts now and then while the interpreter ends with gloo's threads in it; the result is out by now
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
