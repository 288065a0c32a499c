"""TorchScript archives, loaded from what was checked of them.

TorchScript runs in its own interpreter, which has no Python: the pickles of an archive are read by C++ that knows
tensors, containers and the archive's own classes, and the code in it calls registered operators only. Some of those
write or read files (`save`, `from_file`, `image::write_file`) or reach other machines (`rpc_async`), and some code runs
while loading. So pickles are held to tensors of the right length and the archive's own classes, code to an allow-list
of operators before torch sees it, and the graphs that torch makes of it to the same list; debug files, traced inputs
and extra files are left behind.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnaudit.core.errors import ModelError
from cnnaudit.core.wording import one_line
from cnnaudit.target.operators import is_allowed
from cnnaudit.target.pickled import check_lengths, check_nesting
from cnnaudit.target.torchscript_code import checked_code
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
            if not trusted:
                _judge_graphs(module)
    except UntrustedError:
        raise
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
            kept[name] = checked_code(data, name)
            continue
        if not name.endswith("_pkl") and not name.startswith(("traced_inputs", "extra/")):
            kept[name] = data
    for name, folder in (("data.pkl", "data"), ("constants.pkl", "constants")):
        check_nesting(check_lengths(members, name, folder), name)
    return kept


def _judge_graphs(module: nn.Module) -> None:
    """Hold every operator of every method in every submodule, as torch itself parsed them, to the allow-list."""
    for place, part in module.named_modules():
        code: Any = part._c
        for called in code._method_names():
            whole = code._get_method(called).inlined_graph  # held, for its nodes live as long as it does
            graphs = [whole]
            while graphs:
                block = graphs.pop()
                for node in block.nodes():
                    library, _, name = node.kind().partition("::")
                    if not is_allowed(library, name):
                        where = ".".join(filter(None, (place, called)))
                        raise UntrustedError(f"{where} has the operator {node.kind()}, which no plain network needs")
                    graphs.extend(node.blocks())
                    for attribute in node.attributeNames():
                        if node.kindOf(attribute) == "g":
                            graphs.append(node.g(attribute))
                        elif node.kindOf(attribute) == "gs":
                            graphs.extend(node.gs(attribute))
