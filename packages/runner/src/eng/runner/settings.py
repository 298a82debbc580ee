"""The settings of a run: names, defaults and meaning of the Runner's arguments, and checks that they fit together."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any

from torch import nn

from eng.hooks.spike import LossSpike

from .errors import IncompleteSettingsError, MissingPartError, SettingsError

NAN_POLICIES = ("warn", "stop", "skip", "rollback")


@dataclass(frozen=True, kw_only=True)
class Randomness:
    """The setting ``randomness``: how random numbers are drawn."""

    seed: int | None = None
    """Seed of the generators of Python, NumPy and torch; None draws a seed, the same on all ranks."""
    diff_rank_seed: bool = False
    """Whether each rank adds its rank to the seed."""
    deterministic: bool = False
    """Whether cuDNN and torch use deterministic algorithms only."""
    per_sample: bool = True
    """Whether random numbers in transforms depend only on seed, epoch and sample, and not on the number of workers."""


@dataclass(frozen=True, kw_only=True)
class EnvSettings:
    """The setting ``env_cfg``: how the process is prepared."""

    cudnn_benchmark: bool = False
    """Whether cuDNN measures its algorithms and uses the fastest."""
    mp_cfg: Mapping[str, Any] | None = None
    """``mp_start_method`` of dataloader workers, and ``opencv_num_threads``: OpenCV's threads in each process."""
    dist_cfg: Mapping[str, Any] | None = field(default_factory=lambda: {"backend": "nccl"})
    """Arguments of :func:`eng.dist.init_dist`; its ``backend`` is gloo on a machine without CUDA."""
    backend: str | None = None
    """Backend of the process group if ``dist_cfg`` has none; None chooses the backend of the device."""
    resource_limit: int = 4096
    """Number of files that the process may open at the same time, up to the limit of the system."""
    matmul_precision: str | None = None
    """Precision of products of float32 matrices: ``"highest"``, ``"high"`` (TF32 on NVIDIA) or ``"medium"``; None keeps
    torch's setting."""
    channels_last: bool = False
    """Whether weights of convolutions and images are stored channels-last, the fastest format for convolutions."""
    gc_interval: int | None = None
    """Training iterations between two of Python's garbage collections, which all ranks then run at the same iterations;
    None collects automatically."""

    @classmethod
    def of(cls, env_cfg: Mapping[str, Any]) -> EnvSettings:
        """Reads the settings from a mapping; keys that other code defines are ignored."""
        known = {field.name for field in fields(cls)}
        return cls(**{"dist_cfg": None, **{key: value for key, value in env_cfg.items() if key in known}})


