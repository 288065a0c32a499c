"""What a pickle of tensors claims, read without torch: every length is compared before memory is taken for a tensor.

Torch's readers believe the sizes in a pickle: a tensor larger than its member of the archive shows foreign memory.
Here every global of the pickle becomes an inert class, so nothing of it runs; what is made of them is compared.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections.abc import Mapping, Sequence
from typing import Any

from cnnaudit.core.wording import one_line
from cnnaudit.target.trust import UntrustedError

LARGEST = 64 * 2**20  # bytes of a pickle; tensors are kept outside of it
DEEPEST = 100
REBUILDS = ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor_v3")
QUANTIZED = "torch._utils._rebuild_qtensor"
ITEMS = {"Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16", "Long": "int64"}
ITEMS |= {"Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool", "Untyped": "uint8"}
ITEMS |= {"ComplexFloat": "complex64", "ComplexDouble": "complex128", "QInt8": "int8", "QUInt8": "uint8"}
ITEMS |= {"QInt32": "int32"}


class Inert:
    """Stands for whatever a pickle makes of a global."""

    where = ""

    def __init__(self, *arguments: Any, **_: Any) -> None:
        self.arguments = arguments
        self.state: Any = None
        self.items: list[Any] = []

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items += [key, value]

    def append(self, value: Any) -> None:
        """Keep an item of a list-like object."""
        self.items.append(value)


class _Reader(pickle._Unpickler):  # the one in C takes no enumeration of TorchScript
    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self.made: list[Inert] = []
        self.storages: list[Any] = []

    def find_class(self, module: str, name: str) -> Any:
        made = self.made

        def new(kind: type[Inert], *arguments: Any, **_: Any) -> Inert:
            thing = object.__new__(kind)
            Inert.__init__(thing, *arguments)
            made.append(thing)
            return thing

        return type("Inert", (Inert,), {"where": f"{module}.{name}", "__new__": new})

    def persistent_load(self, pid: Any) -> Any:
        self.storages.append(pid)
        return pid


def check_lengths(members: Mapping[str, bytes], name: str, folder: str) -> Any:
    """Compare every tensor of a pickle with the member of the archive that holds its numbers.

    Args:
        members: of the archive.
        name: of the pickle among them.
        folder: of the tensors' members.

    Returns:
        What the pickle holds, with inert objects in place of all others.

    Raises:
        UntrustedError: the pickle is damaged, a member is missing or has another length than its storage, or a tensor
            reaches beyond its storage.
    """
    data = members.get(name, b"")
    if len(data) > LARGEST:
        raise UntrustedError(f"{name} has {len(data):,} bytes, expected {LARGEST:,} at most")
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if "PUT" in opcode.name and argument is not None and argument > len(data):
                raise UntrustedError(f"{name} is a pickle that wants a memo of {argument:,} entries")
        reader = _Reader(data)
        value = reader.load()
        for storage in reader.storages:
            _check_storage(storage, members, name, folder)
        for thing in reader.made:
            if thing.where in REBUILDS or thing.where == QUANTIZED:
                _check_tensor(thing, name)
    except UntrustedError:
        raise
    except Exception as error:  # whatever a damaged pickle makes Python's reader or the comparison raise
        raise UntrustedError(f"{name} cannot be read as a pickle of tensors ({one_line(error)})") from error
    return value


def check_nesting(value: Any, name: str) -> None:
    """Refuse a value that holds itself or is nested too deep for the recursive readers of torch.

    Raises:
        UntrustedError: it is.
    """
    above: set[int] = set()
    done: set[int] = set()
    stack = [(value, False)]
    while stack:
        thing, leaving = stack.pop()
        if leaving:
            above.discard(id(thing))
            done.add(id(thing))
            continue
        inner = _inside(thing)
        if not inner or id(thing) in done:
            continue
        if id(thing) in above or len(above) > DEEPEST:
            raise UntrustedError(f"{name} holds a value that contains itself, or is nested over {DEEPEST} deep")
        above.add(id(thing))
        stack.append((thing, True))
        stack.extend((part, False) for part in inner)


def _inside(thing: Any) -> list[Any]:
    if isinstance(thing, dict):
        return [*thing.keys(), *thing.values()]
    if isinstance(thing, (list, tuple, set)):
        return list(thing)
    return [thing.arguments, thing.state, thing.items] if isinstance(thing, Inert) else []


def _check_storage(storage: Any, members: Mapping[str, bytes], name: str, folder: str) -> None:
    word, kind, key, _, count = storage
    member = f"{folder}/{key}"
    if word != "storage" or not _natural(count):
        raise UntrustedError(f"{name} names a tensor's numbers in an unknown way")
    wanted = count * _bytes(kind)
    if count and member not in members:
        raise UntrustedError(f"there is no {member!r}, which {name} says holds {wanted:,} bytes")
    if count and len(members[member]) != wanted:
        raise UntrustedError(f"{member} has {len(members[member]):,} bytes, {name} says {wanted:,}")


def _check_tensor(tensor: Inert, name: str) -> None:
    storage, offset, size, stride = tensor.arguments[:4]
    held = storage[4] * _bytes(storage[1])
    item = _bytes(tensor.arguments[6]) if tensor.where.endswith("_v3") else _bytes(storage[1])
    size, stride = (entry.arguments[0] if isinstance(entry, Inert) else entry for entry in (size, stride))
    require_reach(name, offset, size, stride, item, held)


def require_reach(name: str, offset: int, size: Sequence[int], stride: Sequence[int], item: int, held: int) -> None:
    """Refuse a tensor that reaches beyond the bytes that hold it.

    Args:
        name: what claims it, for the message.
        item: bytes of one number.
        held: bytes that there are.

    Raises:
        UntrustedError: it does, or its size is none.
    """
    claimed = f"{name} has a tensor of size {list(size)[:8]}, stride {list(stride)[:8]} and offset {offset}"
    if len(size) != len(stride) or len(size) > 64 or not all(map(_natural, (offset, *size, *stride))):
        raise UntrustedError(f"{claimed}, which is none")
    needed = item * (1 + offset + sum((n - 1) * step for n, step in zip(size, stride)))
    if (all(size) and needed > held) or math.prod(size) >= 2**62:
        raise UntrustedError(f"{claimed} that needs {needed:,} bytes; there are {held:,}")


def _natural(number: Any) -> bool:
    return type(number) is int and 0 <= number < 2**62


def _bytes(kind: Any) -> int:
    """The bytes of one number of a storage class or dtype of torch."""
    import torch

    library, _, last = str(getattr(kind, "where", "")).rpartition(".")
    dtype = getattr(torch, ITEMS.get(last.removesuffix("Storage"), last), None)
    if not library.startswith("torch") or not isinstance(dtype, torch.dtype):
        raise UntrustedError(f"numbers of an unknown kind, {library}.{last}")
    return int(dtype.itemsize)
