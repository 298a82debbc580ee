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
# MMEngine stores the record in a module attribute of this name, and code written for MMEngine reads this attribute.
_ATTRIBUTE = "_params_init_info"


def start_record(module: nn.Module) -> None:
    """Attaches a new record of the initialisation to ``module`` and all its submodules.

    The record holds, for each parameter, a text that says which initialiser set the parameter, and the parameter's
    mean. :func:`update_init_info` takes a parameter as changed if its mean differs from the recorded mean. A change
    that keeps the mean is missed, which is acceptable because the record only serves a log.
    """
    record: Record = defaultdict(dict)
    for parameter in module.parameters():
        record[parameter]["init_info"] = f"Left by init_weights() of {type(module).__name__} as it was"
        record[parameter]["tmp_mean_value"] = _fingerprint(parameter)
    for part in module.modules():
        part.__dict__[_ATTRIBUTE] = record  # end_record() removes this attribute when the outermost init_weights ends.


def has_record(module: nn.Module) -> bool:
    """Whether `module` has a record of its initialisation, which it has only while its model runs ``init_weights``."""
    return _ATTRIBUTE in module.__dict__


def update_init_info(module: nn.Module, init_info: str) -> None:
    """Stores ``init_info`` in the record, for each parameter of ``module`` whose mean differs from the recorded mean.

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
    """Writes to the log file of the run, for each parameter of ``module``, which initialiser set the parameter.

    Without a log file, the entries are logged at level DEBUG.
    """
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
            # The file is written without the logging handler, which would put a time stamp before each line.
            with Path(handler.baseFilename).open("a", encoding=handler.encoding) as file:
                file.write("".join(["What set each parameter\n", *lines]))
        except OSError as error:  # A log that cannot be written must not end the run.
            logger.warning("what set each parameter is not written to %s: %s", handler.baseFilename, error)
        finally:
            handler.release()
    if not files:
        for line in lines:
            logger.debug("%s", line)


def end_record(module: nn.Module) -> None:
    """Removes the record of the initialisation from ``module`` and all its submodules."""
    for part in module.modules():
        part.__dict__.pop(_ATTRIBUTE, None)


def _fingerprint(parameter: nn.Parameter) -> torch.Tensor:
    data = parameter.detach()
    if data.is_meta or not data.numel():
        return torch.zeros(())
    if not data.is_floating_point():
        data = data.float()
    return data.mean().cpu()
