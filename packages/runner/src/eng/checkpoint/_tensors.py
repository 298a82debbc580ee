"""Safe constructors for tensors in a checkpoint: views of storages, checked against the bounds of the storage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ._machine import Constructor, MalformedPickleError, PickleMachine, Table

STORAGES = {
    "Double": torch.float64, "Float": torch.float32, "Half": torch.float16, "BFloat16": torch.bfloat16,
    "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
    "Bool": torch.bool, "ComplexDouble": torch.complex128, "ComplexFloat": torch.complex64,
    "QUInt8": torch.quint8, "QInt8": torch.qint8, "QInt32": torch.qint32,
}  # fmt: skip
_LARGEST = 2**62
_QUANTIZED = (torch.quint8, torch.qint8, torch.qint32)


class StorageType:
    """Stands for one of torch's storage classes, such as ``torch.FloatStorage``, when a pickle is read.

    Args:
        dtype: dtype of the storage's values; uint8 for ``UntypedStorage``.
    """

    __slots__ = ("dtype",)

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype


class Storage:
    """A storage that was read from a checkpoint: memory that one or several tensors use.

    Args:
        memory: the bytes of the storage.
        dtype: dtype of the values in the storage. A tensor on the storage has this dtype, unless the pickle of the
            tensor names another.
    """

    __slots__ = ("dtype", "memory")

    def __init__(self, memory: torch.UntypedStorage, dtype: torch.dtype) -> None:
        self.memory = memory
        self.dtype = dtype


def tensor_table() -> Table:
    """Returns torch's names that a checkpoint's pickle may refer to: tensors, storages, dtypes and devices.

    The result maps each name to a function that constructs the object after checking the arguments in the pickle.
    """
    return {**_storage_types(), **_values(), **_rebuilders()}


def _storage_types() -> Table:
    types = {f"torch.{name}Storage": StorageType(dtype) for name, dtype in STORAGES.items()}
    bare = StorageType(torch.uint8)
    types |= {"torch.storage.UntypedStorage": bare, "torch.UntypedStorage": bare}
    return {name: Constructor(value) for name, value in types.items()}


def _values() -> Table:
    """Returns torch's names, except storages and tensors, that a checkpoint's pickle may refer to.

    These names belong to dtypes, layouts, memory formats, sizes, devices and the class Parameter.
    """
    plain = (torch.dtype, torch.qscheme, torch.memory_format, torch.layout)
    named = {f"torch.{name}": value for name, value in vars(torch).items() if isinstance(value, plain)}
    return {
        **{name: Constructor(value) for name, value in named.items()},
        "torch.Tensor": Constructor(torch.Tensor),
        "torch.Size": Constructor(torch.Size, _size),
        "torch.device": Constructor(torch.device, _device),
        "torch.serialization._get_layout": Constructor(_layout, _layout),
        "torch.nn.parameter.Parameter": Constructor(torch.nn.Parameter),
    }


def _rebuilders() -> Table:
    """Returns replacements for torch's functions that a pickle calls to construct a tensor, by the functions' names.

    Unlike torch's functions, the replacements check shape, strides and offset against the length of the storage.
    """
    functions: dict[str, Callable[..., Any]] = {
        "torch._utils._rebuild_tensor": _view,
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_tensor_v3": _tensor_of_type,
        "torch._utils._rebuild_parameter": _parameter,
        "torch._utils._rebuild_parameter_with_state": _parameter,
        "torch._utils._rebuild_sparse_tensor": _sparse,
        "torch._utils._rebuild_qtensor": _quantized,
        "torch._utils._rebuild_meta_tensor_no_storage": _without_storage,
        "torch._utils._rebuild_device_tensor_from_numpy": _from_array,
        "torch._utils._rebuild_device_tensor_from_cpu_tensor": _from_cpu,
        "torch._tensor._rebuild_from_type_v2": _with_attributes,
    }
    return {name: Constructor(function, function) for name, function in functions.items()}


def unfilled_tensor_table() -> Table:
    """Returns replacements for torch's functions that construct tensors; each returns an empty tensor.

    A file in torch's old format holds the values of storages behind the pickle. Its pickle is read with these
    replacements first, to get the lengths of the storages, and once more after the values were read.
    """
    return {name: Constructor(entry.value, lambda _, *args: torch.empty(0)) for name, entry in _rebuilders().items()}


# ---------------------------------------------------------------- constructors of tensors that are views of storages


def _numbers(values: Any) -> tuple[int, ...]:
    if not isinstance(values, tuple | list) or len(values) > 64:
        raise MalformedPickleError("it has a tensor whose shape is none")
    if any(type(value) is not int or not 0 <= value < _LARGEST for value in values):
        raise MalformedPickleError("it has a tensor whose shape is impossible")
    return tuple(values)


def _elements(size: tuple[int, ...]) -> int:
    count = 1
    for length in size:
        count *= length
    if count >= _LARGEST:
        raise MalformedPickleError("it has a tensor of impossible size")
    return count


def _check_view(storage: Any, offset: Any, size: Any, stride: Any, dtype: torch.dtype) -> tuple[Any, ...]:
    """Returns offset, shape and strides of a tensor after checking that all values of the tensor lie in its storage.

    Raises:
        MalformedPickleError: the tensor would reach beyond its storage, or the numbers describe no tensor.
    """
    if not isinstance(storage, Storage):
        raise MalformedPickleError("it has a tensor without a storage")
    size = _numbers(size)
    stride = _numbers(stride)
    (offset,) = _numbers((offset,))
    if len(size) != len(stride):
        raise MalformedPickleError("it has a tensor with more strides than dimensions")
    if _elements(size):
        last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
        if (last + 1) * dtype.itemsize > storage.memory.nbytes():
            raise MalformedPickleError("it has a tensor that reaches beyond its storage")
    return offset, size, stride


def _view(machine: PickleMachine, storage: Any, offset: Any, size: Any, stride: Any) -> torch.Tensor:
    return _view_as(storage, offset, size, stride, _dtype_of(storage))


def _dtype_of(storage: Any) -> torch.dtype:
    if not isinstance(storage, Storage):
        raise MalformedPickleError("it has a tensor without a storage")
    return storage.dtype


def _view_as(storage: Any, offset: Any, size: Any, stride: Any, dtype: torch.dtype) -> torch.Tensor:
    """Constructs a tensor of `dtype` on a storage, after checking that its values lie inside the storage."""
    offset, size, stride = _check_view(storage, offset, size, stride, dtype)
    if dtype in _QUANTIZED:
        raise MalformedPickleError("it has a quantized tensor without a scale")
    empty = torch.empty(0, dtype=dtype, device=storage.memory.device)
    if not _elements(size):
        return empty.new_empty(size)
    return empty.set_(storage.memory, offset, size, stride)


def _tensor(
    machine: PickleMachine,
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any = False,
    hooks: Any = None,
    metadata: Any = None,
) -> torch.Tensor:
    """Replaces torch's ``_rebuild_tensor_v2``: constructs a tensor with the dtype of its storage."""
    return _requiring(_with_bits(_view(machine, storage, offset, size, stride), metadata), requires_grad)


