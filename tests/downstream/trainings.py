"""Trains models of shipped configs for two iterations with a Runner, and prints, as JSON, what came of it.

    python -m eng.compat trainings.py PACKAGE CONFIG...     under eng
    python trainings.py PACKAGE CONFIG...                   under the reference
    python trainings.py PACKAGE --draw COUNT SEED           configs drawn at random

Optimizer, schedulers, loop and hooks are those of the config; the data are generated (model_inputs.py), and the model is
cut down as in model_steps.py.
"""

from __future__ import annotations

import copy
import importlib
import json
import logging
import random
import signal
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

import model_inputs
import torch
from libraries import BY_PACKAGE
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DATASETS, FUNCTIONS, HOOKS, DefaultScope
from mmengine.runner import IterBasedTrainLoop, Runner
from model_steps import model_config, optim_config

# The largest model that is trained here, and the seconds that one config may take.
LARGEST, LONGEST = 60_000_000, 100
# Width of the images: models of mmpretrain are often made for this one.
SIZES = {"mmpretrain": 224}
MODELS = Path(__file__).with_name("models.json")
BATCHES: list[dict] = []
NO_TESTS = dict.fromkeys(
    f"{phase}_{part}" for phase in ("val", "test") for part in ("dataloader", "evaluator", "cfg")
)  # all None


class TooLargeError(Exception):
    """The model has more parameters than are trained here."""


@DATASETS.register_module()
class FourSamples(torch.utils.data.Dataset):
    """Numbers of samples; `collate_fn` gives the same generated batch for each two of them."""

    metainfo: dict = {}

    def __init__(self, metainfo: dict | None = None) -> None:
        self.metainfo = dict(metainfo or {})

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        return index


@FUNCTIONS.register_module()
def generated_batch(samples: list[int]) -> dict:
    """The batch of the config that is trained, whatever the samples are."""
    return copy.deepcopy(BATCHES[0])


@HOOKS.register_module()
class TwoIterations(Hook):
    """Ends the training after two iterations, so that the length that the schedules see stays that of the config.

    Each iteration, and the initialisation of weights where the loop counts iterations, starts from a seed: MMEngine draws
    the seeds of workers from torch's global generator, in such a loop before the weights are made; eng does not.
    """

    def before_run(self, runner) -> None:
        if isinstance(runner.train_loop, IterBasedTrainLoop):
            torch.manual_seed(0)

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        torch.manual_seed(runner.iter)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if runner.iter == 1:
            runner.train_loop.stop_training = True


def cut_down(package: str, cfg: Config, work_dir: str) -> Config:
    """The config of a run on generated data, without validation and checkpoints."""
    size = SIZES.get(package, 64)
    BATCHES[:] = [getattr(model_inputs, package)(cfg, size)]
    cfg.model, cfg.optim_wrapper = model_config(cfg, size), optim_config(cfg)
    cfg.train_dataloader = {
        "batch_size": 2, "num_workers": 0, "dataset": {"type": "mmengine.FourSamples"},
        "sampler": {"type": "mmengine.DefaultSampler", "shuffle": False},
        "collate_fn": {"type": "mmengine.generated_batch"},
    }  # fmt: skip
    lengths = ("type", "by_epoch", "max_epochs", "max_iters")
    cfg.train_cfg = {key: cfg.train_cfg[key] for key in lengths if key in cfg.train_cfg}
    cfg.custom_hooks = [*(cfg.get("custom_hooks") or []), {"type": "mmengine.TwoIterations"}]
    cfg.default_hooks = {
        **cfg.get("default_hooks", {}),
        "checkpoint": {"type": "mmengine.CheckpointHook", "interval": -1, "save_last": False},
        "logger": {"type": "mmengine.LoggerHook", "interval": 1},
    }
    cfg.merge_from_dict(
        {**NO_TESTS, "work_dir": work_dir, "load_from": None, "resume": False, "randomness": {"seed": 0}}
    )
    cfg.tta_model = None
    return cfg


def training(package: str, path: Path) -> dict:
    """Losses and learning rates of both iterations, and the weights and settings behind them."""
    with tempfile.TemporaryDirectory() as work_dir:
        cfg = cut_down(package, Config.fromfile(path), work_dir)
        cfg.experiment_name = Path(work_dir).name
        if cfg.get("visualizer"):
            cfg.visualizer.name = cfg.experiment_name  # one that has the name already would be taken again
        runner = Runner.from_cfg(cfg)
        num_parameters = sum(parameter.numel() for parameter in runner.model.parameters())
        if num_parameters > LARGEST:
            raise TooLargeError(f"{num_parameters} parameters")
        runner.train()
        lines = next(Path(work_dir).glob("*/vis_data/scalars.json")).read_text().splitlines()
        scalars = [line for line in map(json.loads, lines) if "loss" in line or any("loss" in key for key in line)]
        wrappers = runner.optim_wrapper
        wrappers = dict(wrappers.items()) if hasattr(wrappers, "optim_wrappers") else {"": wrappers}
        groups = [group for wrapper in wrappers.values() for group in wrapper.optimizer.param_groups]
        return {
            "scalars": [
                {key: value for key, value in line.items() if "loss" in key or key in ("lr", "base_lr", "grad_norm")}
                for line in scalars
            ],
            "rates": sorted({float(f"{group['lr']:.10g}") for group in groups}),
            "hooks": sorted({type(hook).__name__ for hook in runner.hooks} - {"NaiveVisualizationHook"}),
            "weights": sum(value.detach().double().abs().sum().item() for value in runner.model.parameters()),
            "iterations": runner.iter,
        }


def expire(signum, frame) -> None:
    raise TimeoutError(f"more than {LONGEST} s")


def drawn(package: str, count: int, seed: int) -> list[str]:
    """Configs of training runs, none of them a base file or one whose single step is compared (models.json)."""
    library = BY_PACKAGE[package]
    tried = {name.partition("@")[0] for name in json.loads(MODELS.read_text(encoding="utf-8")).get(package, ())}
    folder = library.root / library.configs
    names = [file.relative_to(folder).as_posix() for file in library.config_files()]
    return random.Random(seed).sample([name for name in names if "_base_" not in name and name not in tried], count)


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    signal.signal(signal.SIGALRM, expire)
    package, *names = sys.argv[1:]
    if names[0] == "--draw":
        names = drawn(package, int(names[1]), int(names[2]))
    importlib.import_module(f"{package}.utils").register_all_modules()
    library, results = BY_PACKAGE[package], {}
    for number, name in enumerate(names):
        DefaultScope.get_instance(f"training-{number}", scope_name=package)
        signal.alarm(LONGEST)
        try:
            results[name] = training(package, library.root / library.configs / name)
        except Exception as error:
            results[name] = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
            traceback.print_exc(limit=-6)
        signal.alarm(0)
        print(name, json.dumps(results[name])[:300], file=sys.stderr, flush=True)
    print()
    print(json.dumps(results))


if __name__ == "__main__":
    main()
