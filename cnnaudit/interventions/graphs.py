"""Modules that `torch.export` made: one flat graph, whose nodes remember the modules that their calls came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import fx, nn
from torch._ops import OpOverload


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a forward pass into a module: its path, and which time it is, from 1."""

    path: str
    number: int

    @property
    def name(self) -> str:
        """The path with the number: `relu:2`."""
        return f"{self.path}:{self.number}"


@dataclass(frozen=True, slots=True)
class Step:
    """One operator call of an exported graph.

    Attributes:
        packet: the operator without its overload.
        stack: the modules that it was made in, outermost first, without the exported model itself.
        answers: the modules whose output it is.
    """

    packet: Any
    stack: tuple[Entry, ...]
    answers: tuple[Entry, ...]


def exported_steps(module: nn.Module, prefix: str = "") -> tuple[Step, ...] | None:
    """The operator calls of an exported module in the order of their execution; None for any other module."""
    if not isinstance(module, fx.GraphModule):
        return None
    nodes = [node for node in module.graph.nodes if isinstance(node.target, OpOverload)]
    if not nodes:
        return None
    stacks = {node: _stack(node, prefix) for node in nodes}
    answers = _answers(nodes, stacks)
    return tuple(Step(node.target.overloadpacket, stacks[node], tuple(answers.get(node, ()))) for node in nodes)


def _stack(node: fx.Node, prefix: str) -> tuple[Entry, ...]:
    """The modules around a node; torch marks the second entry into `relu` as `relu@1`."""
    entries = []
    for key, (path, _) in node.meta.get("nn_module_stack", {}).items():
        number = key.rpartition("@")[2]
        if path:
            joined = f"{prefix}.{path}" if prefix else path
            entries.append(Entry(joined.partition("@")[0], int(number) + 1 if number.isdigit() else 1))
    return tuple(entries)


def _answers(nodes: Sequence[fx.Node], stacks: dict[fx.Node, tuple[Entry, ...]]) -> dict[fx.Node, list[Entry]]:
    """For each node the modules whose only output it is: the one node inside that something outside reads.

    Left out where the module changes that output later, through a view of it: the node's value is not the answer.
    """
    inside: dict[Entry, list[fx.Node]] = {}
    for node in nodes:
        for entry in stacks[node]:
            inside.setdefault(entry, []).append(node)
    answers: dict[fx.Node, list[Entry]] = {}
    for entry, members in inside.items():
        own = set(members)
        read = [node for node in members if any(user not in own for user in _readers(node))]
        if len(read) == 1 and not _changed_later(read[0], members):
            answers.setdefault(read[0], []).append(entry)
    return answers


def _readers(node: fx.Node) -> Iterator[fx.Node]:
    """The nodes that read a node's tensor, looking through the unpacking of tuples."""
    for user in node.users:
        if user.op == "call_function" and getattr(user.target, "__name__", "") == "getitem":
            yield from _readers(user)
        else:
            yield user


def _changed_later(node: fx.Node, members: Sequence[fx.Node]) -> bool:
    """Whether an in-place call follows on the node's tensor, or on what was made from it (a view, perhaps)."""
    made = {node}
    for later in members[members.index(node) + 1 :]:
        if later.args and later.args[0] in made:
            if later.target._schema.is_mutable:  # type: ignore[union-attr]
                return True
            made.add(later)
    return False
