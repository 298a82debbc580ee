"""Which errors are the user's to mend, and how they read."""

from __future__ import annotations

import difflib
import traceback
from types import TracebackType

import click

# What our packages raise for a mistake in a call, a config or a file.
_MISTAKES = (ValueError, TypeError, LookupError, RuntimeError, AttributeError)
_ALWAYS = (OSError, ImportError, SyntaxError)
_CLOSE = 0.75
# Options of other programs, and the setting that each of them is here.
_SETTINGS = {
    "--batch-size": "train_dataloader.batch_size",
    "--epochs": "train_cfg.max_epochs",
    "--iters": "train_cfg.max_iters",
    "--learning-rate": "optim_wrapper.optimizer.lr",
    "--lr": "optim_wrapper.optimizer.lr",
    "--max-epochs": "train_cfg.max_epochs",
    "--max-iters": "train_cfg.max_iters",
    "--num-workers": "train_dataloader.num_workers",
    "--seed": "randomness.seed",
    "--workers": "train_dataloader.num_workers",
}


def one_message(error: BaseException) -> str | None:
    """What the user should read instead of a traceback; None for an error that is nobody's mistake but ours."""
    if isinstance(error, click.UsageError):
        return _usage(error)
    if isinstance(error, click.ClickException):
        return error.format_message()
    location = getattr(error, "config_place", None)
    if location is not None:  # raised by the user's own lines, in a Python config
        return f"{location}: {type(error).__name__}: {_message_of(error)}\n(eng --traceback ... shows where)"
    if isinstance(error, _ALWAYS) or (isinstance(error, _MISTAKES) and _is_ours(error)):
        return f"{_message_of(error)}\n({_hint(error)})"
    return None


def _hint(error: BaseException) -> str:
    from ._help import explained_class

    causes = (error, error.__cause__)  # the second where custom_imports of a config could not be imported
    missing = [cause.name or "" for cause in causes if isinstance(cause, ModuleNotFoundError)]
    if any(name.partition(".")[0] == "mmengine" for name in missing):
        return "ENG_COMPAT=1 in front of the command lets eng answer to this name; it needs eng-compat"
    name = explained_class(error)
    return "eng --traceback ... shows where" + (f", eng help {name} explains it" if name is not None else "")


def _usage(error: click.UsageError) -> str:
    if isinstance(error, click.NoSuchOption):
        return _no_such_option(error)
    hint = ""
    if error.ctx is not None:
        hint = f"\ntry: {error.ctx.command_path} --help"
    return f"{error.format_message()}{hint}"


def _no_such_option(error: click.NoSuchOption) -> str:
    """Names options that differ by a slip, or the setting of the config that an option of other programs stands for."""
    similar_options = difflib.get_close_matches(error.option_name, error.possibilities or (), cutoff=_CLOSE)
    text = f"No such option {error.option_name!r}."
    if error.ctx is None:
        return text
    setting = _SETTINGS.get(error.option_name.replace("_", "-"))
    takes_settings = any("--cfg-options" in parameter.opts for parameter in error.ctx.command.params)
    if similar_options:
        text += f" Did you mean {' or '.join(map(repr, similar_options))}?"
    elif setting is not None and takes_settings:
        text += f" Write --cfg-options {setting}=VALUE."
    return f"{text}\ntry: {error.ctx.command_path} --help"


def _message_of(error: BaseException) -> str:
    if type(error) is SyntaxError:
        return "".join(traceback.format_exception_only(type(error), error)).strip()
    # The str() of a KeyError is the repr of the key.
    if type(error) is KeyError and error.args:
        message = str(error.args[0])
    else:
        message = str(error) or type(error).__name__
    notes: list[str] = getattr(error, "__notes__", [])  # such as the nodes of a config around a failed build
    # _hint names the page of help.
    return "\n".join([message, *(note for note in notes if not note.startswith("eng help "))])


def _is_ours(error: BaseException) -> bool:
    """Whether a package of eng defined the error's class, raised it itself, or was building a config."""
    if any(cls.__module__.startswith("eng.") for cls in type(error).__mro__) or hasattr(error, "build_chain"):
        return True
    return _module_that_raised(error.__traceback__).startswith("eng.")


def _module_that_raised(frames: TracebackType | None) -> str:
    module = ""
    while frames is not None:
        module = str(frames.tb_frame.f_globals.get("__name__", ""))
        frames = frames.tb_next
    return module
