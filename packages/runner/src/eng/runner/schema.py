"""The parts of a run's config: what :func:`eng.registry.check` needs to know to read one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

from eng import registry as roots
from eng.registry import Node, Plain, Schema, Shape

from .activation_checkpointing import ActivationSettings
from .assemble.several import names_of_sets
from .loader_keys import DATALOADER_KEYS
from .precision import PrecisionSettings
from .settings import EnvSettings, Randomness, RunnerSettings

# Top-level keys of a config that a Runner or a tool reads although they are no arguments of the Runner.
CONFIG_KEYS = frozenset(
    [
        "custom_imports",
        "runner_type",
        "model_wrapper_cfg",
        "tta_model",
        "tta_pipeline",
        "tta_dataloader",
        "tta_cfg",
        "sync_bn",
        "find_unused_parameters",
        "detect_anomalous_params",
        "efficient_conv_bn_eval",
        "allow_partial",
    ]
)
_DIST_KEYS = frozenset(
    [
        "backend",
        "timeout",
        "init_method",
        "world_size",
        "rank",
        "store",
        "group_name",
        "pg_options",
        "device_id",
        "init_backend",
    ]
)
DEFAULT_HOOKS = frozenset(
    [
        "non_finite_loss",
        "preemption",
        "runtime_info",
        "timer",
        "sampler_seed",
        "logger",
        "param_scheduler",
        "checkpoint",
        "visualization",
        "progress_bar",
        "garbage_collection",
        "compile_cache",
    ]
)
PARAMWISE_KEYS = frozenset(
    [
        "lr_mult",
        "decay_mult",
        "bias_lr_mult",
        "bias_decay_mult",
        "norm_decay_mult",
        "flat_decay_mult",
        "dwconv_decay_mult",
        "dcn_offset_lr_mult",
        "bypass_duplicate",
        "custom_keys",
    ]
)
_CLIP = Plain(keys=frozenset(["type", "max_norm", "norm_type", "error_if_nonfinite", "foreach", "clip_value"]))
_WRAPPER_KEYS = frozenset(["clip_grad", "accumulative_counts", "paramwise_cfg", "constructor"])

_TRANSFORM = Node(roots.TRANSFORMS)
_HOOK = Node(roots.HOOKS, extra=frozenset({"priority"}))
_METRIC = Node(roots.METRICS)
_EVALUATOR = Node(roots.EVALUATOR, "Evaluator", children={"metrics": _METRIC})
_DATASET = Node(
    roots.DATASETS,
    levels_up={"it is a setting of the dataloader, one level up": DATALOADER_KEYS - {"dataset"}},
    takes_data=True,
)
_FUNCTION = Node(roots.FUNCTIONS)
_SAMPLER = Node(roots.DATA_SAMPLERS, supplied=frozenset({"dataset", "seed"}))
_BATCH_SAMPLER = Node(roots.DATA_SAMPLERS, supplied=frozenset({"sampler", "batch_size"}))
_LOOP_PARTS = frozenset({"runner", "dataloader", "evaluator"})
_SCHEDULER = Node(
    roots.PARAM_SCHEDULERS,
    extra=frozenset({"convert_to_iter_based", "epoch_length"}),
    supplied=frozenset({"optimizer"}),
)
_OPTIMIZER = Node(
    roots.OPTIMIZERS,
    extra=frozenset({"split"}),
    supplied=frozenset({"params"}),
    levels_up={"it is a setting of 'optim_wrapper', one level up": _WRAPPER_KEYS},
)
_CUSTOM_KEY = Plain("a custom key", frozenset({"lr_mult", "decay_mult"}), is_open=True)

DATALOADER = Plain(
    "a dataloader",
    DATALOADER_KEYS,
    children={
        "dataset": _DATASET,
        "sampler": _SAMPLER,
        "batch_sampler": _BATCH_SAMPLER,
        "collate_fn": _FUNCTION,
        "worker_init_fn": _FUNCTION,
    },
    required=("dataset",),
    is_strict=True,
    is_single=True,
)


def _evaluator(node: Any) -> Node | Plain:
    """Returns the schema of an evaluator config.

    A mapping without the key ``metrics`` is the config of a metric, or maps names of sets to evaluators.
    """
    if "metrics" in node:
        return _EVALUATOR
    if _is_by_set(node):
        return Plain(others=_evaluator)
    return _METRIC


def _is_by_set(node: object) -> bool:
    """Whether an evaluator or a loop config is a mapping from the names of several datasets to the setting of each."""
    return isinstance(node, Mapping) and bool(node) and "type" not in node and all(map(_is_several, node.values()))


def _is_several(value: object) -> bool:
    return isinstance(value, (Mapping, list, tuple))


class _Dataloader:
    """The schema of a dataloader config, or of a mapping from the names of sets to dataloader configs."""

    is_single = True

    def __call__(self, node: object) -> Plain:
        if names_of_sets(node):
            return Plain(others=DATALOADER)
        return DATALOADER


def _evaluation_loop(mode: str) -> Callable[[Any], Node | Plain]:
    """Returns the schema of ``val_cfg`` or ``test_cfg``, which may hold one loop config or one for each dataset.

    Args:
        mode: name of the loop class that a config without ``type`` uses.
    """
    loop = Node(roots.LOOPS, mode, supplied=_LOOP_PARTS)
    return lambda node: Plain(others=loop) if _is_by_set(node) else loop


def _train_loop(node: Mapping[str, Any]) -> str:
    """Returns the name of the training loop class that a Runner would choose by the key ``by_epoch``."""
    if node.get("by_epoch", "max_iters" not in node or "max_epochs" in node):
        return "EpochBasedTrainLoop"
    return "IterBasedTrainLoop"


def _model(node: Mapping[str, Any]) -> Node | Plain:
    """Returns the schema of a model config.

    A model without ``train_step`` may also have the arguments of :class:`eng.model.SupervisedModel`, which wraps it.
    """
    from eng.model import adapters

    supplied = frozenset({"data_preprocessor"})
    if not adapters.takes_options(node.get("type")):
        return Node(roots.MODELS, supplied=supplied)
    if adapters.by_prefix(node) is not node:
        return Plain(is_open=True)
    extra = frozenset({*adapters.OPTIONS, *supplied})
    return Node(roots.MODELS, extra=extra, supplied=supplied, children={"loss": Node(roots.MODELS)})


def _schedulers(node: Mapping[str, Any]) -> Node | Plain:
    """Returns the schema of a scheduler config, or of a mapping from the names of optimizers to their schedulers."""
    is_group = "type" not in node and all(isinstance(value, (Mapping, list, tuple)) for value in node.values())
    if is_group:
        return Plain(others=_SCHEDULER)
    return _SCHEDULER


def _optim_wrapper(node: Mapping[str, Any]) -> Node | Plain:
    """Returns the schema of an optimizer wrapper config, or of a mapping of several by name, as for a GAN."""
    if "optimizer" not in node and any(isinstance(value, Mapping) and "optimizer" in value for value in node.values()):
        return Plain(children={"constructor": _nothing}, others=_one_wrapper)
    return _one_wrapper(node)


def _one_wrapper(node: Mapping[str, Any]) -> Node:
    """Returns the schema of one optimizer wrapper config.

    Options of the optimizer, such as ``lr``, may also appear under each key of ``custom_keys``.
    """
    rule = replace(_CUSTOM_KEY, keys=_CUSTOM_KEY.keys | _optimizer_defaults(node.get("optimizer")))
    foreign = _has_constructor(node)
    paramwise = Plain(
        keys=PARAMWISE_KEYS, children={"custom_keys": Plain(others=rule)}, is_open=foreign, needs_near=foreign
    )
    return Node(
        roots.OPTIM_WRAPPERS,
        "OptimWrapper",
        extra=frozenset({"constructor", "paramwise_cfg"}),
        supplied=frozenset({"optimizer"}),
        children={"optimizer": _OPTIMIZER, "clip_grad": _CLIP, "paramwise_cfg": paramwise},
    )


def _nothing(_: Any) -> None:
    """Returns None as the schema of a value, so that the value is not checked."""


def _has_constructor(node: Mapping[str, Any]) -> bool:
    """Whether a constructor class of the user builds the optimizer; such a class may accept options unknown to eng."""
    return bool(node.get("constructor", "DefaultOptimWrapperConstructor") != "DefaultOptimWrapperConstructor")


def _optimizer_defaults(optimizer: object) -> frozenset[str]:
    """Returns the names of the options that each parameter group of an optimizer may set, such as ``lr``."""
    optimizer_type = optimizer
    if isinstance(optimizer, Mapping):
        optimizer_type = optimizer.get("type")
    factory = optimizer_type
    if isinstance(optimizer_type, str) and optimizer_type:
        factory = roots.OPTIMIZERS.in_current_scope().get(optimizer_type)
    if not callable(factory):
        return frozenset({"lr", "weight_decay"})
    try:
        names = frozenset(inspect.signature(factory).parameters)
    except (TypeError, ValueError):  # The class is a builtin without a signature.
        names = frozenset()
    return names | {"lr", "weight_decay"}


_SECTIONS: Mapping[str, Shape] = {
    "model": _model,
    "data_preprocessor": Node(roots.MODELS, needs_type=False),
    "tta_model": Node(roots.MODELS, supplied=frozenset({"module"})),
    "tta_pipeline": _TRANSFORM,
    "optim_wrapper": _optim_wrapper,
    "param_scheduler": _schedulers,
    # max_epochs and max_iters are not required here, because a run that only tests needs neither. The training loop
    # raises an error if both are missing.
    "train_cfg": Node(roots.LOOPS, _train_loop, frozenset({"by_epoch"}), _LOOP_PARTS | {"max_epochs", "max_iters"}),
    "val_cfg": _evaluation_loop("ValLoop"),
    "test_cfg": _evaluation_loop("TestLoop"),
    "tta_cfg": Node(roots.LOOPS, "TestLoop", supplied=_LOOP_PARTS),
    **dict.fromkeys(("train_dataloader", "tta_dataloader"), DATALOADER),
    **dict.fromkeys(("val_dataloader", "test_dataloader"), _Dataloader()),
    "val_evaluator": _evaluator,
    "test_evaluator": _evaluator,
    "default_hooks": Plain("default_hooks", DEFAULT_HOOKS, others=_HOOK),
    "custom_hooks": _HOOK,
    "log_processor": Node(roots.LOG_PROCESSORS, "LogProcessor"),
    "visualizer": Node(
        roots.VISUALIZERS,
        "Visualizer",
        supplied=frozenset({"name", "save_dir"}),
    ),
    "strategy": Node(roots.STRATEGIES),
    "model_wrapper_cfg": Node(roots.MODEL_WRAPPERS, supplied=frozenset({"module"})),
    "env_cfg": Plain(
        keys=frozenset(field.name for field in fields(EnvSettings)),
        children={
            "dist_cfg": Plain(keys=_DIST_KEYS, is_open=True),
            "mp_cfg": Plain(keys=frozenset({"mp_start_method", "opencv_num_threads"}), is_strict=True),
        },
    ),
    "activation_checkpointing": Plain(
        keys=frozenset(field.name for field in fields(ActivationSettings)), is_strict=True
    ),
    "precision": Plain(keys=frozenset(field.name for field in fields(PrecisionSettings)), is_strict=True),
    "randomness": Plain(keys=frozenset(field.name for field in fields(Randomness)), is_strict=True),
    "loss_spike": Plain(keys=frozenset({"factor", "window", "action"}), is_strict=True),
    "auto_scale_lr": Plain(keys=frozenset({"enable", "base_batch_size"})),
    "custom_imports": Plain(keys=frozenset({"imports", "allow_failed_imports"})),
}

_ARGUMENTS: Mapping[str, Node] = {
    "pipeline": _TRANSFORM,
    "transforms": _TRANSFORM,
    "transform": _TRANSFORM,
    "dataset": _DATASET,
    "datasets": _DATASET,
    "data_preprocessor": Node(roots.MODELS),
    "backbone": Node(roots.MODELS),
    "optimizer": _OPTIMIZER,
    "metrics": _METRIC,
    "vis_backends": Node(roots.VISBACKENDS, supplied=frozenset({"save_dir"})),
    "init_cfg": Node(roots.WEIGHT_INITIALIZERS, extra=frozenset({"override", "layer", "name"})),
}

# Keys that have no effect at the top level of a config, and the top-level key inside which each of them belongs.
_HOMES: Mapping[str, str] = {
    "optimizer": "optim_wrapper",
    "vis_backends": "visualizer",
    "backbone": "model",
    "dataset": "train_dataloader",
    "sampler": "train_dataloader",
    "lr_config": "param_scheduler",
    "runner": "train_cfg",
    "checkpoint_config": "default_hooks",
}

# Sections that a config may leave out: a run that trains needs no test, and a run that tests needs no validation.
_LATER = frozenset(
    f"{mode}_{part}" for mode in ("val", "test", "tta") for part in ("dataloader", "evaluator", "cfg")
) | {"tta_model", "tta_pipeline"}
# Sections that are not built by a method of the Runner, but by other parts, each in its own way.
_BUILT_BY_OTHERS = frozenset({"data_preprocessor", "model_wrapper_cfg", "strategy"})
# The method of a Runner that builds each section. A subclass that overrides a method may read its section in its own
# way.
_BUILDERS: Mapping[str, str] = {
    "model": "build_model",
    "optim_wrapper": "build_optim_wrapper",
    "param_scheduler": "build_param_scheduler",
    "train_cfg": "build_train_loop",
    "val_cfg": "build_val_loop",
    "train_dataloader": "build_dataloader",
    "val_dataloader": "build_dataloader",
    "val_evaluator": "build_evaluator",
    "default_hooks": "register_default_hooks",
    "custom_hooks": "register_custom_hooks",
    "log_processor": "build_log_processor",
    "visualizer": "build_visualizer",
    "env_cfg": "setup_env",
    "randomness": "set_randomness",
}


def schema_for(runner: type | None = None) -> Schema:
    """Returns the schema of the configs that a Runner class reads; None stands for :class:`eng.runner.Runner`."""
    overridden: frozenset[str] = frozenset()
    if runner is not None:
        overridden = _overridden(runner)
    return replace(SCHEMA, in_doubt=lambda cfg: _in_doubt(cfg) | overridden)


def _overridden(runner: type) -> frozenset[str]:
    """Returns the config sections that are built by an overridden method of a user's Runner class."""
    methods = {section: getattr(runner, method, None) for section, method in _BUILDERS.items()}
    return frozenset(section for section, method in methods.items() if method is not None and not _is_of_eng(method))