def _tensor_of_type(
    machine: PickleMachine,
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    hooks: Any,
    dtype: Any,
    metadata: Any = None,
) -> torch.Tensor:
    """Replaces torch's ``_rebuild_tensor_v3``: constructs a tensor with a dtype that the pickle names."""
    return _requiring(_with_bits(_view_as(storage, offset, size, stride, _dtype(dtype)), metadata), requires_grad)


def _with_bits(tensor: torch.Tensor, metadata: Any) -> torch.Tensor:
    """Conjugates or negates a tensor if the pickle asks for it in `metadata`; returns it unchanged otherwise.

    ``tensor.conj()`` only sets a bit and leaves the values in memory unchanged; torch saves the values and the bit.
    """
    if not isinstance(metadata, dict):
        return tensor
    if metadata.get("conj") is True:
        tensor = tensor.conj()
    if metadata.get("neg") is True:
        tensor = tensor.neg()
    return tensor


def _dtype(dtype: Any) -> torch.dtype:
    if not isinstance(dtype, torch.dtype):
        raise MalformedPickleError("it has a tensor whose type is none")
    return dtype


def _requiring(tensor: torch.Tensor, requires_grad: Any) -> torch.Tensor:
    if requires_grad is True:
        return tensor.requires_grad_()
    return tensor


