"""Builds models from shipped configs, runs one training step of each, and prints, as JSON, what came of it.

    python -m eng.compat model_steps.py PACKAGE CONFIG...     under eng
    python model_steps.py PACKAGE CONFIG...                   under the reference

The configs are cut down in the same way on both sides: no pretrained weights, BatchNorm in one process, no mixed
precision, a batch of two small generated inputs. `CONFIG@SIZE` sets the width of the images (64 by default).
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
import time
import traceback
import warnings

import model_inputs
import numpy as np
import torch
from libraries import BY_PACKAGE
from mmengine.config import Config, ConfigDict
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope

LARGEST = 120_000_000
WITHOUT_DEFORMABLE = {"dcn": None, "stage_with_dcn": (False, False, False, False), "dcn_on_last_conv": False}


def cut_down(value):
    """A config without pretrained weights, synchronised normalisation and deformable convolution, which is compiled."""
    if isinstance(value, dict):
        if str(value.get("type", "")).endswith("Pretrained"):
            return None
        cut = {key: cut_down(item) for key, item in value.items()}
        for key in ("pretrained", "load_from"):
            if isinstance(cut.get(key), str) and "://" in cut[key]:
                cut[key] = None
        if cut.get("type") in ("SyncBN", "SyncBatchNorm", "naiveSyncBN2d", "naiveSyncBN1d"):
            cut["type"] = "BN"
        cut.update({key: value for key, value in WITHOUT_DEFORMABLE.items() if key in cut})
        if cut.get("type") == "DLANeck":
            cut["use_dcn"] = False
        return ConfigDict(cut)
    if isinstance(value, (list, tuple)):
        return type(value)(cut_down(item) for item in value)
    return value


def model_config(cfg: Config, size: int):
    model = cut_down(cfg.model)
    if model.get("data_preprocessor") is None and cfg.get("data_preprocessor") is not None:
        model.data_preprocessor = cut_down(cfg.data_preprocessor)
    for key in ("batch_augments",):
        if model.get("data_preprocessor") is not None:
            model.data_preprocessor.pop(key, None)
    if cfg.get("default_scope") == "mmseg" and "size" in (model.get("data_preprocessor") or {}):
        model.data_preprocessor.size = (size, size)  # MMSegmentation pads every batch to the crop of the training
    return model


def optim_config(cfg: Config):
    optim = cut_down(cfg.optim_wrapper)
    for part in [optim, *(item for item in optim.values() if isinstance(item, dict))]:
        if str(part.get("type", "")).startswith("Amp"):
            part.type = "OptimWrapper"
        for key in ("loss_scale", "dtype", "use_fp16"):
            part.pop(key, None)
    return optim


def groups_of(wrapper, model: torch.nn.Module) -> dict:
    """Settings of every parameter by name, as a digest, and how many parameters share which."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    rows, counts = [], {}
    wrappers = dict(wrapper.items()) if hasattr(wrapper, "optim_wrappers") else {"": wrapper}
    for key, item in wrappers.items():
        for group in item.optimizer.param_groups:
            settings = f"lr={group['lr']:.10g} weight_decay={group.get('weight_decay', 0):.10g}"
            for parameter in group["params"]:
                rows.append(f"{key} {names[id(parameter)]} {settings}")
                counts[settings] = counts.get(settings, 0) + 1
    digest = hashlib.sha256("\n".join(sorted(rows)).encode()).hexdigest()[:12]
    return {"digest": digest, "counts": dict(sorted(counts.items()))}


def step(package: str, path: str, size: int) -> dict:
    torch.manual_seed(0)
    np.random.seed(0)
    cfg = Config.fromfile(path)
    model = MODELS.build(model_config(cfg, size))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if parameters > LARGEST:
        raise ValueError(f"{parameters} parameters")
    model.init_weights()
    wrapper = build_optim_wrapper(model, optim_config(cfg))
    groups = groups_of(wrapper, model)
    model.train()
    torch.manual_seed(1)
    np.random.seed(1)
    losses = model.train_step(getattr(model_inputs, package)(cfg, size), wrapper)
    weights = sum(parameter.detach().double().abs().sum().item() for parameter in model.parameters())
    return {
        "losses": {name: float(torch.as_tensor(value).detach().float().mean()) for name, value in losses.items()},
        "groups": groups,
        "weights": weights,
        "parameters": parameters,
    }


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    package, *names = sys.argv[1:]
    importlib.import_module(f"{package}.utils").register_all_modules()
    library = BY_PACKAGE[package]
    results = {}
    for name in names:
        config, _, size = name.partition("@")
        DefaultScope.get_instance(f"step-{time.time()}", scope_name=package)
        start = time.perf_counter()
        try:
            results[name] = step(package, str(library.root / library.configs / config), int(size or 64))
        except Exception as error:
            results[name] = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
            traceback.print_exc(limit=-6)
        results[name]["seconds"] = round(time.perf_counter() - start, 2)
        print(name, json.dumps(results[name])[:200], file=sys.stderr, flush=True)
    print()
    print(json.dumps(results))


if __name__ == "__main__":
    main()
