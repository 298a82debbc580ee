"""Replaces ``mmengine.utils``: helper functions that only code written for MMEngine calls."""

from typing import Any

from eng.compat.utils.misc import (
    apply_to,
    check_prerequisites,
    concat_list,
    deprecated_api_warning,
    deprecated_function,
    get_object_from_string,
    has_method,
    import_modules_from_strings,
    is_list_of,
    is_method_overridden,
    is_seq_of,
    is_str,
    is_tuple_of,
    iter_cast,
    list_cast,
    requires_executable,
    requires_package,
    slice_list,
    to_1tuple,
    to_2tuple,
    to_3tuple,
    to_4tuple,
    to_ntuple,
    tuple_cast,
)
from eng.compat.utils.package_utils import call_command, get_installed_path, install_package, is_installed
from eng.compat.utils.path import check_file_exist, fopen, is_abs, is_filepath, mkdir_or_exist, scandir, symlink
from eng.compat.utils.progressbar import ProgressBar, track_iter_progress, track_parallel_progress, track_progress
from eng.compat.utils.progressbar_rich import track_progress_rich
from eng.compat.utils.timer import Timer, TimerError, check_time
from eng.compat.utils.version_utils import digit_version, get_git_hash

__all__ = [
    "ManagerMeta", "ManagerMixin", "ProgressBar", "Timer", "TimerError", "apply_to", "call_command", "check_file_exist",
    "check_prerequisites", "check_time", "concat_list", "deprecated_api_warning", "deprecated_function",
    "digit_version", "fopen", "get_git_hash", "get_installed_path", "get_object_from_string", "has_method",
    "import_modules_from_strings", "install_package", "is_abs", "is_filepath", "is_installed", "is_list_of",
    "is_method_overridden", "is_seq_of", "is_str", "is_tuple_of", "iter_cast", "list_cast", "mkdir_or_exist",
    "requires_executable", "requires_package", "scandir", "slice_list", "symlink", "to_1tuple", "to_2tuple",
    "to_3tuple", "to_4tuple", "to_ntuple", "track_iter_progress", "track_parallel_progress", "track_progress",
    "track_progress_rich", "tuple_cast",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    # These two classes need eng-registry, which need not be installed for the other helpers.
    if name in ("ManagerMeta", "ManagerMixin"):
        from eng.compat.utils import manager

        return getattr(manager, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