def _parameter(
    _: PickleMachine, data: Any, requires_grad: Any = True, hooks: Any = None, state: Any = None
) -> torch.nn.Parameter:
    parameter = torch.nn.Parameter(_a_tensor(data).detach(), requires_grad is True)
    _attach(parameter, state)
    return parameter


def _attach(tensor: torch.Tensor, state: Any) -> None:
    """Sets the Python attributes that a tensor had when it was saved.

    Names that ``torch.Tensor`` itself defines are left out, because a malicious file could replace methods with them.

    Args:
        tensor: the tensor that gets the attributes.
        state: the attributes by name; anything but a dict is ignored.
    """
    if not isinstance(state, dict):
        return
    for key, value in state.items():
        if isinstance(key, str) and not key.startswith("__") and not hasattr(torch.Tensor, key):
            setattr(tensor, key, value)


def _a_tensor(value: Any) -> torch.Tensor:
    if not isinstance(value, torch.Tensor):
        raise MalformedPickleError(f"it has a tensor of a {type(value).__name__}")
    return value


def _with_attributes(
    machine: PickleMachine, function: Any, tensor_class: Any, arguments: Any, state: Any = None
) -> torch.Tensor:
    """Replaces torch's ``_rebuild_from_type_v2``, which a pickle calls to construct a tensor with Python attributes.

    Raises:
        MalformedPickleError: `function` constructs no tensor, or `tensor_class` is neither Tensor nor Parameter.
    """
    plain = {_tensor, _tensor_of_type, _view, _parameter, _sparse, _quantized, _without_storage}
    if not isinstance(function, type(_view)) or function not in plain or not isinstance(arguments, tuple):
        raise MalformedPickleError("it has a tensor with attributes that is none")
    if tensor_class not in (torch.Tensor, torch.nn.Parameter):
        raise MalformedPickleError("it has a tensor of a class of its own")
    tensor: torch.Tensor = function(machine, *arguments)
    if tensor_class is torch.nn.Parameter and not isinstance(tensor, torch.nn.Parameter):
        tensor = torch.nn.Parameter(tensor.detach(), tensor.requires_grad)
    _attach(tensor, state)
    return tensor


# ---------------------------------------------------------------- constructors of sparse, quantized and other tensors


def _sparse(_: PickleMachine, layout: Any, data: Any) -> torch.Tensor:
    """Constructs a sparse tensor in the COO layout or in a compressed layout (CSR, CSC, BSR, BSC).

    torch checks that the indices lie inside the shape of the tensor.

    Raises:
        MalformedPickleError: `data` does not describe a sparse tensor, or the layout is unknown.
    """
    if not isinstance(data, tuple) or not 3 <= len(data) <= 4:
        raise MalformedPickleError("it has a sparse tensor that is none")
    if layout == torch.sparse_coo:
        indices, values, size = data[:3]
        tensor = torch.sparse_coo_tensor(
            _a_tensor(indices), _a_tensor(values), _numbers(size), check_invariants=True, is_coalesced=None
        )
        if data[3:] == (True,):
            return tensor.coalesce()
        return tensor
    if layout not in (torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc) or len(data) != 4:
        raise MalformedPickleError("it has a sparse tensor of an unknown layout")
    compressed, plain, values, size = data
    return torch.sparse_compressed_tensor(
        _a_tensor(compressed),
        _a_tensor(plain),
        _a_tensor(values),
        _numbers(size),
        layout=layout,
        check_invariants=True,
    )


