"""The engine: Runner, loops, and what they need to survive."""

from eng.checkpoint import (
    CheckpointLoader,
    find_latest_checkpoint,
    get_external_models,
    get_mmcls_models,
    get_state_dict,
    get_torchvision_models,
    load_checkpoint,
    load_state_dict,
    save_checkpoint,
    weights_to_cpu,
)

from ._version import __version__
from .activation_checkpointing import turn_on_activation_checkpointing
from .amp import autocast
from .errors import (
    IncompleteSettingsError,
    MissingPartError,
    ModelContractError,
    NonFiniteLossError,
    ResumeError,
    RunInterrupted,
    SettingsError,
)
from .log_processor import LogProcessor
from .loops import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop, TestLoop, ValLoop
from .oom import is_out_of_memory
from .preemption import Preemption
from .priority import Priority, get_priority
from .runner import Runner
from .utils import set_random_seed

__all__ = [
    "__version__",
    "BaseLoop",
    "CheckpointLoader",
    "EpochBasedTrainLoop",
    "IncompleteSettingsError",
    "IterBasedTrainLoop",
    "LogProcessor",
    "MissingPartError",
    "ModelContractError",
    "NonFiniteLossError",
    "Preemption",
    "Priority",
    "ResumeError",
    "RunInterrupted",
    "Runner",
    "SettingsError",
    "TestLoop",
    "ValLoop",
    "autocast",
    "find_latest_checkpoint",
    "get_external_models",
    "get_mmcls_models",
    "get_priority",
    "get_state_dict",
    "is_out_of_memory",
    "get_torchvision_models",
    "load_checkpoint",
    "load_state_dict",
    "save_checkpoint",
    "set_random_seed",
    "turn_on_activation_checkpointing",
    "weights_to_cpu",
]
