"""The settings of a run as one value: their names, defaults and meaning, and what of them belongs together."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from typing import Any

from torch import nn

from eng.hooks.spike import LossSpike

from .errors import IncompleteSettingsError, MissingPartError, SettingsError

NAN_POLICIES = ("warn", "stop", "skip", "rollback")


@dataclass(frozen=True, kw_only=True)
class Randomness:
    """How random numbers are drawn."""

    seed: int | None = None
    """Seed of every generator; None draws one, the same on all ranks."""
    diff_rank_seed: bool = False
    """Whether each rank adds its number to the seed."""
    deterministic: bool = False
    """Whether cuDNN and torch take deterministic algorithms only."""
    per_sample: bool = True
    """Whether random numbers in transforms are a function of seed, epoch and sample, for any number of workers."""


@dataclass(frozen=True, kw_only=True)
class EnvSettings:
    """How the process is prepared."""

    cudnn_benchmark: bool = False
    """Whether cuDNN measures its algorithms and takes the fastest."""
    mp_cfg: Mapping[str, Any] | None = None
    """``mp_start_method`` of loader workers and ``opencv_num_threads`` in each."""
    dist_cfg: Mapping[str, Any] | None = field(default_factory=lambda: {"backend": "nccl"})
    """Arguments of :func:`eng.dist.init_dist`; its ``backend`` is gloo where there is no CUDA."""
    backend: str | None = None
    """Backend of a ``dist_cfg`` without one; None takes that of the device."""
    resource_limit: int = 4096
    """Files that the process may hold open, as far as the system allows."""
    matmul_precision: str | None = None
    """``"highest"``, ``"high"`` (TF32 on NVIDIA) or ``"medium"`` for products of float32 matrices; None leaves torch's setting."""
    channels_last: bool = False
    """Whether weights of convolutions and pictures lie in channels-last order, the fastest for convolutions."""
    gc_interval: int | None = None
    """Training iterations from one garbage collection of Python to the next, the same on all ranks; None collects automatically."""

    @classmethod
    def of(cls, env_cfg: Mapping[str, Any]) -> EnvSettings:
        """The settings in a mapping, which may hold other keys of other code."""
        known = {field.name for field in fields(cls)}
        return cls(**{"dist_cfg": None, **{key: value for key, value in env_cfg.items() if key in known}})