def _quantized(
    _: PickleMachine,
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    parameters: Any,
    requires_grad: Any = False,
    hooks: Any = None,
) -> torch.Tensor:
    """Constructs a quantized tensor from the storage that holds its integers, and the scale and zero point.

    Raises:
        MalformedPickleError: the integers do not fit the storage, or `parameters` hold no scale and zero point.
    """
    dtype = _dtype_of(storage)
    offset, size, stride = _check_view(storage, offset, size, stride, dtype)
    if dtype not in _QUANTIZED or _elements(size) * dtype.itemsize > storage.memory.nbytes():
        raise MalformedPickleError("it has a quantized tensor that is none")
    if not isinstance(parameters, tuple) or len(parameters) not in (3, 4):
        raise MalformedPickleError("it has a quantized tensor without a scale")
    if len(parameters) == 4:
        _check_channels(*parameters[1:], size)
    # torch has no public name for the function that constructs a quantized tensor when a pickle is read. The first item
    # that ``__reduce_ex__`` of any quantized tensor returns is this function, so it is taken from there.
    rebuild: Any = torch.quantize_per_tensor(torch.zeros(1, device="cpu"), 1.0, 0, torch.qint8).__reduce_ex__(2)[0]
    typed = torch.storage.TypedStorage(wrap_storage=storage.memory, dtype=dtype, _internal=True)
    tensor: torch.Tensor = rebuild(typed, offset, size, stride, parameters, False, None)
    return tensor


def _check_channels(scales: Any, zero_points: Any, axis: Any, size: tuple[int, ...]) -> None:
    if type(axis) is not int or not 0 <= axis < len(size):
        raise MalformedPickleError("it has a quantized tensor without such an axis")
    for values in (_a_tensor(scales), _a_tensor(zero_points)):
        if values.shape != (size[axis],):
            raise MalformedPickleError("it has a quantized tensor with another number of scales than channels")


def _without_storage(
    _: PickleMachine, dtype: Any, size: Any, stride: Any, requires_grad: Any = False, *unused: Any
) -> torch.Tensor:
    """Constructs a tensor on the device "meta", which has a shape but no values."""
    size, stride = _numbers(size), _numbers(stride)
    _elements(size)
    _elements(tuple(length + 1 for length in stride))
    tensor = torch.empty_strided(size, stride, dtype=_dtype(dtype), device="meta")
    return _requiring(tensor, requires_grad)


def _from_array(_: PickleMachine, data: Any, dtype: Any, device: Any, requires_grad: Any = False) -> torch.Tensor:
    if not isinstance(data, np.ndarray):
        raise MalformedPickleError("it has a tensor of an array that is none")
    return _requiring(torch.from_numpy(data.copy()).to(_dtype(dtype)), requires_grad)


def _from_cpu(_: PickleMachine, data: Any, dtype: Any, device: Any, requires_grad: Any = False) -> torch.Tensor:
    return _requiring(_a_tensor(data).detach().to(_dtype(dtype)), requires_grad)


# ------------------------------------------------------------- constructors of sizes, devices and layouts in a pickle


def _size(_: PickleMachine, values: Any = ()) -> torch.Size:
    return torch.Size(_numbers(values))


def _device(_: PickleMachine, *args: Any) -> torch.device:
    if not args or not isinstance(args[0], str) or any(type(arg) is not int for arg in args[1:]):
        raise MalformedPickleError("it has a device that is none")
    return torch.device(*args)


def _layout(_: PickleMachine, name: Any) -> torch.layout:
    known = {str(value): value for value in vars(torch).values() if isinstance(value, torch.layout)}
    if name not in known:
        raise MalformedPickleError("it has a tensor of an unknown layout")
    return known[name]


def bytes_of(memory: torch.UntypedStorage) -> memoryview:
    """Returns the bytes of a non-empty storage as a writable memoryview."""
    values: Any = torch.empty(0, dtype=torch.uint8).set_(memory).numpy()
    return memoryview(values)


def storage_reference(identity: Any) -> tuple[str, torch.dtype, str, int]:
    """Splits the persistent id by which a pickle refers to a storage into key, dtype, device and number of values.

    Raises:
        MalformedPickleError: the persistent id does not describe a storage.
    """
    if not isinstance(identity, tuple) or len(identity) != 5 or identity[0] != "storage":
        raise MalformedPickleError("it refers to a storage that is none")
    _, storage_type, key, location, length = identity
    texts = isinstance(key, str) and isinstance(location, str)
    if not isinstance(storage_type, StorageType) or not texts or type(length) is not int or not 0 <= length < _LARGEST:
        raise MalformedPickleError("it refers to a storage that is none")
    return key, storage_type.dtype, location, length
