"""TorchScript archives, loaded from what was checked of them.

TorchScript runs in its own interpreter, which has no Python: the pickles of an archive are read by C++ that knows
tensors, containers and the archive's own classes, and the code in it calls registered operators only. Some of those
write or read files (`save`, `from_file`, `image::write_file`) or reach other machines (`rpc_async`), and code can run
while loading (`__setstate__`). So pickles are held to tensors and the archive's own classes, and code to the operator
libraries that networks are made of; debug files, traced inputs and extra files are left behind.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from cnnaudit.core.errors import ModelError
from cnnaudit.core.wording import one_line
from cnnaudit.target.trust import TENSOR_GLOBALS, UntrustedError, read_archive, scan_names, scan_pickle, write_archive

if TYPE_CHECKING:
    from torch import nn

NEEDED = ("data.pkl", "constants.pkl", "version", "byteorder", "data/*", "constants/*", "code/*.py", ".data/*")
KNOWN = (*NEEDED, "code/*.debug_pkl", "traced_inputs.pkl", "traced_inputs/*", "extra/*")
GLOBALS = (
    *TENSOR_GLOBALS,
    "__torch__ *",
    "__torch__.* *",
    *(f"torch.jit._pickle {name}" for name in ("build_*list", "restore_type_tag")),
)
LIBRARIES = "aten|prim|prims|quantized|_quantized|torchvision"
FORBIDDEN = re.compile(
    r"\b(save|from_file|rpc_sync|rpc_async|rpc_remote|PythonOp|IgnoredPythonOp)\b"  # wherever the name stands
    rf"|(?<!\.)\bops\b(?!\.({LIBRARIES})\.)"
    r"|\btorch\.classes\.(?!quantized\.)"
    r"|\\\s|#|\^",  # joined lines, comments and Python operators, none of which TorchScript writes
    re.ASCII,
)


def load_torchscript(path: Path, trusted: bool, device: str) -> nn.Module:
    """The module of a TorchScript file.

    Raises:
        UntrustedError: something in it could reach beyond the network and it is not trusted; nothing was run.
        ModelError: torch cannot load it.
    """
    import torch

    source = path if trusted else write_archive(_checked(read_archive(path)))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit says that it is deprecated
            module: nn.Module = torch.jit.load(source, map_location=device)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise ModelError(f"TorchScript cannot load it: {one_line(error)}") from error
    return module


def _checked(members: dict[str, bytes]) -> dict[str, bytes]:
    """The members that loading needs."""
    if "constants.pkl" not in members:
        raise UntrustedError("it is not a TorchScript archive but pickled Python objects")
    scan_names(members, KNOWN)
    kept = {}
    for name, data in members.items():
        if name.endswith((".pkl", ".debug_pkl")):
            scan_pickle(data, name, GLOBALS)
        elif name.endswith(".py"):
            _scan_code(data, name)
        if name.endswith(".py") or (not name.endswith("_pkl") and not name.startswith(("traced_inputs", "extra/"))):
            kept[name] = data
    return kept


def _scan_code(data: bytes, name: str) -> None:
    """Refuse TorchScript code with a word or sign that code of a network does not have."""
    try:
        code = re.sub(r"\s*\.\s*", ".", data.decode())
    except UnicodeDecodeError as error:
        raise UntrustedError(f"{name} is not text ({error})") from error
    if found := FORBIDDEN.search(code):
        around = " ".join(code[max(0, found.start() - 20) : found.end() + 20].split())
        raise UntrustedError(f"{name} has code that no plain network needs: … {around} …")
