"""Record which initialiser set which parameter during ``init_weights``, and write the record to the log file."""

from __future__ import annotations

import logging
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

logger = logging.getLogger(__name__)

Record = dict[nn.Parameter, dict[str, Any]]
# Code that was written for MMEngine reads the record under this name.
_ATTRIBUTE = "_params_init_info"


def start_record(module: nn.Module) -> None:
    """Attaches an empty record to ``module`` and all its submodules.

    A parameter counts as changed by an initialiser if its mean has changed. A change that keeps the mean is missed,
    which is acceptable for a log.
    """
    record: Record = defaultdict(dict)
    for parameter in module.parameters():
        record[parameter]["init_info"] = f"Left by init_weights() of {type(module).__name__} as it was"
        record[parameter]["tmp_mean_value"] = _fingerprint(parameter)
    for part in module.modules():
        part.__dict__[_ATTRIBUTE] = record  # end_record() removes it at the end of the outermost init_weights.


def has_record(module: nn.Module) -> bool:
    """Whether `module` is part of a model that is being initialised."""
    return _ATTRIBUTE in module.__dict__


def update_init_info(module: nn.Module, init_info: str) -> None:
    """Records ``init_info`` for the parameters of ``module`` that have changed since they were last recorded.

    Args:
        module: a module that is being initialised by :meth:`eng.model.BaseModule.init_weights`.
        init_info: text that says which initialiser set the parameters, and how.

    Raises:
        ValueError: a parameter is not in the record, because it was replaced during the initialisation.
    """
    record: Any = module.__dict__[_ATTRIBUTE]
    for name, parameter in module.named_parameters():
        if parameter not in record:
            raise ValueError(
                f"parameter {name} of {type(module).__name__} appeared while the model was initialised; change the "
                "values of parameters in init_weights(), not the parameters"
            )
        mean = _fingerprint(parameter)
        if not torch.equal(record[parameter]["tmp_mean_value"], mean):
            record[parameter]["init_info"] = init_info
            record[parameter]["tmp_mean_value"] = mean


def write_record(module: nn.Module) -> None:
    """Writes an entry per parameter to the log file of the run; without a log file, logs the entries at level DEBUG."""
    from eng.logging import MMLogger

    record: Any = module.__dict__[_ATTRIBUTE]
    lines = [
        f"\n{name} - {parameter.shape}: \n{record[parameter]['init_info']} \n"
        for name, parameter in module.named_parameters()
    ]
    files = [item for item in MMLogger.get_current_instance().handlers if isinstance(item, logging.FileHandler)]
    for handler in files:
        handler.acquire()
        try:
            # The entries are written to the file directly, because a handler would put a time stamp before each line.
            with Path(handler.baseFilename).open("a", encoding=handler.encoding) as file:
                file.write("".join(["What set each parameter\n", *lines]))
        except OSError as error:  # A full disk for logs must not end the run.
            logger.warning("what set each parameter is not written to %s: %s", handler.baseFilename, error)
        finally:
            handler.release()
    if not files:
        for line in lines:
            logger.debug("%s", line)


def end_record(module: nn.Module) -> None:
    """Removes the record from ``module`` and all its submodules."""
    for part in module.modules():
        part.__dict__.pop(_ATTRIBUTE, None)


def _fingerprint(parameter: nn.Parameter) -> torch.Tensor:
    data = parameter.detach()
    if data.is_meta or not data.numel():
        return torch.zeros(())
    if not data.is_floating_point():
        data = data.float()
    return data.mean().cpu()
