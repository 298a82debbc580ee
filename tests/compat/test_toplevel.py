from __future__ import annotations

from bridge_parts import ALIAS, run


def test_classes_are_the_same_under_both_names() -> None:
    out = run(
        ALIAS
        + """
import eng.runner, eng.registry, eng.hooks.hook, mmengine, mmengine.runner
from mmengine.hooks.hook import Hook
from mmengine import Config, MessageHub, Registry, ConfigDict, mkdir_or_exist
from mmengine.registry import MODELS
print(mmengine.runner.Runner is eng.runner.Runner, Hook is eng.hooks.hook.Hook, MODELS is eng.registry.MODELS)
from mmengine import Hook as exported_by_the_manual
print(exported_by_the_manual is Hook)
"""
    )
    assert out.split() == ["True"] * 4


def test_the_scope_mmengine_is_the_root_and_class_paths_resolve() -> None:
    out = run(
        ALIAS
        + """
from mmengine.registry import HOOKS, LOOPS, DefaultScope
print(HOOKS.get("mmengine.IterTimerHook").__name__, HOOKS.get("mmengine.hooks.IterTimerHook").__module__)
with DefaultScope.overwrite_default_scope("mmengine"):
    print(type(HOOKS.build(dict(type="EmptyCacheHook"))).__name__)
print(LOOPS.get("mmengine.runner.EpochBasedTrainLoop").__name__)
"""
    )
    assert out.split() == ["IterTimerHook", "eng.hooks.iter_timer_hook", "EmptyCacheHook", "EpochBasedTrainLoop"]
