"""The code in a TorchScript archive, judged before torch reads it.

Torch compiles such code while it loads, and runs parts of it then: `__setstate__`, and operators on constants, which
its optimizer computes at once. So the code is parsed here as the Python that it nearly is, every form of it is held to
a list, and torch is given the code written anew from what was judged: it reads no escapes, comments or joined
literals of the author.
"""

from __future__ import annotations

import ast
import re
from typing import NoReturn

from cnnaudit.core.wording import one_line
from cnnaudit.target.operators import is_allowed
from cnnaudit.target.trust import UntrustedError

DEEPEST = 150
TEXT = re.compile(r"[ -~\n\t]*")
STATEMENTS = (
    *(ast.Module, ast.ClassDef, ast.FunctionDef, ast.arguments, ast.arg, ast.Assign, ast.AnnAssign, ast.AugAssign),
    *(ast.Return, ast.If, ast.For, ast.While, ast.Pass, ast.Expr, ast.Break, ast.Continue),
)
EXPRESSIONS = (
    *(ast.Call, ast.keyword, ast.Attribute, ast.Name, ast.Constant, ast.Tuple, ast.List, ast.Dict, ast.Subscript),
    *(ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp),
)
LOCAL = re.compile(r"_\d+", re.ASCII)  # a function of the archive, which it names so before it calls it
SIGNS = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)
FORMS = STATEMENTS + EXPRESSIONS + SIGNS
FUNCTIONS = (
    *("annotate", "unchecked_cast", "uninitialized", "isinstance", "int", "float", "bool", "str", "complex"),
    *("range", "len", "getattr", "hasattr", "min", "max", "abs", "list", "tuple"),
)
MODULES = ("torch", "ops", "__torch__", "CONSTANTS")
ROOTS = (*MODULES, "fork", "awaitable", "rpc_async", *FUNCTIONS)
BASES = ("Module", "NamedTuple", "Enum")
AT_LOADING = ("__setstate__", "__getstate__")


def checked_code(data: bytes, name: str) -> bytes:
    """The code of one member, written anew from what was judged.

    Raises:
        UntrustedError: it is not TorchScript, or calls what no plain network needs; operator and place are named.
    """
    try:
        tree = ast.parse(data.decode("ascii"))
        _judge(tree, name)
        return f"{ast.unparse(tree)}\n".encode("ascii")
    except UntrustedError:
        raise
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise UntrustedError(f"{name} is not code as TorchScript writes it ({one_line(error)})") from error


def _judge(tree: ast.Module, name: str) -> None:
    stack: list[tuple[ast.AST, int, bool]] = [(tree, 0, False)]
    while stack:
        node, depth, called = stack.pop()
        if depth > DEEPEST:
            _refuse(node, name, f"an expression nested over {DEEPEST} deep")
        if not isinstance(node, FORMS):
            _refuse(node, name, f"a {type(node).__name__.lower()}, {_shown(node)}")
        _judge_form(node, name)
        chain = _chain(node)
        if chain and chain[0] in MODULES:
            _judge_chain(chain, called, node, name)
            continue  # the whole of it is judged
        if isinstance(node, ast.Attribute) and called:
            _judge_method(node, name)
        types = _types(node)
        for part in ast.iter_child_nodes(node):
            if any(part is kind for kind in types):
                _judge_type(part, name)
            else:
                stack.append((part, depth + 1, isinstance(node, ast.Call) and part is node.func))


def _judge_form(node: ast.AST, name: str) -> None:
    """Refuse what the form of one node alone says."""
    if isinstance(node, ast.ClassDef):
        if node.decorator_list or node.keywords or not all(_shown(base) in BASES for base in node.bases):
            _refuse(node, name, f"the class {node.name} of unknown kind")
    elif isinstance(node, ast.FunctionDef):
        if node.name in AT_LOADING:
            _refuse(node, name, f"{node.name}, which runs while the file is loaded")
        if node.decorator_list or node.name in ROOTS:
            _refuse(node, name, f"the function {node.name}")
    elif isinstance(node, ast.arguments):
        if node.vararg or node.kwarg or node.posonlyargs:
            _refuse(node, name, "a function of any arguments")
    elif isinstance(node, ast.arg) and node.arg in ROOTS:
        _refuse(node, name, f"an argument that is called {node.arg}")
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in ROOTS:
        _refuse(node, name, f"a variable that is called {node.id}")
    elif isinstance(node, ast.keyword) and node.arg is None:
        _refuse(node, name, "a call with any arguments")
    elif isinstance(node, ast.Constant) and not _is_plain(node.value):
        _refuse(node, name, f"the constant {_shown(node)}")
    elif isinstance(node, ast.Call):
        _judge_call(node, name)


