"""MMEngine's FlexibleRunner, a Runner that accepts a strategy; the Runner of eng does so as well."""

from __future__ import annotations

from typing import Any

from torch import nn

from eng.dist import infer_launcher
from eng.registry import RUNNERS
from eng.runner import Runner
from eng.runner.assemble.strategy import build_strategy
from eng.runner.spec import arguments_from_cfg, arguments_taken_by, check_config


@RUNNERS.register_module()
class FlexibleRunner(Runner):
    """A :class:`eng.runner.Runner` with the arguments of MMEngine's FlexibleRunner, all by keyword.

    Args:
        model: a model or its config.
        work_dir: folder of checkpoints and logs.
        launcher: launcher of the process; None infers it from the environment.
        default_scope: default registry scope; ``"mmengine"`` stands for ``"eng"``.
        **settings: further settings, see :class:`eng.runner.settings.RunnerSettings`.
    """

    def __init__(
        self,
        model: nn.Module | dict[str, Any],
        *,
        work_dir: str = "work_dirs",
        launcher: str | None = None,
        default_scope: str | None = "mmengine",
        **settings: Any,
    ) -> None:
        settings["launcher"] = launcher if launcher is not None else infer_launcher()
        settings["default_scope"] = "eng" if default_scope in (None, "mmengine") else default_scope
        super().__init__(model, work_dir, **settings)

    @property
    def logger(self) -> Any:
        """The logger of the run."""
        return self._logger

    @logger.setter
    def logger(self, logger: Any) -> None:
        self._logger = logger

    @classmethod
    def from_cfg(cls, cfg: Any, *, check: bool = False) -> FlexibleRunner:
        """Creates a runner from a config; with ``check``, mistakes in the config are reported first."""
        if check:
            check_config(cfg, cls)
        start = {"launcher": cfg.get("launcher"), "default_scope": cfg.get("default_scope")}
        return cls(**arguments_taken_by(cls, {**arguments_from_cfg(cfg), **start}))

    def build_strategy(
        self,
        strategy: Any = None,
        launcher: str = "none",
        randomness: dict[str, Any] | None = None,
        env_cfg: dict[str, Any] = {"dist_cfg": {"backend": "nccl"}},  # noqa: B006  # MMEngine's default, which is never changed
        experiment_name: str | None = None,
        log_level: str | None = None,
    ) -> Any:
        """Builds a strategy from its config. The other arguments are only recorded: the run has set up the process."""
        built = build_strategy(strategy, self.work_dir)
        if experiment_name is not None:
            built.experiment_name = experiment_name
        built.env_kwargs = {"launcher": launcher, "randomness": randomness, **env_cfg}
        built.log_kwargs = {} if log_level is None else {"log_level": log_level}
        if launcher != "none" and hasattr(built, "_setup_distributed"):
            built._setup_distributed(launcher, **dict(env_cfg.get("dist_cfg") or {}))  # noqa: SLF001  # strategies in code written for MMEngine override this method
        return built