@dataclass(frozen=True)
class RunnerSettings:
    """The arguments of :class:`eng.runner.Runner`. Each of them but ``cfg`` is also a key of a complete config."""

    model: nn.Module | Mapping[str, Any]
    """A module with ``train_step``, ``val_step`` and ``test_step`` (see :class:`eng.model.BaseModel`)."""
    work_dir: str
    """Folder of the run's checkpoints; each launch of the run writes its logs into ``work_dir/<timestamp>``."""
    train_dataloader: Any = None
    """Dataloader of the training data, or its config."""
    val_dataloader: Any = None
    """Dataloader of the validation data, or its config; several datasets are given by names, as in
    ``dict(clean=dict(dataset=...), corrupted=dict(dataset=...))``."""
    test_dataloader: Any = None
    """Dataloader of the test data, or its config; several datasets are given as in ``val_dataloader``."""
    train_cfg: Any = None
    """The training loop: ``dict(by_epoch=True, max_epochs=..., val_begin=1, val_interval=1)``, the config of another
    loop class, or a loop."""
    val_cfg: Any = None
    """The validation loop: ``dict()``, ``dict(fp16=..., loss=...)``, the config of another loop class, or a loop."""
    test_cfg: Any = None
    """The test loop; its values are those of ``val_cfg``."""
    auto_scale_lr: Mapping[str, Any] | None = None
    """``dict(enable=True, base_batch_size=N)`` multiplies learning rates by the batch size of all ranks over N."""
    optim_wrapper: Any = None
    """The optimizer and its settings: ``dict(optimizer=dict(type=..., lr=...), clip_grad=...)``."""
    param_scheduler: Any = None
    """A parameter scheduler, a list of them, or for several optimizers a mapping of these by name."""
    val_evaluator: Any = None
    """Metrics of the validation; for several sets either one value for all sets or a mapping by their names."""
    test_evaluator: Any = None
    """Metrics of the test."""
    default_hooks: Mapping[str, Any] | None = None
    """Hooks or configs by the name of the default hook that they replace; None as a value removes the default hook."""
    custom_hooks: list[Any] | None = None
    """Further hooks, or their configs, beside the default hooks."""
    data_preprocessor: Any = None
    """Config of the data preprocessor, used if ``model`` is a config without ``data_preprocessor``."""
    load_from: str | None = None
    """Checkpoint whose weights are loaded before training, validation or test."""
    resume: bool | str | Mapping[str, Any] = False
    """True to resume from ``load_from`` or, without it, from the newest intact checkpoint in ``work_dir``; a path to
    resume from this checkpoint. With ``dict(checkpoint=None, take=[...])``, a resumed run uses the config's values of
    the keys in ``take`` instead of the checkpoint's."""
    launcher: str = "none"
    """What started the processes of the run: ``"pytorch"``, ``"slurm"``, ``"mpi"``, or ``"none"`` for one process."""
    env_cfg: Mapping[str, Any] = field(default_factory=lambda: {"dist_cfg": {"backend": "nccl"}})
    """How each process is prepared, see :class:`EnvSettings`."""
    log_processor: Any = None
    """Config of the :class:`eng.runner.LogProcessor`, which formats logged values as lines."""
    log_level: int | str = "INFO"
    """Level of the run's logger."""
    visualizer: Any = None
    """Config of the visualizer, which writes scalars and images: ``dict(type="Visualizer", vis_backends=[...])``."""
    default_scope: str | None = "eng"
    """Scope in which registries look up names first; None or an empty text is the scope ``eng``."""
    randomness: Mapping[str, Any] = field(default_factory=lambda: {"seed": None})
    """How random numbers are drawn, see :class:`Randomness`."""
    experiment_name: str | None = None
    """Name of the run; None takes the name of the config file."""
    cfg: Any = None
    """The complete config, which is written to the log and which hooks can read."""
    strategy: Any = None
    """Strategy that places the model on devices, its name or its config; None uses one device or, if a process group
    exists, DDP."""
    compile: bool | Mapping[str, Any] = False
    """Whether torch.compile compiles the model: True, or a dict with options of ``torch.nn.Module.compile`` and the
    keys ``regions``, ``recompile_limit``, ``on_recompile_limit``, ``cache`` and ``target``, see
    :func:`eng.runner.assemble.compilation.compile_model`."""
    activation_checkpointing: Mapping[str, Any] | list[str] | str | None = None
    """Names of modules, with wildcards, that recompute their activations in the backward pass, or
    ``dict(modules=[...], keep="matmul", offload=True)``, see
    :class:`eng.runner.activation_checkpointing.ActivationSettings`."""
    precision: Mapping[str, Any] | None = None
    """``dict(weights="bfloat16")`` or ``dict(linear="float8", modules=[...], skip=[...])``, also with ``"mxfp8"``, see
    :class:`eng.runner.precision.PrecisionSettings`; None leaves the model's types."""
    nan_policy: str | Mapping[str, Any] = "warn"
    """What happens when a loss is NaN or infinite: ``"warn"``, ``"stop"``, ``"skip"``, ``"rollback"``, or
    ``dict(type=..., interval=...)``."""
    loss_spike: Mapping[str, Any] | None = None
    """When a loss counts as a spike and what happens then: ``dict(factor=10, window=100, action="rollback")``, see
    :class:`eng.hooks.spike.LossSpike`; None detects no spikes."""
    on_error: str = "save"
    """``"save"`` tries to save a checkpoint when training raises an exception; ``"raise"`` does not."""
    preemption: Mapping[str, Any] | None = None
    """Options of :class:`eng.hooks.PreemptionHook`, such as ``dict(requeue=True)`` for Slurm; None ends the run on
    SIGINT, SIGTERM and SIGUSR1."""
    init_weights: bool = True
    """Whether the first ``train()`` calls ``init_weights()`` of the model."""
    loss: Any = None
    """Loss function of a model that computes no loss itself; see :class:`eng.model.SupervisedModel`."""
    on_oom: str | None = None
    """``"split"`` halves the micro-batch and repeats a training step that runs out of memory; None raises the error."""

    def __post_init__(self) -> None:
        """Checks that the settings fit together.

        Raises:
            IncompleteSettingsError: some of several settings that belong together are missing; the message names them.
            SettingsError: a value is unknown.
        """
        self._all_or_none("train_dataloader", "train_cfg", "optim_wrapper")
        if self.param_scheduler is not None and self.optim_wrapper is None:
            raise IncompleteSettingsError(["param_scheduler"], ["optim_wrapper"])
        for mode in ("val", "test"):
            names = [f"{mode}_dataloader", f"{mode}_cfg"]
            if not self._wants_losses_only(mode):
                names.append(f"{mode}_evaluator")
            self._all_or_none(*names)
        if isinstance(self.nan_policy, Mapping):
            policy = self.nan_policy.get("type", "warn")
        else:
            policy = self.nan_policy
        if policy not in NAN_POLICIES:
            raise SettingsError(f"nan_policy must be one of {', '.join(NAN_POLICIES)}, got {policy!r}")
        if self.on_error not in ("save", "raise"):
            raise SettingsError(f"on_error must be 'save' or 'raise', got {self.on_error!r}")
        try:
            LossSpike.of(self.loss_spike)
        except ValueError as error:
            raise SettingsError(str(error)) from None
        if self.on_oom not in (None, "split"):
            raise SettingsError(f"on_oom must be 'split' or None, got {self.on_oom!r}")

    def need(self, action: str, *names: str) -> None:
        """Checks that settings are not None.

        Args:
            action: the method that needs the settings, such as ``"train()"``, for the message.
            *names: names of the settings.

        Raises:
            MissingPartError: at least one of the settings is None.
        """
        missing = [name for name in names if getattr(self, name) is None]
        if missing:
            raise MissingPartError(action, missing)

    def as_arguments(self) -> dict[str, Any]:
        """Returns the settings by name, as keyword arguments of a Runner; the values are not copied."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def modes(self) -> list[str]:
        """Returns those of ``"train"``, ``"val"`` and ``"test"`` whose loop is configured."""
        return [mode for mode in ("train", "val", "test") if getattr(self, f"{mode}_cfg") is not None]

    def _wants_losses_only(self, mode: str) -> bool:
        """Whether a validation or test needs no evaluator, because its loop config asks for losses with ``loss=True``.

        With several datasets, one dataset with ``loss=True`` is enough here; each dataset is checked when its loop is
        built.
        """
        cfg = getattr(self, f"{mode}_cfg")
        if not isinstance(cfg, Mapping) or getattr(self, f"{mode}_evaluator") is not None:
            return False
        return bool(cfg.get("loss")) or any(
            isinstance(set_cfg, Mapping) and set_cfg.get("loss") for set_cfg in cfg.values()
        )

    def _all_or_none(self, *names: str) -> None:
        """Raises an IncompleteSettingsError if some of these settings are None and others are not."""
        present = [name for name in names if getattr(self, name) is not None]
        missing = [name for name in names if getattr(self, name) is None]
        if present and missing:
            raise IncompleteSettingsError(present, missing)


def default_of(setting: Field[Any]) -> Any:
    """Returns the default of a setting, a new object for each call; MISSING for a setting without a default."""
    if setting.default_factory is MISSING:
        return setting.default
    return setting.default_factory()


def defaults() -> dict[str, Any]:
    """Returns the default of every setting that has one, by name."""
    values = {field.name: default_of(field) for field in fields(RunnerSettings)}
    return {name: copy.copy(value) for name, value in values.items() if value is not MISSING}
