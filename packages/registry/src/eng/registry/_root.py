"""The root registries of eng, such as `MODELS` and `HOOKS`, to which libraries add child registries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from ._build import build_model_from_cfg, build_runner_from_cfg, build_scheduler_from_cfg
from ._registry import Registry
from ._scope import DefaultScope

SCOPE = "eng"

RUNNERS = Registry("runner", build_func=build_runner_from_cfg, scope=SCOPE, locations=["eng.runner"])
RUNNER_CONSTRUCTORS = Registry("runner constructor", scope=SCOPE, locations=["eng.runner"])
LOOPS = Registry("loop", scope=SCOPE, locations=["eng.runner"])
HOOKS = Registry("hook", scope=SCOPE, locations=["eng.hooks"])
LOG_PROCESSORS = Registry("log_processor", scope=SCOPE, locations=["eng.runner"])
STRATEGIES = Registry("strategy", scope=SCOPE, locations=["eng.runner"])

DATASETS = Registry("dataset", scope=SCOPE, locations=["eng.dataset"])
DATA_SAMPLERS = Registry("data sampler", scope=SCOPE, locations=["eng.dataset"])
TRANSFORMS = Registry("transform", scope=SCOPE, locations=["eng.dataset"])
FUNCTIONS = Registry("function", scope=SCOPE, locations=["eng.dataset"])

MODELS = Registry("model", build_func=build_model_from_cfg, scope=SCOPE, locations=["eng.model"])
MODEL_WRAPPERS = Registry("model_wrapper", scope=SCOPE, locations=["eng.model", "eng.runner"])
WEIGHT_INITIALIZERS = Registry("weight initializer", scope=SCOPE, locations=["eng.model"])
TASK_UTILS = Registry("task util", scope=SCOPE)

OPTIMIZERS = Registry("optimizer", scope=SCOPE, locations=["eng.optim"])
OPTIM_WRAPPERS = Registry("optim_wrapper", scope=SCOPE, locations=["eng.optim", "eng.runner"])
OPTIM_WRAPPER = OPTIM_WRAPPERS  # A second name for the same registry, from MMEngine's manual.
OPTIM_WRAPPER_CONSTRUCTORS = Registry("optimizer wrapper constructor", scope=SCOPE, locations=["eng.optim"])
PARAM_SCHEDULERS = Registry(
    "parameter scheduler", build_func=build_scheduler_from_cfg, scope=SCOPE, locations=["eng.optim"]
)

METRICS = Registry("metric", scope=SCOPE, locations=["eng.evaluator"])
EVALUATOR = Registry("evaluator", scope=SCOPE, locations=["eng.evaluator"])

VISUALIZERS = Registry("visualizer", scope=SCOPE, locations=["eng.visualization"])
VISBACKENDS = Registry("vis_backend", scope=SCOPE, locations=["eng.visualization"])
INFERENCERS = Registry("inferencer", scope=SCOPE, locations=["eng.infer"])

ROOT_REGISTRIES: tuple[Registry, ...] = tuple(
    {id(value): value for value in list(globals().values()) if isinstance(value, Registry)}.values()
)


@contextmanager
def isolated_registries(*, empty: bool = False) -> Iterator[None]:
    """Undoes, at the end of a ``with`` block, all changes to the registries and to the default scope. Meant for tests.

    Args:
        empty: whether the root registries start the block without any names and children.

    Examples:
        >>> with isolated_registries():
        ...     _ = MODELS.register_module("Round", module=round)
        >>> MODELS.get("Round") is None
        True
    """
    with ExitStack() as stack:
        stack.enter_context(DefaultScope.isolated())
        for registry in ROOT_REGISTRIES:
            stack.enter_context(registry.isolated(empty=empty))
        yield


def add_scope_synonym(synonym: str) -> None:
    """Adds a second name for the scope ``eng`` in every root registry, so that ``synonym.Name`` means ``eng.Name``.

    Args:
        synonym: a name without dots; `eng.compat` adds ``mmengine``.

    Examples:
        >>> add_scope_synonym("foundation")
        >>> MODELS.of_scope("foundation") is MODELS
        True
    """
    for registry in ROOT_REGISTRIES:
        registry.add_synonym(synonym)


def remove_scope_synonym(synonym: str) -> None:
    """Removes a second name of the scope ``eng`` that `add_scope_synonym` added.

    Args:
        synonym: the name to remove; a name that was not added is ignored.

    Examples:
        >>> add_scope_synonym("engine")
        >>> remove_scope_synonym("engine")
        >>> MODELS.answers_to("engine")
        False
    """
    for registry in ROOT_REGISTRIES:
        registry.remove_synonym(synonym)
