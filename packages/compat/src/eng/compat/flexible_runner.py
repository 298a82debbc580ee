"""The reference's FlexibleRunner: a Runner that takes a strategy, which eng's Runner does anyhow."""

from __future__ import annotations

from typing import Any

from torch import nn

from eng.dist import infer_launcher
from eng.registry import RUNNERS
from eng.runner import Runner
from eng.runner.assemble.strategy import build_strategy
from eng.runner.spec import arguments_from_cfg


@RUNNERS.register_module()
class FlexibleRunner(Runner):
    """A :class:`eng.runner.Runner` with the reference's arguments, all by keyword.

    Args:
        model: a model or its config.
        **kwargs: see :class:`eng.runner.Runner`. ``launcher=None`` finds out how the process was started, and
            ``default_scope="mmengine"`` is eng's own scope.
    """

    def __init__(
        self,
        model: nn.Module | dict[str, Any],
        *,
        work_dir: str = "work_dirs",
        experiment_name: str | None = None,
        train_dataloader: Any = None,
        optim_wrapper: Any = None,
        param_scheduler: Any = None,
        train_cfg: dict[str, Any] | None = None,
        val_dataloader: Any = None,
        val_evaluator: Any = None,
        val_cfg: dict[str, Any] | None = None,
        test_dataloader: Any = None,
        test_evaluator: Any = None,
        test_cfg: dict[str, Any] | None = None,
        strategy: Any = None,
        auto_scale_lr: dict[str, Any] | None = None,
        default_hooks: dict[str, Any] | None = None,
        custom_hooks: list[Any] | None = None,
        data_preprocessor: Any = None,
        load_from: str | None = None,
        resume: str | bool = False,
        launcher: str | None = None,
        env_cfg: dict[str, Any] = {"dist_cfg": {"backend": "nccl"}},  # noqa: B006  # read only, and the reference's
        log_processor: dict[str, Any] | None = None,
        log_level: str = "INFO",
        visualizer: Any = None,
        default_scope: str | None = "mmengine",
        randomness: dict[str, Any] = {"seed": None},  # noqa: B006  # read only, and the reference's
        compile: bool | dict[str, Any] = False,
        cfg: Any = None,
    ) -> None:
        given = {key: value for key, value in locals().items() if key not in ("self", "__class__")}
        given["launcher"] = launcher if launcher is not None else infer_launcher()
        given["default_scope"] = "eng" if default_scope in (None, "mmengine") else default_scope
        super().__init__(**given)

    @property
    def logger(self) -> Any:
        """The run's logger."""
        return self._logger

    @logger.setter
    def logger(self, logger: Any) -> None:
        self._logger = logger

    @classmethod
    def from_cfg(cls, cfg: Any, *, check: bool = False) -> FlexibleRunner:
        """A runner with all settings from a config; ``check`` looks for mistakes in it first."""
        if check:
            from eng.runner.spec import check_config

            check_config(cfg)
        known = {*(cls.__init__.__kwdefaults__ or {}), "model"}
        arguments = {name: value for name, value in arguments_from_cfg(cfg).items() if name in known}
        return cls(**{**arguments, "launcher": cfg.get("launcher"), "default_scope": cfg.get("default_scope")})

    def build_strategy(
        self,
        strategy: Any = None,
        launcher: str = "none",
        randomness: dict[str, Any] | None = None,
        env_cfg: dict[str, Any] = {"dist_cfg": {"backend": "nccl"}},  # noqa: B006  # read only, and the reference's
        experiment_name: str | None = None,
        log_level: str | None = None,
    ) -> Any:
        """A strategy from its config; the run itself has set up the process, so that the rest is for its notes only."""
        built = build_strategy(strategy, self.work_dir)
        if experiment_name is not None:
            built.experiment_name = experiment_name
        built.env_kwargs = {"launcher": launcher, "randomness": randomness, **env_cfg}
        built.log_kwargs = {} if log_level is None else {"log_level": log_level}
        if launcher != "none" and hasattr(built, "_setup_distributed"):
            built._setup_distributed(launcher, **dict(env_cfg.get("dist_cfg") or {}))  # noqa: SLF001  # strategies of old code extend it
        return built
