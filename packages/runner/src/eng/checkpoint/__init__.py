"""Checkpoint files: write them atomically, read them without running code from the file, and find the newest one."""

from ._async import AsyncCheckpointWriter
from ._differences import Difference, compare_checkpoints
from ._export import export_weights
from ._latest import find_latest_checkpoint
from ._load import _load_checkpoint, _load_checkpoint_to_model, _load_checkpoint_with_prefix, load_checkpoint
from ._loader import CheckpointLoader
from ._match import LoadReport, load_state_dict
from ._publish import publish_checkpoint
from ._read import read_checkpoint, reading
from ._state import get_state_dict, weights_to_cpu
from ._summary import CheckpointSummary, ListedCheckpoint, TensorSummary, list_checkpoints, summarize_checkpoint
from ._verify import verify_checkpoint
from ._write import save_checkpoint, write_pointer, write_whole
from ._writers import CheckpointWriter, WriteBeside, WriteNothing, WriteNow
from ._zoo import get_external_models, get_mmcls_models, get_torchvision_models
from .errors import BrokenCheckpointError, CheckpointWriteError, StateMismatchError, UntrustedCheckpointError

# The names with an underscore are exported because libraries import them from MMEngine.
__all__ = [
    "load_checkpoint",
    "save_checkpoint",
    "load_state_dict",
    "get_state_dict",
    "weights_to_cpu",
    "find_latest_checkpoint",
    "CheckpointLoader",
    "LoadReport",
    "_load_checkpoint",
    "_load_checkpoint_to_model",
    "_load_checkpoint_with_prefix",
    "get_external_models",
    "get_mmcls_models",
    "get_torchvision_models",
    "read_checkpoint",
    "reading",
    "verify_checkpoint",
    "write_pointer",
    "write_whole",
    "publish_checkpoint",
    "export_weights",
    "summarize_checkpoint",
    "list_checkpoints",
    "compare_checkpoints",
    "CheckpointSummary",
    "ListedCheckpoint",
    "TensorSummary",
    "Difference",
    "AsyncCheckpointWriter",
    "CheckpointWriter",
    "WriteNow",
    "WriteBeside",
    "WriteNothing",
    "BrokenCheckpointError",
    "CheckpointWriteError",
    "StateMismatchError",
    "UntrustedCheckpointError",
]
