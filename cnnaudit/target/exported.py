"""Models of `torch.export` (`.pt2`), loaded from what was checked of them.

`torch.export.load` would run code from more than the pickles of such an archive: it resolves operators by any dotted
name below `torch`, evaluates symbolic sizes and guards, writes node names into Python source, and opens shared
libraries. So the program is read here against lists of what a plain network needs, and a new archive of it goes to
torch; sample inputs, guards and most metadata are left behind.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnaudit.core.errors import ModelError
from cnnaudit.core.wording import one_line
from cnnaudit.target.operators import is_allowed
from cnnaudit.target.pickled import require_reach
from cnnaudit.target.trust import UntrustedError, read_archive, scan_names, scan_tensors, write_archive

if TYPE_CHECKING:
    from torch import nn

PROGRAM = "models/model.json"
CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
SAMPLE = "data/sample_inputs/model.pt"
KNOWN = (
    *("archive_format", "archive_version", "byteorder", ".data/*", "extra/*", PROGRAM, *CONFIGS, SAMPLE),
    *("data/weights/weight_*", "data/constants/tensor_*"),
)
NAME = re.compile(r"[\w.]*", re.ASCII)
CALL = re.compile(r"torch\.ops\.(\w+)\.(\w+)\.(?!_)\w+", re.ASCII)
OPERATOR = re.compile(
    r"torch\.ops\.aten\.__i?(and|lshift|or|rshift|xor)__\.(Scalar|Tensor)"
    r"|torch\.ops\.higher_order\.wrap_with_(set_grad_enabled|autocast)"
    r"|torch\.sym_(float|int|ite|max|min|not|sqrt|sum)"
    r"|_operator\.(add|and_|eq|floordiv|ge|getitem|gt|le|lt|mod|mul|ne|neg|not_|or_|pos|pow|sub|truediv)"
    r"|math\.(ceil|floor|sqrt|trunc)",
    re.ASCII,
)
SYMBOLIC = re.compile(
    "Symbol|Integer|Float|Rational|Add|Mul|Pow|Max|Min|(Python)?Mod|Abs|floor|ceiling|Eq|Ne|Equality|Unequality"
    "|(Strict)?(Greater|Less)Than|And|Or|Not|Where|Identity|(Floor|Clean|Ceil|FloatTrue|IntTrue)Div|ModularIndexing"
    "|(Ceil|Floor|Trunc|Round)ToInt|TruncToFloat|ToFloat|PowByNatural|FloatPow"
)
SYMBOL = re.compile(r"[a-z]+\d+|True|False", re.ASCII)
ARITHMETIC = (ast.Expression, ast.BinOp, ast.UnaryOp, ast.Compare, ast.keyword, ast.Load)
OPERATIONS = (ast.operator, ast.unaryop, ast.cmpop)


def load_exported(path: Path, trusted: bool, device: str) -> tuple[nn.Module, int | None]:
    """The module of a `.pt2` file and the only batch size that it takes, if there is one.

    Raises:
        UntrustedError: something in it could run code and it is not trusted; nothing was run.
        ModelError: torch cannot load it.
    """
    import torch
    from torch.export.passes import move_to_device_pass

    source = path if trusted else write_archive(_checked(read_archive(path)))
    try:
        program = torch.export.load(source)
        if device != "cpu":
            program = move_to_device_pass(program, device)
        module = program.module(check_guards=False)
        batch = next(node.meta["val"].shape[0] for node in module.graph.nodes if node.op == "placeholder")
    except Exception as error:
        raise ModelError(f"torch.export cannot load it: {one_line(error)}") from error
    return module, batch if isinstance(batch, int) else None


def _checked(members: dict[str, bytes]) -> dict[str, bytes]:
    """The members that loading needs, their JSON checked and written anew."""
    scan_names(members, KNOWN)
    if missing := [name for name in (PROGRAM, *CONFIGS) if name not in members]:
        raise UntrustedError(f"it is not an archive of today's torch.export, there is no {missing[0]!r}")
    if sample := members.get(SAMPLE):
        scan_tensors(sample, SAMPLE)
    kept = {name: data for name, data in members.items() if not name.startswith("extra/")}
    for name in (PROGRAM, *CONFIGS):
        try:
            document = _plain(json.loads(members[name]), name, "")
            if name in CONFIGS:
                _check_lengths(document, members, name)
            kept[name] = json.dumps(document).encode()
        except (ValueError, LookupError, TypeError, AttributeError, SyntaxError, RecursionError) as error:
            raise UntrustedError(f"{name} is not the JSON of torch.export ({one_line(error)})") from error
    return {**kept, SAMPLE: b""}


def _check_lengths(document: Any, members: dict[str, bytes], name: str) -> None:
    """Compare every tensor of a configuration with the member that holds its numbers."""
    from torch._export.serde.serialize import _SERIALIZE_TO_TORCH_DTYPE

    for entry in document["config"].values():
        member, meta = f"{name.rpartition('/')[0]}/{entry['path_name']}", entry["tensor_meta"]
        if member not in members:
            raise UntrustedError(f"there is no {member!r}, which {name} names")
        size, stride = ([number["as_int"] for number in meta[key]] for key in ("sizes", "strides"))
        item = _SERIALIZE_TO_TORCH_DTYPE[meta["dtype"]].itemsize
        require_reach(member, meta["storage_offset"]["as_int"], size, stride, item, len(members[member]))


def _plain(value: Any, where: str, key: str) -> Any:
    """The value at that key of a JSON document, refused where it could be code, emptied where nothing needs it."""
    if key in ("device", "as_device") and isinstance(value, dict):
        return {"type": "cpu", "index": None}  # moved to the wanted device later, whatever it was exported on
    if key == "metadata":
        return {name: text for name, text in value.items() if name == "nn_module_stack" and isinstance(text, str)}
    if key in ("guards_code", "treespec_namedtuple_fields", "torch_version"):
        return type(value)()
    if isinstance(value, dict):
        for name in value:
            _require(NAME.fullmatch(name), where, key, name)
        return {name: _plain(inner, where, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner, where, key) for inner in value]
    if isinstance(value, str):
        _require(_is_plain_text(value, key), where, key, value)
    _require(not (key == "use_pickle" and value), where, key, value)
    return value


def _is_plain_text(text: str, key: str) -> bool:
    if key in ("target", "as_operator"):
        called = CALL.fullmatch(text)
        return OPERATOR.fullmatch(text) is not None or (called is not None and is_allowed(called[1], called[2]))
    if key == "expr_str":
        return _is_symbolic(text)
    if key in ("in_spec", "out_spec"):
        return _is_tree(json.loads(text)[1])
    return key in ("as_string", "as_strings") or NAME.fullmatch(text) is not None  # FX writes strings by repr()


def _is_symbolic(text: str) -> bool:
    """Whether sympify, which evaluates Python, meets nothing but arithmetic on symbols and numbers."""
    if not re.fullmatch(r"[\w (),.'+*/%<>=!-]*", text, re.ASCII):
        return False
    for node in ast.walk(ast.parse(text, mode="eval")):
        if isinstance(node, ast.Call):
            plain = isinstance(node.func, ast.Name) and SYMBOLIC.fullmatch(node.func.id) is not None
        elif isinstance(node, ast.Name):
            plain = (SYMBOLIC.fullmatch(node.id) or SYMBOL.fullmatch(node.id)) is not None
        elif isinstance(node, ast.Constant):
            plain = not isinstance(node.value, str) or SYMBOL.fullmatch(node.value) is not None
        else:
            plain = isinstance(node, ARITHMETIC + OPERATIONS)
        if not plain:
            return False
    return True


def _is_tree(spec: Any) -> bool:
    """Whether a pytree specification has tuples, lists and dictionaries with plain keys only."""
    return (
        spec["type"] in (None, "builtins.tuple", "builtins.list", "builtins.dict")
        and re.fullmatch(r'null|\[("\w+"(, )?)*\]', spec["context"] or "null", re.ASCII) is not None
        and all(_is_tree(child) for child in spec["children_spec"])
    )


def _require(plain: object, where: str, key: str, value: object) -> None:
    if not plain:
        raise UntrustedError(f"{where} has {key} = {str(value)[:80]!r}, which no plain network needs and could be code")
