"""`Config`, the object that users get for a config file; also the import location of the package's public names."""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ._action import CommandLineOptions, DictAction, add_arguments
from ._blame import ending_somewhere
from ._custom_imports import import_custom, make_importable
from ._dict import ConfigDict, bind, collect_chains, convert, keys_of, lookup, plain, trace
from ._diff import ordered_as, text_diff
from ._load import DEPRECATION_KEY, SCOPE_KEY, Loaded, Options, load, load_source, no_collection
from ._locate import locate
from ._merge import check_indices, merge, merge_onto, nest
from ._namespace import BASE_KEY, OWN_CLASSES
from ._override import override
from ._plain import to_plain
from ._printer import json_text, python_text, yaml_text
from ._provenance import (
    CODE,
    COMMAND_LINE,
    DELETE_KEY,
    MISSING,
    Explanation,
    FileProvenance,
    FrozenProvenance,
    Step,
    caller_step,
)
from ._source import FORMATS, Source, is_url
from ._tree import Tree
from .errors import DumpTypeError, MissingAttributeError, MissingKeyError, ReservedKeyError
from .lazy import LazyAttr, LazyObject

_WRITERS = {
    ".py": ("Python", python_text),
    ".json": ("JSON", json_text),
    ".yaml": ("YAML", yaml_text),
    ".yml": ("YAML", yaml_text),
}
CUSTOM_IMPORTS = "custom_imports"
RESERVED_KEYS = ["filename", "text", "pretty_text", "env_variables"]

__all__ = [
    "BASE_KEY",
    "DELETE_KEY",
    "DEPRECATION_KEY",
    "RESERVED_KEYS",
    "SCOPE_KEY",
    "CommandLineOptions",
    "Config",
    "ConfigDict",
    "DictAction",
    "LazyAttr",
    "LazyObject",
    "read_base",
]


@contextmanager
def read_base() -> Iterator[None]:
    """Marks the imports of base configs, such as ``from .base import *``.

    `Config.fromfile` treats the imports inside the ``with`` block as inheritance. For an IDE, a type checker or plain
    Python they are ordinary imports.
    """
    yield


