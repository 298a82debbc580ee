"""Decides which errors are shown to the user as a message without a traceback."""

from __future__ import annotations

import difflib
import traceback
from types import TracebackType

import click

# Exceptions of these classes are the user's mistake if a package of eng raised them, and else probably a defect.
_MISTAKES = (ValueError, TypeError, LookupError, RuntimeError, AttributeError)
_ALWAYS = (OSError, ImportError, SyntaxError)
_CLOSE = 0.75
# Maps options that users know from other programs to the config key that has the same meaning in eng.
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
    """Returns the message to show instead of a traceback; None for an error that is probably a defect of eng."""
    if isinstance(error, click.UsageError):
        return _usage(error)
    if isinstance(error, click.ClickException):
        return error.format_message()
    location = getattr(error, "config_place", None)
    if location is not None:  # The code of the user's Python config raised the error.
        return f"{location}: {type(error).__name__}: {_message_of(error)}\n(eng --traceback ... shows where)"
    if isinstance(error, _ALWAYS) or (isinstance(error, _MISTAKES) and _is_ours(error)):
        return f"{_message_of(error)}\n({_hint(error)})"
    return None


def _hint(error: BaseException) -> str:
    """Returns the last line of an error message, which says where the user finds more information."""
    from ._help import explained_class

    causes = (error, error.__cause__)  # A failed import may be the cause of another error, so both are searched.
    missing = [cause.name or "" for cause in causes if isinstance(cause, ModuleNotFoundError)]
    if any(name.partition(".")[0] == "mmengine" for name in missing):
        return "ENG_COMPAT=1 in front of the command lets eng answer to this name; it needs eng-compat"
    name = explained_class(error)
    return "eng --traceback ... shows where" + (f", eng help {name} explains it" if name is not None else "")


def _usage(error: click.UsageError) -> str:
    """Returns the message for a mistake in the call, with the command that shows the help."""
    if isinstance(error, click.NoSuchOption):
        return _no_such_option(error)
    hint = ""
    if error.ctx is not None:
        hint = f"\ntry: {error.ctx.command_path} --help"
    return f"{error.format_message()}{hint}"


def _no_such_option(error: click.NoSuchOption) -> str:
    """Returns the message for an unknown command-line option such as ``--lr``.

    The message suggests an option of the command that is spelled like the unknown option, or else the config key to set
    by ``--cfg-options``.
    """
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
    """Returns the text of an exception with its notes."""
    if type(error) is SyntaxError:
        return "".join(traceback.format_exception_only(type(error), error)).strip()
    # str() of a KeyError would put the message in quotes.
    if type(error) is KeyError and error.args:
        message = str(error.args[0])
    else:
        message = str(error) or type(error).__name__
    notes: list[str] = getattr(error, "__notes__", [])  # Notes say, for example, which config was being built.
    # Notes that begin with "eng help" are omitted, because `_hint` adds the name of the help page to the message.
    return "\n".join([message, *(note for note in notes if not note.startswith("eng help "))])


def _is_ours(error: BaseException) -> bool:
    """Whether an error comes from eng.

    That is the case if a package of eng defines the class of the error or raised the error, or if the error occurred
    while an object was built from a config.
    """
    if any(cls.__module__.startswith("eng.") for cls in type(error).__mro__) or hasattr(error, "build_chain"):
        return True
    return _module_that_raised(error.__traceback__).startswith("eng.")


def _module_that_raised(frames: TracebackType | None) -> str:
    """Returns the name of the module whose code raised an exception: that of the innermost frame of its traceback."""
    module = ""
    while frames is not None:
        module = str(frames.tb_frame.f_globals.get("__name__", ""))
        frames = frames.tb_next
    return module