def _judge_call(node: ast.Call, name: str) -> None:
    function = node.func
    if isinstance(function, ast.Name):
        if function.id not in FUNCTIONS and not LOCAL.fullmatch(function.id):
            _refuse(node, name, f"a call of {function.id}")
        if function.id in ("getattr", "hasattr"):
            attribute = node.args[1] if len(node.args) == 2 else None
            plain = isinstance(attribute, ast.Constant) and re.fullmatch(r"\w+", str(attribute.value), re.ASCII)
            of = node.args[0] if node.args else None
            known = isinstance(of, (ast.Name, ast.Attribute, ast.Call)) and _chain(of)[:1] not in ([m] for m in MODULES)
            if not (plain and known):
                _refuse(node, name, _shown(node))
    elif not isinstance(function, ast.Attribute):
        _refuse(node, name, f"a call of {_shown(function)}")


def _judge_chain(chain: list[str], called: bool, node: ast.AST, name: str) -> None:
    """Refuse a dotted name, from its first part on, that is no operator on the list and none of the archive's own."""
    if chain[0] == "torch":
        plain = called and len(chain) == 2 and is_allowed("aten", chain[1])
    elif chain[0] == "ops":
        plain = called and len(chain) == 3 and is_allowed(chain[1], chain[2])
    elif chain[0] == "CONSTANTS":
        plain = not called and len(chain) == 2 and re.fullmatch(r"c\d{1,6}", chain[1]) is not None
    else:
        plain = len(chain) > 1 and chain[1:] != ["torch"] and chain[1:3] != ["torch", "classes"]
    if not plain:
        _refuse(node, name, f"{'the operator ' if called else ''}{'.'.join(chain)}")


def _judge_method(node: ast.Attribute, name: str) -> None:
    """Refuse a method that torch would take for an operator that is not on the list."""
    import torch

    if node.attr in AT_LOADING or (
        not (is_allowed("aten", node.attr) or is_allowed("prim", node.attr))
        and any(torch._C._jit_get_schemas_for_operator(f"{library}::{node.attr}") for library in ("aten", "prim"))
    ):
        _refuse(node, name, f"the operator {node.attr}")


def _types(node: ast.AST) -> list[ast.AST]:
    """The children of a node that name types."""
    found: list[ast.AST | None] = []
    if isinstance(node, (ast.arg, ast.AnnAssign)):
        found = [node.annotation]
    elif isinstance(node, ast.FunctionDef):
        found = [node.returns]
    elif isinstance(node, ast.Assign) and _shown(node.targets[0]).startswith("__annotations__["):
        found = [node.value]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
        position = {"annotate": 0, "unchecked_cast": 0, "uninitialized": 0, "isinstance": 1}.get(node.func.id)
        found = node.args[position : position + 1] if position is not None else []  # type: ignore[assignment]
    return [part for part in found if part is not None]


def _judge_type(node: ast.AST, name: str) -> None:
    text = _shown(node, 10_000)
    if not re.fullmatch(r"[\w\[\]., ()]*", text, re.ASCII) or "torch.classes" in text or text.count("[") > 20:
        _refuse(node, name, f"the type {text[:80]}")


def _chain(node: ast.AST) -> list[str]:
    """The parts of a dotted name; empty where it is none."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id, *reversed(parts)] if isinstance(node, ast.Name) else []


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return TEXT.fullmatch(value) is not None
    return value is None or isinstance(value, (bool, float, complex)) or (type(value) is int and abs(value) < 2**64)


def _shown(node: ast.AST, most: int = 80) -> str:
    return ast.unparse(node)[:most]


def _refuse(node: ast.AST, name: str, what: str) -> NoReturn:
    line = f", line {node.lineno}" if hasattr(node, "lineno") else ""
    raise UntrustedError(f"{name}{line} has {what}, which no plain network needs")