class Config:
    """A mapping of settings with attribute access, read from a file, a text or a dict.

    `explain` shows, for each value, the files and lines that set it.

    Args:
        cfg_dict: the values; None for an empty config.
        cfg_text: text that the values came from; None reads the text from `filename` if that is given.
        filename: path of the file that the values came from.
        env_variables: names and values of the environment variables that were substituted into the config.
        format_python_code: accepted for compatibility; the printer always formats.

    Raises:
        TypeError: `cfg_dict` is not a mapping.
        KeyError: a top-level key is one of `RESERVED_KEYS`.

    Example:
        >>> cfg = Config(dict(optimizer=dict(type="SGD", lr=0.1)))
        >>> cfg.optimizer.lr
        0.1
        >>> cfg.merge_from_dict({"optimizer.lr": 0.2})
        >>> print(cfg.pretty_text, end="")
        optimizer = dict(type='SGD', lr=0.2)
    """

    _cfg_dict: ConfigDict
    _filename: str | None
    _text: str
    _env_variables: dict[str, str]
    _format_python_code: bool
    _imported: dict[str, Any]
    _import_modules: bool

    def __init__(
        self,
        cfg_dict: Mapping[str, Any] | None = None,
        cfg_text: str | None = None,
        filename: str | Path | None = None,
        env_variables: dict[str, str] | None = None,
        format_python_code: bool = True,
    ) -> None:
        if not isinstance(cfg_dict, Mapping) and cfg_dict is not None:
            raise TypeError(f"cfg_dict must be a dict (or any mapping) or None, got {type(cfg_dict).__name__}")
        _check_reserved(cfg_dict or {})
        values = cfg_dict if isinstance(cfg_dict, ConfigDict) else ConfigDict()
        if cfg_dict and values is not cfg_dict:
            step = caller_step(CODE, None)
            override(values, dict(cfg_dict.items()), step)
        if cfg_text is None:
            cfg_text = Path(filename).read_text(encoding="utf-8") if filename else ""
        self._set_state(values, cfg_text, filename, env_variables, format_python_code)

    def _set_state(
        self,
        values: ConfigDict,
        text: str,
        filename: str | Path | None,
        env: dict[str, str] | None,
        format_python_code: bool = True,
        imported: dict[str, Any] | None = None,
    ) -> None:
        """Sets all attributes of a new config, directly in ``__dict__``, because `__setattr__` would set config keys.

        Args:
            values: the settings.
            text: text that the settings came from.
            filename: path of the config file; None without a file.
            env: names and values of the environment variables that were substituted.
            format_python_code: accepted for compatibility and ignored.
            imported: the names that the config file imported, with their lazy stand-ins.
        """
        state = {
            "_cfg_dict": values,
            "_filename": None if filename is None else str(filename),
            "_text": text,
            "_env_variables": dict(env or {}),
            "_format_python_code": format_python_code,
            "_imported": dict(imported or {}),
            "_import_modules": False,
        }
        self.__dict__.update(state)

    @staticmethod
    def fromfile(
        filename: str | Path,
        use_predefined_variables: bool = True,
        import_custom_modules: bool = True,
        use_environment_variables: bool = True,
        lazy_import: bool | None = None,
        format_python_code: bool = True,
        *,
        trust: bool = True,
        root: str | Path | None = None,
    ) -> Config:
        """Reads a ``.py``, ``.json``, ``.yaml`` or ``.yml`` config file and merges the base configs it inherits from.

        Args:
            filename: path or URL. A Python file is **executed**, unless `trust` is False.
            use_predefined_variables: whether to substitute ``{{fileDirname}}``, ``{{fileBasename}}``,
                ``{{fileBasenameNoExtension}}`` and ``{{fileExtname}}``.
            import_custom_modules: whether to import the modules that ``custom_imports`` names; with ``trust=False``
                they are never imported. The file's folder and the working directory are appended to ``sys.path``, so
                that installed packages take precedence over modules there.
            use_environment_variables: whether to substitute ``{{$NAME:default}}``.
            lazy_import: True reads Python files in the lazy style (`read_base`), False in the `_base_` style; None
                detects the style from the file.
            format_python_code: accepted for compatibility; the printer always formats.
            trust: False reads Python configs without executing them. Literals, ``dict()``, names, arithmetic,
                string formatting, `_base_` and substitutions are allowed; anything else is refused, and the error
                names its line. Base configs must be files below `root`; no URL is fetched.
            root: with ``trust=False``, the folder that must contain all base configs; by default the innermost parent
                folder named ``configs``, or the folder of the file.

        Raises:
            OSError: a file does not exist, is a directory, or has another extension.
            ConfigFileError: a file is not a valid config; the message names the line.
            KeyError: two bases define the same key, or a key is reserved.
            TypeError: a dict is merged onto something else.
            ImportError: a module of ``custom_imports`` cannot be imported.
            Exception: any exception that the code of a Python config raises; the attribute ``config_place`` is added
                to it and names the line, such as ``"path/file.py:12"``.
        """
        tree = None if trust else _tree_of_bases(str(filename), root)
        options = Options(use_predefined_variables, use_environment_variables, lazy_import, trust, tree)
        loaded = load(str(filename), options)
        imports = import_custom_modules and trust
        if imports:
            make_importable(Path(filename).resolve().parent, Path.cwd())
        if imports and CUSTOM_IMPORTS in loaded.values:
            import_custom(loaded.values[CUSTOM_IMPORTS])
        cfg = _from_loaded(loaded, str(filename), format_python_code)
        cfg.__dict__["_import_modules"] = imports
        return cfg

    @staticmethod
    def fromstring(cfg_str: str, file_format: str, *, trust: bool = True) -> Config:
        """Reads a config from a string.

        Args:
            cfg_str: the text of the config; relative base paths are resolved against the working directory.
            file_format: ``".py"``, ``".json"``, ``".yaml"`` or ``".yml"``. Python is **executed**, unless `trust` is
                False.
            trust: False reads the text as pure data: nothing is executed, base configs are refused, and ``{{…}}`` is
                not substituted. Use it for texts that you did not write, such as the config in a checkpoint.

        Raises:
            OSError: `file_format` is none of the four.
            ConfigFileError: the text is not a valid config, or with ``trust=False`` contains more than data.
        """
        if file_format not in FORMATS:
            raise OSError(f"Only {', '.join(FORMATS)} are supported, got {file_format!r}")
        source = Source(str(Path.cwd() / f"<string>{file_format}"), cfg_str.removeprefix("\ufeff"), file_format)
        tree = None if trust else Tree(None)
        options = Options(predefined=trust, environment=trust, trust=trust, tree=tree)
        return _from_loaded(load_source(source, options), None)

    @staticmethod
    def auto_argparser(description: str | None = None) -> tuple[argparse.ArgumentParser, Config]:
        """Builds an argument parser with an option for every value of a config.

        The config is the file named by the first positional argument of the command line. Returns the parser and the
        config.

        Args:
            description: for the help text.
        """
        first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        first.add_argument("config")
        cfg = Config.fromfile(first.parse_known_args()[0].config)
        parser = argparse.ArgumentParser(description=description, allow_abbrev=False)
        parser.add_argument("config", help="config file path")
        add_arguments(parser, cfg.to_dict())
        return parser, cfg

    @staticmethod
    def diff(cfg1: str | Config, cfg2: str | Config) -> str:
        """Returns a unified diff of two configs or config files; empty if they are equal up to the order of keys."""
        old, new = (cfg if isinstance(cfg, Config) else Config.fromfile(cfg) for cfg in (cfg1, cfg2))
        texts = old.pretty_text, Config(ordered_as(new.to_dict(), old.to_dict())).pretty_text
        return text_diff(*texts, old.filename or "", new.filename or "")

    @staticmethod
    def _file2dict(
        filename: str,
        use_predefined_variables: bool = True,
        use_environment_variables: bool = True,
        lazy_import: bool | None = None,
    ) -> tuple[dict[str, Any], str, dict[str, str]]:
        """Returns values, text and environment variables of a config file.

        Libraries that were written for MMEngine call this private method.
        """
        loaded = load(str(filename), Options(use_predefined_variables, use_environment_variables, lazy_import))
        return ConfigDict(loaded.values), loaded.text, loaded.env

    @staticmethod
    def _get_cfg_path(cfg_path: str, filename: str) -> tuple[str, str | None]:
        """Resolves the name of a base config to its path and package.

        Libraries that were written for MMEngine call this private method.
        """
        return locate(cfg_path, filename)

    @staticmethod
    def _merge_a_into_b(a: dict[Any, Any], b: Any, allow_list_keys: bool = False) -> Any:
        """Merges the mapping `a` into a copy of `b` and returns the copy.

        Libraries that were written for MMEngine call this private method.
        """
        return convert(merge_onto(a, b, lists=allow_list_keys))

    @property
    def filename(self) -> str | None:
        """Path of the config file, as the caller passed it; None for a config without a file."""
        return self._filename

    @property
    def text(self) -> str:
        """The source texts of the base configs and of the config file itself, each preceded by its path."""
        return self._text

    @property
    def env_variables(self) -> dict[str, str]:
        """Names and values of the environment variables that were substituted into the config."""
        return self._env_variables

    @property
    def pretty_text(self) -> str:
        """The merged config as Python code that `fromstring` can parse.

        A value that cannot be dumped is printed as its ``repr`` instead of raising, so that every config is printable.
        """
        try:
            return self._dumped(".py")
        except DumpTypeError:
            return python_text(self.to_dict())

    def dump(self, file: str | Path | None = None) -> str | None:
        """Writes the merged config to a file that no longer needs its base configs.

        Args:
            file: output path; its extension selects the format. None writes nothing and returns the text, in the
                format of `filename` (Python for a config without a file).

        Raises:
            OSError: the extension is not ``.py``, ``.json``, ``.yaml`` or ``.yml``.
            TypeError: a value cannot be written in the chosen format; the message names the dotted key of the value.
        """
        target = file if file is not None else self._filename or ".py"
        extension = Path(target).suffix or str(target)
        if extension not in FORMATS:
            raise OSError(f"cannot dump a config to {str(target)!r}; the extension must be one of {', '.join(FORMATS)}")
        text = self._dumped(extension)
        if file is None:
            return text
        Path(file).write_text(text, encoding="utf-8")
        return None

    def _dumped(self, extension: str) -> str:
        form, write = _WRITERS[extension]
        return write(to_plain(self._cfg_dict, form))

    def merge_from_dict(self, options: Mapping[str, Any], allow_list_keys: bool = True) -> None:
        """Merges overrides given by dotted key, as the command-line option ``--cfg-options`` does.

        If one override is invalid, none is applied. If an override sets ``custom_imports``, the modules that it names
        are imported, provided that the config was loaded with ``import_custom_modules=True``.

        Args:
            options: values by dotted key, such as ``{"model.backbone.depth": 50}``.
            allow_list_keys: whether a number in a key, such as ``{"pipeline.0.type": …}``, addresses an item of a list.

        Raises:
            TypeError: an override merges a dict into a value that is not a dict.
            ImportError: a module of ``custom_imports`` cannot be imported.
            KeyError: a list index is out of range, or the config has no such list.

        Example:
            >>> cfg = Config({"pipeline": [{"type": "Load"}, {"type": "Flip"}]})
            >>> cfg.merge_from_dict({"pipeline.1.prob": 0.5})
            >>> cfg.pipeline[1]
            {'type': 'Flip', 'prob': 0.5}
        """
        if allow_list_keys:
            check_indices(options, self._cfg_dict)
        nested = nest(options)
        merged = merge(nested, self._cfg_dict, lists=allow_list_keys)
        assert isinstance(merged, ConfigDict)
        if CUSTOM_IMPORTS in nested and self._import_modules:
            import_custom(merged[CUSTOM_IMPORTS])
        if isinstance(options, CommandLineOptions):
            step = Step(COMMAND_LINE, None, None, None)
        else:
            step = caller_step(CODE, None)
        override(merged, nested, step)
        self.__dict__["_cfg_dict"] = merged

    def explain(self, dotted_key: str) -> Explanation:
        """Returns every assignment to a key, oldest first, each with its file and line.

        The returned tuple prints as a numbered list.

        Args:
            dotted_key: keys from the root to the value, as ``"optim_wrapper.optimizer.lr"`` or ``"pipeline.0.type"``.

        Raises:
            KeyError: the config has no such key; the message suggests similar keys.
        """
        node: Any = self._cfg_dict
        path: list[Any] = []
        # Only a ConfigDict records who set its values; lists do not. So the loop remembers the innermost ConfigDict on
        # the way to the value, and how many keys lead to that ConfigDict.
        owner, owner_depth = self._cfg_dict, 0
        for part in dotted_key.split("."):
            key = int(part) if isinstance(node, (list, tuple)) and part.lstrip("-").isdigit() else part
            if isinstance(node, ConfigDict):
                owner, owner_depth = node, len(path)
            path.append(key)
            known = keys_of(node)
            node = lookup(node, (key,))
            if node is MISSING:
                siblings = [".".join(map(str, [*path[:-1], name])) for name in known]
                raise MissingKeyError(".".join(map(str, path)), siblings)
        return Explanation(dotted_key, trace(owner, tuple(path[owner_depth:])))

    def __where__(self, key: str | int | None = None) -> str | None:
        """Returns where the top-level `key` was last set, as ``'path/file.py:12'``; for None, the config's file name."""
        return self._filename if key is None else self._cfg_dict.__where__(key)

    def to_dict(self, keep_imported: bool = False) -> dict[str, Any]:
        """Returns the config in plain dicts at every level; a lazily imported object becomes its dotted name, a string.

        Args:
            keep_imported: whether to include the names that the config file imported.
        """
        result: dict[str, Any] = plain(self._settings_and_imports(keep_imported), names=True)
        return result

    def _to_lazy_dict(self, keep_imported: bool = False) -> dict[str, Any]:
        result: dict[str, Any] = plain(self._settings_and_imports(keep_imported))
        return result

    def _settings_and_imports(self, keep_imported: bool) -> dict[str, Any]:
        if keep_imported:
            return {**self._imported, **dict(dict.items(self._cfg_dict))}
        return self._cfg_dict

    def copy(self) -> Config:
        """Returns a shallow copy: nested values are shared with this config."""
        return self.__copy__()

    def __copy__(self) -> Config:
        return self._with(copy.copy(self._cfg_dict))

    def __deepcopy__(self, memo: dict[int, Any]) -> Config:
        new = self._with(copy.deepcopy(self._cfg_dict, memo))
        memo[id(self)] = new
        return new

    def _with(self, values: ConfigDict) -> Config:
        new = self.__class__.__new__(self.__class__)
        new.__dict__.update({**self.__dict__, "_cfg_dict": values})
        return new

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "chains": collect_chains(self._cfg_dict)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        chains = state.pop("chains", {})
        self.__dict__.update(state)
        bind(self._cfg_dict, FrozenProvenance(chains))

    def __repr__(self) -> str:
        return f"Config (path: {self._filename}): {dict.__repr__(self._cfg_dict)}"

    def __len__(self) -> int:
        return len(self._cfg_dict)

    def __iter__(self) -> Iterator[str]:
        return iter(self._cfg_dict)

    def __contains__(self, name: object) -> bool:
        return name in self._cfg_dict

    def __getattr__(self, name: str) -> Any:
        # copy and pickle look up attributes of a Config that has no `_cfg_dict` yet. Without this check, the last line
        # would call `__getattr__` for `_cfg_dict` again, without end.
        if name == "_cfg_dict" or name in Config.__annotations__:
            raise AttributeError(name)
        return getattr(self._cfg_dict, name)

    def __getitem__(self, name: str) -> Any:
        return self._cfg_dict[name]

    def __setattr__(self, name: str, value: Any) -> None:
        if name in Config.__annotations__:
            self.__dict__[name] = value
        elif name in RESERVED_KEYS:
            raise ReservedKeyError(_reserved(name))
        else:
            self._cfg_dict[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        if name in RESERVED_KEYS:
            raise ReservedKeyError(_reserved(name))
        self._cfg_dict[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self._cfg_dict:
            raise MissingAttributeError(name, self._cfg_dict.keys())
        del self._cfg_dict[name]

    def __delitem__(self, name: str) -> None:
        del self._cfg_dict[name]

    def __eq__(self, other: object) -> bool:
        return self._cfg_dict == other._cfg_dict if isinstance(other, Config) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # A config is mutable, so it must not be a dict key.


OWN_CLASSES.update(Config=Config, ConfigDict=ConfigDict, DictAction=DictAction)


def _tree_of_bases(filename: str, root: str | Path | None) -> Tree:
    if root is None:
        return Tree(None) if is_url(filename) else Tree.around(filename)
    return Tree(str(Path(root).resolve()))


def _from_loaded(loaded: Loaded, filename: str | None, format_python_code: bool = True) -> Config:
    _check_reserved(loaded.values)
    cfg = Config.__new__(Config)
    with ending_somewhere(loaded.layers[-1].file), no_collection():
        values = convert(loaded.values, FileProvenance(loaded.layers))
    cfg._set_state(values, loaded.text, filename, loaded.env, format_python_code, loaded.lazy_imports)  # noqa: SLF001  # a private method of the class in this module
    return cfg


def _reserved(name: str) -> str:
    return f"{name} is reserved for config file: it is an attribute of Config; choose another name for the key"


def _check_reserved(values: Mapping[str, Any]) -> None:
    for key in RESERVED_KEYS:
        if key in values:
            raise ReservedKeyError(_reserved(key))
