"""Look into a model file before anything in it is believed: archives member by member, pickles opcode by opcode.

Nothing here loads anything. What passed is handed on as bytes, so that what is loaded is what was looked at.
"""

from __future__ import annotations

import fnmatch
import io
import lzma
import pickletools
import re
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from cnnaudit.core.errors import AuditError
from cnnaudit.core.wording import one_line

EXPANSION = 64 * 2**20  # bytes that an archive may unpack to beyond its own length; weights are stored unpacked
MEMBERS = 100_000  # that an archive may have
UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, NotImplementedError, RuntimeError, EOFError),
    *(OSError, ValueError, LookupError, ArithmeticError, MemoryError, AssertionError),  # all seen of zipfile
)

# The opcodes of torch's own restricted unpickler: protocol 2, as torch.save, torch.export and TorchScript write it.
OPCODES = re.compile(
    "APPENDS?|BINFLOAT|BININT[12]?|(LONG_)?BIN(GET|PUT)|BINPERSID|BINUNICODE|BUILD|EMPTY_(DICT|LIST|SET|TUPLE)|GLOBAL"
    "|LONG1|MARK|NEWFALSE|NEWOBJ|NEWTRUE|NONE|PROTO|REDUCE|SETITEMS?|SHORT_BINSTRING|STOP|TUPLE[123]?"
)
# The globals that tensors, their containers and nothing else are made of.
TENSOR_GLOBALS = (
    "collections OrderedDict",
    "torch Size",
    "torch device",
    "torch per_*_affine*",
    "torch *Storage",
    "torch.storage UntypedStorage",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "torch._utils _rebuild_qtensor",
    "torch.serialization _get_layout",
)


class UntrustedError(AuditError):
    """A file holds something that could run code, or that cannot be told from it; nothing of it was run."""


def read_archive(path: Path) -> dict[str, bytes]:
    """The members of a zip archive as PyTorch writes it, by their names below its one root folder.

    Raises:
        UntrustedError: the file is no zip archive, its members are ambiguous (a name twice, in letters that differ
            in case only, or outside the one root folder), or it unpacks to far more than its length.
    """
    try:
        with path.open("rb") as stream:
            return _members(stream)
    except UNREADABLE as error:
        raise UntrustedError(f"it cannot be read as an archive ({one_line(error)})") from error


def _members(stream: IO[bytes]) -> dict[str, bytes]:
    length = stream.seek(0, io.SEEK_END)
    with zipfile.ZipFile(stream) as archive:
        entries = archive.infolist()
        if len(entries) > MEMBERS:
            raise UntrustedError(f"it has {len(entries):,} members, expected {MEMBERS:,} at most")
        unpacked = sum(entry.file_size for entry in entries)
        if unpacked > length + EXPANSION:
            raise UntrustedError(f"it unpacks from {length:,} to {unpacked:,} bytes")
        members: dict[str, bytes] = {}
        for entry in entries:
            parts = PurePosixPath(entry.filename).parts
            if entry.is_dir():
                raise UntrustedError(f"it has a folder as a member, {entry.filename!r}")
            if len(parts) < 2 or ".." in parts or parts[0] != PurePosixPath(entries[0].filename).parts[0]:
                raise UntrustedError(f"it has a member outside its root folder, {entry.filename!r}")
            members["/".join(parts[1:])] = archive.read(entry)
    if len({name.lower() for name in members}) < len(entries):
        raise UntrustedError("it has two members of one name")
    return members


def write_archive(members: Mapping[str, bytes]) -> io.BytesIO:
    """An archive in memory with those members and nothing else, for a loader to read."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(f"archive/{name}", data)
    buffer.seek(0)
    return buffer


def scan_names(members: Iterable[str], known: Collection[str]) -> None:
    """Refuse an archive with a member that matches none of the known patterns.

    Raises:
        UntrustedError: there is one; it is named.
    """
    for name in members:
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in known):
            raise UntrustedError(f"it has a member that no plain model needs, {name!r}")


def scan_pickle(data: bytes, name: str, allowed: Collection[str] = TENSOR_GLOBALS) -> None:
    """Refuse a pickle that names anything but the allowed globals; it is read, never run.

    Args:
        data: the pickle.
        name: of the member, for the message.
        allowed: patterns of `module name`.

    Raises:
        UntrustedError: another global, an opcode that could hide one, bytes after the end, or no pickle at all.

    Example:
        >>> import pickle
        >>> scan_pickle(pickle.dumps({"a": 1}, protocol=2), "data.pkl")
    """
    stream = io.BytesIO(data)
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            if not OPCODES.fullmatch(opcode.name):
                raise UntrustedError(f"{name} is a pickle with the opcode {opcode.name}, which could hide a call")
            if opcode.name == "GLOBAL" and not any(fnmatch.fnmatchcase(str(argument), pattern) for pattern in allowed):
                raise UntrustedError(f"{name} is a pickle that wants {str(argument).replace(' ', '.')}")
    except (ValueError, IndexError, UnicodeError) as error:
        raise UntrustedError(f"{name} cannot be read as a pickle ({error})") from error
    if stream.read(1):
        raise UntrustedError(f"{name} goes on after the end of its pickle")


def scan_tensors(data: bytes, name: str) -> None:
    """Refuse a file of `torch.save` that holds more than tensors and plain containers.

    Raises:
        UntrustedError: as `scan_pickle`, or the file is no archive.
    """
    try:
        members = _members(io.BytesIO(data))
    except UNREADABLE as error:
        raise UntrustedError(f"{name} is not a file of torch.save in today's format ({error})") from error
    scan_names(members, ("data.pkl", "data/*", ".data/*", "version", "byteorder", ".format_version", ".storage_*"))
    scan_pickle(members.get("data.pkl", b""), f"{name}/data.pkl")
