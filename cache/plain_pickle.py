"""Reads numbers out of pickles without running them: plain containers and NumPy arrays are rebuilt, everything else is refused.

A pickle is a program. Its instructions are walked with ``pickletools``, which executes nothing; the only names that may occur are
those NumPy writes for its arrays, and even these are not called: the array is made here from its bytes, dtype and shape.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from mmfa_components.errors import CacheError, reason_of

LARGEST_FILE = 1 << 30
_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")
_ALLOWED: Mapping[tuple[str, str], str] = {
    **{(module, "_reconstruct"): "reconstruct" for module in _NUMPY},
    **{(module, "scalar"): "scalar" for module in _NUMPY},
    ("numpy.core.numeric", "_frombuffer"): "frombuffer",
    ("numpy._core.numeric", "_frombuffer"): "frombuffer",
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
    ("__builtin__", "bytes"): "no bytes",
}
"""Names that may occur, and what is done here in their place."""
_MARK = object()


class _RefusedError(Exception):
    """Why a pickle is not read."""


@attrs.frozen
class _Name:
    role: str


@attrs.define
class _DType:
    code: str
    order: str = "="

    def numpy(self) -> np.dtype[Any]:
        order = {"|": "|", "<": "<", ">": ">", "=": "="}.get(self.order)
        if order is None or not self.code or self.code[0] not in "fiub" or not self.code[1:].isdecimal():
            raise _RefusedError(f"an array of dtype {self.order}{self.code}")
        return np.dtype(self.code if order == "|" else order + self.code)


@attrs.define
class _Array:
    value: np.ndarray[Any, Any] | None = None


def read_plain_pickle(path: Path) -> Any:
    """The numbers, texts, lists, tuples, dicts and NumPy arrays of a pickle file.

    Raises CacheError for a file that cannot be read, is no pickle, or holds anything else; the refused name is told.
    """
    try:
        if Path(path).stat().st_size > LARGEST_FILE:
            raise CacheError("is larger than 1 GB", where=str(path), fix="motion templates are much smaller; check the file")
        data = Path(path).read_bytes()
    except OSError as error:
        raise CacheError(f"cannot be read ({reason_of(error)})", where=str(path), fix="check the path") from error
    try:
        return _finished(_Walker().run(data))
    except _RefusedError as error:
        fix = "only numbers, texts, lists, dicts and NumPy arrays are read; the file was not run"
        raise CacheError(f"this pickle asks for {error}, which is refused", where=str(path), fix=fix) from None
    except (ValueError, IndexError, TypeError, KeyError, AttributeError, OverflowError, RecursionError, UnicodeError) as error:
        raise CacheError(f"is no pickle of plain numbers ({error})", where=str(path), fix="copy the file again") from None


class _Walker:
    """A stack machine over the opcodes that build plain data."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        for opcode, argument, _ in pickletools.genops(data):
            name = opcode.name
            if name == "STOP":
                (result,) = self.stack
                return result
            if name in _CONSTANTS:
                self.stack.append(_CONSTANTS[name])
            elif name in _VALUES:
                self.stack.append(argument)
            elif name in _ACTIONS:
                _ACTIONS[name](self, argument)
            else:
                raise _RefusedError(f"the instruction {name}")
        raise ValueError("it ends early")

    def until_mark(self) -> list[Any]:
        for index in range(len(self.stack) - 1, -1, -1):
            if self.stack[index] is _MARK:
                items = self.stack[index + 1 :]
                del self.stack[index:]
                return items
        raise ValueError("a mark is missing")

    # ---- containers ---------------------------------------------------------------------------------------------------
    def append(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise ValueError("an item is added to something that is no list")
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise ValueError("a key is set in something that is no dict")
        target.update(zip(map(_finished, items[::2]), items[1::2], strict=True))

    def dict_of(self, items: list[Any]) -> None:
        self.stack.append({})
        self.set_items(items)

    def pop(self, count: int) -> list[Any]:
        items = self.stack[len(self.stack) - count :]
        if len(items) < count or any(i is _MARK for i in items):
            raise ValueError("the stack is too short")
        del self.stack[len(self.stack) - count :]
        return items

    # ---- names and arrays ----------------------------------------------------------------------------------------------
    def name(self, module: Any, name: Any) -> None:
        role = _ALLOWED.get((str(module), str(name)))
        if role is None:
            raise _RefusedError(f"{module}.{name}")
        self.stack.append(_Name(role))

    def reduce(self) -> None:
        function, arguments = self.pop(2)
        role = function.role if isinstance(function, _Name) else ""
        if role == "reconstruct":
            self.stack.append(_Array())
        elif role == "dtype":
            self.stack.append(_DType(str(arguments[0])))
        elif role == "encode":
            if arguments[1] not in ("latin1", "latin-1"):
                raise _RefusedError(f"the text encoding {arguments[1]!r}")
            self.stack.append(str(arguments[0]).encode("latin-1"))
        elif role == "no bytes" and arguments == ():
            self.stack.append(b"")
        elif role == "scalar":
            self.stack.append(_from_bytes(arguments[1], arguments[0], ())[()].item())
        elif role == "frombuffer":
            data, dtype, shape, order = arguments
            self.stack.append(_Array(_from_bytes(data, dtype, shape, order)))
        else:
            raise _RefusedError(f"a call of {function!r}"[:80])

    def build(self) -> None:
        target, state = self.pop(2)
        if isinstance(target, _DType):
            target.order = str(state[1])
        elif isinstance(target, _Array):
            _, shape, dtype, fortran, data = state
            target.value = _from_bytes(data, dtype, shape, "F" if fortran else "C")
        else:
            raise _RefusedError("the state of an object")
        self.stack.append(target)


def _from_bytes(data: Any, dtype: Any, shape: Any, order: Any = "C") -> np.ndarray[Any, Any]:
    if not isinstance(dtype, _DType) or not isinstance(data, (bytes, bytearray)):
        raise _RefusedError("an array of objects")
    kind = dtype.numpy()
    sizes = tuple(int(s) for s in shape)
    if any(s < 0 for s in sizes) or math.prod(sizes) * kind.itemsize != len(data):
        raise ValueError(f"an array of shape {sizes} has {len(data)} bytes")
    native = np.frombuffer(bytes(data), kind).astype(kind.newbyteorder("="))
    return native.reshape(sizes, order="F" if order == "F" else "C")


def _finished(value: Any, depth: int = 0) -> Any:
    """``value`` with arrays in place of their stand-ins."""
    if depth > 100:
        raise ValueError("it is nested too deeply")
    if isinstance(value, _Array):
        if value.value is None:
            raise ValueError("an array has no content")
        return value.value
    if isinstance(value, (_Name, _DType)) or value is _MARK:
        raise _RefusedError("a class or function as a value")
    if isinstance(value, dict):
        return {_finished(k, depth + 1): _finished(v, depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_finished(v, depth + 1) for v in value)
    return value


def _global(walker: _Walker, argument: Any) -> None:
    module, _, name = str(argument).partition(" ")
    walker.name(module, name)


def _put(walker: _Walker, argument: Any) -> None:
    walker.memo[len(walker.memo) if argument is None else int(argument)] = walker.stack[-1]


_CONSTANTS: Mapping[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_VALUES = frozenset({
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE",
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
})  # fmt: skip
_ACTIONS: Mapping[str, Callable[[_Walker, Any], None]] = {
    "PROTO": lambda w, a: None,
    "FRAME": lambda w, a: None,
    "MARK": lambda w, a: w.stack.append(_MARK),
    "POP": lambda w, a: w.stack.__delitem__(-1),
    "POP_MARK": lambda w, a: w.until_mark().clear(),
    "DUP": lambda w, a: w.stack.append(w.stack[-1]),
    "EMPTY_LIST": lambda w, a: w.stack.append([]),
    "EMPTY_DICT": lambda w, a: w.stack.append({}),
    "EMPTY_TUPLE": lambda w, a: w.stack.append(()),
    "DICT": lambda w, a: w.dict_of(w.until_mark()),
    "LIST": lambda w, a: w.stack.append(w.until_mark()),
    "TUPLE": lambda w, a: w.stack.append(tuple(w.until_mark())),
    "TUPLE1": lambda w, a: w.stack.append(tuple(w.pop(1))),
    "TUPLE2": lambda w, a: w.stack.append(tuple(w.pop(2))),
    "TUPLE3": lambda w, a: w.stack.append(tuple(w.pop(3))),
    "APPEND": lambda w, a: w.append(w.pop(1)),
    "APPENDS": lambda w, a: w.append(w.until_mark()),
    "SETITEM": lambda w, a: w.set_items(w.pop(2)),
    "SETITEMS": lambda w, a: w.set_items(w.until_mark()),
    "PUT": _put,
    "BINPUT": _put,
    "LONG_BINPUT": _put,
    "MEMOIZE": _put,
    "GET": lambda w, a: w.stack.append(w.memo[int(a)]),
    "BINGET": lambda w, a: w.stack.append(w.memo[int(a)]),
    "LONG_BINGET": lambda w, a: w.stack.append(w.memo[int(a)]),
    "GLOBAL": _global,
    "STACK_GLOBAL": lambda w, a: w.name(*w.pop(2)),
    "REDUCE": lambda w, a: w.reduce(),
    "BUILD": lambda w, a: w.build(),
}
