"""The fields of a TorchScript network's modules, followed instruction by instruction, never run.

They have pickle's form. PyTorch's reader of them trusts what it reads: a tensor may look beyond its
file's end, and a number may stand where an object is meant. Here each instruction is followed on a
stack of stand-ins, which shows what PyTorch would make of it.
"""

from __future__ import annotations

import pickletools
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

_ITEM_BYTES = {
    **dict.fromkeys(("torch DoubleStorage", "torch LongStorage"), 8),
    **dict.fromkeys(("torch FloatStorage", "torch IntStorage"), 4),
    **dict.fromkeys(("torch HalfStorage", "torch BFloat16Storage", "torch ShortStorage"), 2),
    **dict.fromkeys(("torch ByteStorage", "torch CharStorage", "torch BoolStorage"), 1),
}
_TENSOR = "torch._utils _rebuild_tensor_v2"
_PARAMETER = "torch._utils _rebuild_parameter"
_FUNCTIONS = {
    *(_TENSOR, _PARAMETER, "collections OrderedDict", "torch.jit._pickle restore_type_tag"),
    *(f"torch.jit._pickle build_{kind}list" for kind in ("int", "double", "bool", "tensor")),
}
_LITERALS = {"BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "BINFLOAT"}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
# Taken from the stack by what fills a container; None is all down to the last mark.
_FILLING = {"APPEND": 1, "SETITEM": 2, "APPENDS": None, "SETITEMS": None}
# A tensor that repeats its values may be larger than its file, but not much.
_MOST_REPEATED = 1 << 24


class UnknownKindError(ValueError):
    """Fields with an object that no network needs; the message is its kind."""


@dataclass(frozen=True)
class _Kind:
    """Name of a function, a class or a type of numbers."""

    name: str


@dataclass(frozen=True)
class _Storage:
    """Numbers in a file of the archive."""

    count: int


class _Tensor:
    """A view of a storage."""


class _Module:
    """A module of this archive."""


class _Other:
    """A container, or whatever else a function makes."""


class _Mark:
    """Where a list of arguments begins."""


def check_fields(data: bytes, kind: str, members: Mapping[str, bytes]) -> None:
    """Check the fields of an archive's modules.

    Parameters
    ----------
    data : bytes
        Content of ``data.pkl`` or ``constants.pkl``.
    kind : str
        "data" or "constants": the folder with the numbers of the tensors.
    members : mapping
        The archive's files by name.

    Raises
    ------
    UnknownKindError
        If there is an object that no network needs.
    ValueError, IndexError, KeyError
        If PyTorch has not written this, or a tensor reaches beyond its file.
    """
    reading = _Reading(kind, members)
    for operation, argument, _ in pickletools.genops(data):
        reading.follow(operation.name, argument)


class _Reading:
    """What PyTorch's reader has at hand at one point of the instructions."""

    def __init__(self, kind: str, members: Mapping[str, bytes]) -> None:
        self.kind = kind
        self.members = members
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def follow(self, name: str, argument: Any) -> None:
        """Do to the stack what an instruction does."""
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name == "MARK":
            self.stack.append(_Mark())
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self._top()
        elif name in ("BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif name == "GLOBAL":
            self.stack.append(_known(argument))
        elif name in ("EMPTY_LIST", "EMPTY_DICT"):
            self.stack.append(_Other())
        elif name == "TUPLE" or name in _TUPLES:
            self.stack.append(self._taken(_TUPLES.get(name)))
        elif name in _FILLING:
            self._taken(_FILLING[name])
            _require(isinstance(self._top(), _Other))
        elif name == "BINPERSID":
            self.stack.append(self._storage(*self._taken(1)))
        elif name == "NEWOBJ":
            self.stack.append(_new(*self._taken(2)))
        elif name == "BUILD":
            self._taken(1)
            _require(isinstance(self._top(), _Module))
        elif name == "REDUCE":
            self.stack.append(_result(*self._taken(2)))
        elif name == "STOP":
            _require(len(self.stack) == 1 and not isinstance(self._top(), _Mark))
        else:
            _require(name == "PROTO")

    def _top(self) -> Any:
        _require(not isinstance(self.stack[-1], _Mark))
        return self.stack[-1]

    def _taken(self, count: int | None) -> tuple[Any, ...]:
        """Take values from the stack, or all down to the last mark."""
        values: list[Any] = []
        while len(values) != count:
            value = self.stack.pop()
            if isinstance(value, _Mark):
                _require(count is None)
                break
            values.append(value)
        return tuple(reversed(values))

    def _storage(self, described: object) -> _Storage:
        match described:
            case ("storage", _Kind(numbers), str(key), str(), int(count)):
                content = self.members[f"{self.kind}/{key}"]
                _require(count * _ITEM_BYTES[numbers] == len(content))
                return _Storage(count)
        raise ValueError("no storage")


def _known(name: str) -> _Kind:
    own = name.startswith("__torch__") and not name.startswith("__torch__.torch.classes")
    if not own and name not in _FUNCTIONS and name not in _ITEM_BYTES:
        raise UnknownKindError(name)
    return _Kind(name)


def _new(kind: object, arguments: object) -> _Module:
    """PyTorch makes no object here: it takes the arguments off and leaves the class."""
    _require(isinstance(kind, _Kind) and kind.name.startswith("__torch__") and arguments == ())
    return _Module()


def _result(function: object, arguments: object) -> object:
    _require(isinstance(function, _Kind) and function.name in _FUNCTIONS)
    _require(isinstance(arguments, tuple))
    assert isinstance(function, _Kind)
    if function.name == _TENSOR:
        match arguments:
            case (_Storage(count), int(offset), tuple(sizes), tuple(strides), bool(), _Other()):
                _check_view(count, offset, sizes, strides)
                return _Tensor()
        raise ValueError("no tensor")
    if function.name == _PARAMETER:
        match arguments:
            case (_Tensor() as tensor, bool(), _Other()):
                return tensor
        raise ValueError("no parameter")
    return _Other()


def _check_view(
    count: int, offset: int, sizes: tuple[object, ...], strides: tuple[object, ...]
) -> None:
    """Check that a tensor looks at nothing but its storage."""
    shape = [size for size in sizes if isinstance(size, int)]
    steps = [step for step in strides if isinstance(step, int)]
    _require(len(shape) == len(sizes) == len(steps) == len(strides) <= 64)
    _require(min((offset, *shape, *steps)) >= 0)
    _require(max(shape, default=0) <= max(count, _MOST_REPEATED))
    _require(prod(shape) <= max(count, _MOST_REPEATED))
    last = offset + sum((size - 1) * step for size, step in zip(shape, steps, strict=True))
    _require(offset <= count if 0 in shape else last < count)


def _require(fulfilled: bool) -> None:
    if not fulfilled:
        raise ValueError("not what PyTorch writes")