def _in_doubt(cfg: Mapping[str, Any]) -> frozenset[str]:
    """Returns the sections of a config that a class of the user builds, whose keys therefore cannot be checked."""
    doubtful = set(_BUILT_BY_OTHERS)
    for mode in ("train", "val", "test"):
        if _is_foreign(cfg.get(f"{mode}_cfg"), roots.LOOPS):
            doubtful |= {f"{mode}_dataloader", f"{mode}_evaluator"}
    wrapper = cfg.get("optim_wrapper")
    if isinstance(wrapper, Mapping) and _has_constructor(wrapper):
        doubtful |= {"optim_wrapper"}
    if _is_foreign({"type": cfg.get("runner_type", "Runner")}, roots.RUNNERS):
        doubtful |= _SECTIONS.keys()
    return frozenset(doubtful)


def _is_foreign(node: object, registry: roots.Registry) -> bool:
    """Whether a part of a config names, with ``type``, a class that does not belong to eng."""
    type_setting = None
    if isinstance(node, Mapping):
        type_setting = node.get("type")
    factory: Callable[..., Any] | None
    if isinstance(type_setting, str) and type_setting:
        factory = registry.in_current_scope().get(type_setting)
    else:
        factory = type_setting or None
    return factory is not None and not _is_of_eng(factory)


def _is_of_eng(factory: Callable[..., Any]) -> bool:
    return getattr(factory, "__module__", "").startswith("eng.")


SCHEMA = Schema(
    keys=frozenset(field.name for field in fields(RunnerSettings)) | CONFIG_KEYS,
    sections=_SECTIONS,
    later=_LATER,
    in_doubt=_in_doubt,
    arguments=_ARGUMENTS,
    homes=_HOMES,
    scope="eng",
)
