"""Which key of a config belongs to which registry, and which keys the parts of a config have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eng.registry import _root as roots
from eng.registry._registry import Registry


@dataclass(frozen=True)
class Place:
    """How to read what stands under a key.

    Attributes:
        registry: in which its ``type`` is looked up.
        default: the type of a mapping without one; None makes a missing type a finding.
        extra: keys that whoever builds it takes out before.
        supplied: arguments that whoever builds it adds.
    """

    registry: Registry
    default: str | None = None
    extra: frozenset[str] = frozenset()
    supplied: frozenset[str] = frozenset()


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


DATALOADER_KEYS = _words(
    "dataset sampler batch_sampler collate_fn worker_init_fn num_batch_per_epoch batch_size shuffle num_workers"
    " global_batch_size pin_memory drop_last timeout multiprocessing_context generator prefetch_factor persistent_workers"
    " pin_memory_device in_order"
)
RUNNER_KEYS = _words(
    "model work_dir train_dataloader val_dataloader test_dataloader train_cfg val_cfg test_cfg auto_scale_lr"
    " optim_wrapper param_scheduler val_evaluator test_evaluator default_hooks custom_hooks data_preprocessor"
    " load_from resume launcher env_cfg log_processor log_level visualizer default_scope randomness experiment_name"
)
OTHER_TOP_KEYS = _words(
    "custom_imports runner_type strategy compile model_wrapper_cfg tta_model tta_pipeline tta_dataloader tta_cfg"
    " sync_bn find_unused_parameters detect_anomalous_params activation_checkpointing efficient_conv_bn_eval"
)
DEFAULT_HOOKS = _words("runtime_info timer sampler_seed logger param_scheduler checkpoint visualization")

# Mappings without a type, by the keys that lead to them.
PLAIN: Mapping[str, frozenset[str]] = {
    "env_cfg": _words("cudnn_benchmark mp_cfg dist_cfg resource_limit"),
    "env_cfg.mp_cfg": _words("mp_start_method opencv_num_threads"),
    "randomness": _words("seed diff_rank_seed deterministic"),
    "auto_scale_lr": _words("enable base_batch_size"),
    "custom_imports": _words("imports allow_failed_imports"),
    "optim_wrapper.clip_grad": _words("type max_norm norm_type error_if_nonfinite foreach clip_value"),
    "optim_wrapper.paramwise_cfg": _words(
        "lr_mult decay_mult bias_lr_mult bias_decay_mult norm_decay_mult flat_decay_mult dwconv_decay_mult"
        " dcn_offset_lr_mult bypass_duplicate custom_keys"
    ),
}

_HOOK = Place(roots.HOOKS, extra=_words("priority"))
_TRANSFORM = Place(roots.TRANSFORMS)
_VISBACKEND = Place(roots.VISBACKENDS)

SECTIONS: Mapping[str, Place] = {
    "model": Place(roots.MODELS),
    "tta_model": Place(roots.MODELS, supplied=_words("module")),
    "data_preprocessor": Place(roots.MODELS),
    "optim_wrapper": Place(roots.OPTIM_WRAPPERS, "OptimWrapper", _words("constructor paramwise_cfg")),
    "param_scheduler": Place(roots.PARAM_SCHEDULERS, extra=_words("convert_to_iter_based epoch_length")),
    "train_cfg": Place(roots.LOOPS, "EpochBasedTrainLoop", _words("by_epoch")),
    "val_cfg": Place(roots.LOOPS, "ValLoop"),
    "test_cfg": Place(roots.LOOPS, "TestLoop"),
    "tta_cfg": Place(roots.LOOPS, "TestLoop"),
    "val_evaluator": Place(roots.METRICS),
    "test_evaluator": Place(roots.METRICS),
    "custom_hooks": _HOOK,
    "log_processor": Place(roots.LOG_PROCESSORS, "LogProcessor"),
    "visualizer": Place(roots.VISUALIZERS),
    "strategy": Place(roots.STRATEGIES),
    "model_wrapper_cfg": Place(roots.MODEL_WRAPPERS),
    "tta_pipeline": _TRANSFORM,
}
DATALOADERS = _words("train_dataloader val_dataloader test_dataloader tta_dataloader")
DATALOADER_SECTIONS: Mapping[str, Place] = {
    "dataset": Place(roots.DATASETS),
    "sampler": Place(roots.DATA_SAMPLERS),
    "batch_sampler": Place(roots.DATA_SAMPLERS),
    "collate_fn": Place(roots.FUNCTIONS),
    "worker_init_fn": Place(roots.FUNCTIONS),
}
HOOK = _HOOK
EVALUATOR = Place(roots.EVALUATOR, "Evaluator")

# Arguments that hold nodes, whatever takes them. Another name belongs to the registry of the node it stands in.
ARGUMENTS: Mapping[str, Place] = {
    "pipeline": _TRANSFORM,
    "transforms": _TRANSFORM,
    "transform": _TRANSFORM,
    "dataset": Place(roots.DATASETS),
    "datasets": Place(roots.DATASETS),
    "data_preprocessor": Place(roots.MODELS),
    "backbone": Place(roots.MODELS),
    "optimizer": Place(roots.OPTIMIZERS),
    "metrics": Place(roots.METRICS),
    "vis_backends": _VISBACKEND,
    "init_cfg": Place(roots.WEIGHT_INITIALIZERS, extra=_words("override layer name")),
}

# Parts that have an effect only inside of another key.
ARGUMENT_HOMES: Mapping[str, str] = {
    "optimizer": "optim_wrapper",
    "vis_backends": "visualizer",
    "backbone": "model",
    "dataset": "train_dataloader",
    "sampler": "train_dataloader",
    "lr_config": "param_scheduler",
    "runner": "train_cfg",
    "checkpoint_config": "default_hooks",
}

# Arguments that whoever builds a part of the registry fills in.
_SUPPLIED: Mapping[str, frozenset[str]] = {
    roots.LOOPS.name: _words("runner dataloader evaluator"),
    roots.DATA_SAMPLERS.name: _words("dataset seed sampler batch_size"),
    roots.OPTIMIZERS.name: _words("params"),
    roots.OPTIM_WRAPPERS.name: _words("optimizer"),
    roots.PARAM_SCHEDULERS.name: _words("optimizer"),
    roots.VISUALIZERS.name: _words("name save_dir vis_backends"),
    roots.VISBACKENDS.name: _words("save_dir"),
    roots.MODEL_WRAPPERS.name: _words("module"),
    roots.MODELS.name: _words("data_preprocessor"),
    roots.OPTIM_WRAPPER_CONSTRUCTORS.name: _words("optim_wrapper_cfg paramwise_cfg"),
}


def supplied_to(registry: Registry) -> frozenset[str]:
    """Arguments that a config need not give to a part of `registry`."""
    return _SUPPLIED.get(registry.name, frozenset())


def top_keys() -> frozenset[str]:
    """Keys with a meaning at the top of a config."""
    return RUNNER_KEYS | OTHER_TOP_KEYS


def place_of_evaluator(node: Any) -> Place:
    """An evaluator holds metrics; a mapping without them is a metric itself."""
    return EVALUATOR if isinstance(node, Mapping) and "metrics" in node else SECTIONS["val_evaluator"]


def default_loop(node: Mapping[str, Any]) -> str:
    """The training loop that ``by_epoch`` chooses."""
    return "EpochBasedTrainLoop" if node.get("by_epoch", True) else "IterBasedTrainLoop"