@dataclass(frozen=True, kw_only=True)
class RunnerSettings:
    """The arguments of :class:`eng.runner.Runner`, each also a key of a whole config (but ``cfg``)."""

    model: nn.Module | Mapping[str, Any]
    """A module with ``train_step``, ``val_step`` and ``test_step`` (see :class:`eng.model.BaseModel`)."""
    work_dir: str
    """Folder of checkpoints; each start keeps its logs in ``work_dir/<timestamp>``."""
    train_dataloader: Any = None
    """Batches to train on."""
    val_dataloader: Any = None
    """Batches to validate on; of several sets as ``dict(clean=dict(dataset=...), corrupted=dict(dataset=...))``."""
    test_dataloader: Any = None
    """Batches to test on."""
    train_cfg: Any = None
    """``dict(by_epoch=True, max_epochs=..., val_begin=1, val_interval=1)``, or a loop, or the config of one."""
    val_cfg: Any = None
    """``dict()`` or ``dict(fp16=..., loss=...)``, or a loop, or the config of one."""
    test_cfg: Any = None
    """The same for the test."""
    auto_scale_lr: Mapping[str, Any] | None = None
    """``dict(enable=True, base_batch_size=N)`` scales learning rates by the batch size over N."""
    optim_wrapper: Any = None
    """The optimizer and its settings: ``dict(optimizer=dict(type=..., lr=...), clip_grad=...)``."""
    param_scheduler: Any = None
    """One scheduler, several, or some for each of several optimizers by name."""
    val_evaluator: Any = None
    """Metrics of the validation; of several sets the same for all, or by the names of the sets."""
    test_evaluator: Any = None
    """Metrics of the test."""
    default_hooks: Mapping[str, Any] | None = None
    """Replaces or, with None as a value, leaves out some of the default hooks, by name."""
    custom_hooks: list[Any] | None = None
    """Further hooks."""
    data_preprocessor: Any = None
    """Config for a model that is a config without one."""
    load_from: str | None = None
    """Checkpoint to begin with."""
    resume: bool | str | Mapping[str, Any] = False
    """True to resume from ``load_from`` or, without it, from the newest intact checkpoint in ``work_dir``;
    ``dict(checkpoint=None, take=[...])`` takes the new values of some keys."""
    launcher: str = "none"
    """``"none"``, ``"pytorch"``, ``"slurm"`` or ``"mpi"``."""
    env_cfg: Mapping[str, Any] = field(default_factory=lambda: {"dist_cfg": {"backend": "nccl"}})
    """See :class:`EnvSettings`."""
    log_processor: Any = None
    """How logs are put into lines."""
    log_level: int | str = "INFO"
    """Level of the run's logger."""
    visualizer: Any = None
    """Where scalars and images go: ``dict(type="Visualizer", vis_backends=[...])``."""
    default_scope: str | None = "eng"
    """Scope in which the registries look names up first; None or an empty text is eng's own."""
    randomness: Mapping[str, Any] = field(default_factory=lambda: {"seed": None})
    """See :class:`Randomness`."""
    experiment_name: str | None = None
    """Name of the run; None takes the name of the config file."""
    cfg: Any = None
    """The whole config, for the log and for other parts to read."""
    strategy: Any = None
    """How the model lives on its devices; None is one device, or DDP in a process group."""
    compile: bool | Mapping[str, Any] = False
    """True, or options of ``torch.nn.Module.compile``, and ``regions``, ``recompile_limit``, ``on_recompile_limit``, ``cache`` and ``target``
    (:func:`eng.runner.assemble.compilation.compile_model`)."""
    activation_checkpointing: Mapping[str, Any] | list[str] | str | None = None
    """Names of modules, with wildcards, that compute their activations again in the backward pass, or
    ``dict(modules=[...], keep="matmul", offload=True)``, see :class:`eng.runner.activation_checkpointing.ActivationSettings`."""
    precision: Mapping[str, Any] | None = None
    """``dict(weights="bfloat16")`` or ``dict(linear="float8", modules=[...], skip=[...])``, see
    :class:`eng.runner.precision.PrecisionSettings`; None leaves the model's types."""
    nan_policy: str | Mapping[str, Any] = "warn"
    """``"warn"``, ``"stop"``, ``"skip"`` or ``"rollback"``, or ``dict(type=..., interval=...)``, for losses that are not finite."""
    loss_spike: Mapping[str, Any] | None = None
    """``dict(factor=10, window=100, action="rollback")``, see :class:`eng.hooks.spike.LossSpike`; None does not look."""
    on_error: str = "save"
    """``"save"`` writes a checkpoint, where one is possible, when training raises; ``"raise"`` does not."""
    preemption: Mapping[str, Any] | None = None
    """Options of :class:`eng.hooks.PreemptionHook`, such as ``dict(requeue=True)`` for Slurm; None ends the run on SIGINT, SIGTERM and SIGUSR1."""

    init_weights: bool = True
    """Whether ``init_weights()`` of the model is called, once, at the first train()."""
    loss: Any = None
    """Loss of a model that computes none itself; see :class:`eng.model.SupervisedModel`."""
    on_oom: str | None = None
    """``"split"`` halves the micro-batch where a training step runs out of memory and repeats it; None ends the run."""

    def __post_init__(self) -> None:
        """Makes sure that the settings fit together.

        Raises:
            IncompleteSettingsError: of settings that belong together some are missing, which are named.
            SettingsError: another contradiction.
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
        """Makes sure that settings are there.

        Args:
            action: what needs them.
            *names: of the settings.

        Raises:
            MissingPartError: some are None.
        """
        missing = [name for name in names if getattr(self, name) is None]
        if missing:
            raise MissingPartError(action, missing)

    def as_arguments(self) -> dict[str, Any]:
        """The settings by name, as the Runner takes them; the values are not copied."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def modes(self) -> list[str]:
        """What the run can do: some of ``"train"``, ``"val"`` and ``"test"``."""
        return [mode for mode in ("train", "val", "test") if getattr(self, f"{mode}_cfg") is not None]

    def _wants_losses_only(self, mode: str) -> bool:
        cfg = getattr(self, f"{mode}_cfg")
        if not isinstance(cfg, Mapping) or getattr(self, f"{mode}_evaluator") is not None:
            return False
        return bool(cfg.get("loss")) or any(
            isinstance(set_cfg, Mapping) and set_cfg.get("loss") for set_cfg in cfg.values()
        )

    def _all_or_none(self, *names: str) -> None:
        present = [name for name in names if getattr(self, name) is not None]
        missing = [name for name in names if getattr(self, name) is None]
        if present and missing:
            raise IncompleteSettingsError(present, missing)


def default_of(setting: Field[Any]) -> Any:
    """The value of a setting that nobody gives, made anew; MISSING where it must be given."""
    if setting.default_factory is MISSING:
        return setting.default
    return setting.default_factory()


def defaults() -> dict[str, Any]:
    """Every setting that has a default, with its default."""
    values = {field.name: default_of(field) for field in fields(RunnerSettings)}
    return {name: copy.copy(value) for name, value in values.items() if value is not MISSING}


def randomness_defaults() -> dict[str, Any]:
    """Every setting of :class:`Randomness` with its default."""
    return asdict(Randomness())
