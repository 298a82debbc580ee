"""Hooks: objects whose methods the runner calls at fixed points of a run, such as after each training iteration."""

from .checkpoint_hook import CheckpointHook
from .compile_cache_hook import CompileCacheHook
from .early_stopping_hook import EarlyStoppingHook
from .ema_hook import EMAHook
from .empty_cache_hook import EmptyCacheHook
from .freeze_hook import FreezeHook
from .garbage_collection_hook import GarbageCollectionHook
from .hook import Hook
from .iter_timer_hook import IterTimerHook
from .logger_hook import LoggerHook
from .naive_visualization_hook import NaiveVisualizationHook
from .non_finite_loss_hook import NonFiniteLossHook
from .param_scheduler_hook import ParamSchedulerHook
from .preemption_hook import PreemptionHook
from .prepare_tta_hook import PrepareTTAHook
from .profiler_hook import NPUProfilerHook, ProfilerHook
from .progress_bar_hook import ProgressBarHook
from .runtime_info_hook import RuntimeInfoHook
from .sampler_seed_hook import DistSamplerSeedHook
from .straggler_hook import StragglerHook
from .sync_buffer_hook import SyncBuffersHook

__all__ = [
    "FreezeHook",
    "GarbageCollectionHook",
    "Hook",
    "RuntimeInfoHook",
    "IterTimerHook",
    "DistSamplerSeedHook",
    "LoggerHook",
    "ParamSchedulerHook",
    "CheckpointHook",
    "CompileCacheHook",
    "EMAHook",
    "EarlyStoppingHook",
    "EmptyCacheHook",
    "StragglerHook",
    "SyncBuffersHook",
    "ProfilerHook",
    "ProgressBarHook",
    "NPUProfilerHook",
    "NaiveVisualizationHook",
    "PrepareTTAHook",
    "NonFiniteLossHook",
    "PreemptionHook",
]
