"""Fit a file's weights to a network: names that wrappers prefixed, entries that share storage, leftovers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cnnaudit.core.errors import ModelError
from cnnaudit.core.wording import listed, nearest, one_line

if TYPE_CHECKING:
    from torch import nn

WRAPPERS = ("module", "_orig_mod")
HOLDERS = ("model", "net", "network", "ema", "ema_model")  # what training frameworks call the network in their module
LEFTOVERS = ("total_ops", "total_params", "n_averaged")  # of profilers and of averaging
COUNTER = "num_batches_tracked"  # of batch normalization, absent before torch 0.4.1


def plain_names(state: Mapping[str, Any]) -> dict[str, Any]:
    """The entries without the prefixes that every name has from data parallelism and compilation."""
    state = dict(state)
    while True:
        prefix = next((f"{word}." for word in WRAPPERS if all(name.startswith(f"{word}.") for name in state)), None)
        if prefix is None or not state:
            return state
        state = {name.removeprefix(prefix): value for name, value in state.items()}


def fit(network: nn.Module, state: Mapping[str, Any], file: str) -> list[str]:
    """Load a state into a network that it fits.

    Returns:
        The names of entries that are of no part of the network and were left out.

    Raises:
        ModelError: names or shapes are not those of the network; the message tells in which way.
    """
    own = network.state_dict()
    shared = _shared(own)
    state, left = _best(state, own, shared)
    _require_shapes(state, own, file)
    _require_shared(state, shared, file)
    unexpected = [name for name in state if name not in own and name.rpartition(".")[2] not in LEFTOVERS]
    missing = [name for name in own if not _is_given(name, state, shared)]
    if missing or unexpected:
        parts = [f"it lacks {listed(missing)} of the network's {len(own)} entries"] if missing else []
        if unexpected:
            parts.append(f"the network has no {listed(unexpected)}{nearest(unexpected[0], missing or own)}")
        raise ModelError(f"model.weights: {file} is of another architecture than model.source: {'; '.join(parts)}")
    try:
        network.load_state_dict({name: value for name, value in state.items() if name in own}, strict=False)
    except Exception as error:  # a lazy module or a hook of the user's may raise whatever it likes
        raise ModelError(f"model.weights: {file} does not fit the network: {one_line(error)}") from error
    return left


def _best(
    state: Mapping[str, Any], own: Mapping[str, Any], shared: Mapping[str, int]
) -> tuple[dict[str, Any], list[str]]:
    """The form of the names that the network knows most of, and what of the file belongs to other parts."""
    forms = list(_forms(dict(state), own))
    best = max(forms, key=lambda form: sum(name in own for name in form))
    kept = {name: value for name, value in best.items() if name.rpartition(".")[2] not in LEFTOVERS}
    others: list[str] = []
    if len(kept) < len(state):  # a part was taken: only as a whole may it be that
        known = {id(value) for value in kept.values()}
        others = [n for n, v in state.items() if id(v) not in known and n.rpartition(".")[2] not in LEFTOVERS]
        if others and not all(_is_given(name, kept, shared) for name in own):
            return dict(state), []
    return best, others


def _forms(state: dict[str, Any], own: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The entries under all names that they may have in the network, as they are first."""
    seen: set[frozenset[str]] = set()
    waiting = [state]
    while waiting and len(seen) < 64:
        form = waiting.pop(0)
        if not form or (names := frozenset(form)) in seen:
            continue
        seen.add(names)
        yield form
        for word in (*WRAPPERS, *HOLDERS, *_common(form)):
            prefix = f"{word}."
            waiting.append({n.removeprefix(prefix): value for n, value in form.items() if n.startswith(prefix)})
        for word in WRAPPERS:  # a wrapped part of the network
            inner = {".".join(part for part in n.split(".") if part != word): value for n, value in form.items()}
            waiting.append(inner if len(inner) == len(form) else {})
    for word in _common(own):
        yield {f"{word}.{name}": value for name, value in state.items()}


def _common(names: Mapping[str, Any]) -> list[str]:
    """The first part of all names, where they have one in common."""
    first = {name.partition(".")[0] for name in names if "." in name}
    return list(first) if len(first) == 1 and all("." in name for name in names) else []


def _shared(own: Mapping[str, Any]) -> dict[str, int]:
    """For each entry, a number that it has in common with those that are the same numbers in memory."""
    import torch

    places: dict[Any, int] = {}
    shared = {}
    for name, value in own.items():
        place: Any = name
        if isinstance(value, torch.Tensor) and not _is_lazy(value) and value.numel() and not value.is_meta:
            place = (value.data_ptr(), tuple(value.shape), value.stride(), value.dtype)
        shared[name] = places.setdefault(place, len(places))
    return shared


def _is_given(name: str, state: Mapping[str, Any], shared: Mapping[str, int]) -> bool:
    counted = name.rpartition(".")[2] == COUNTER
    return name in state or counted or any(shared.get(other) == shared[name] for other in state)


def _is_lazy(value: Any) -> bool:
    from torch.nn.parameter import is_lazy

    return bool(is_lazy(value))


def _require_shapes(state: Mapping[str, Any], own: Mapping[str, Any], file: str) -> None:
    different = [
        f"{name!r} {tuple(value.shape)}, the network has {tuple(own[name].shape)}"
        for name, value in state.items()
        if name in own and hasattr(value, "shape") and not _is_lazy(own[name]) and value.shape != own[name].shape
    ]
    if different:
        more = f" and {len(different) - 3} more" if len(different) > 3 else ""
        raise ModelError(
            f"model.weights: {file} does not fit the network: {'; '.join(different[:3])}{more}. "
            "Set model.arguments to those that the network was trained with"
        )


def _require_shared(state: Mapping[str, Any], shared: Mapping[str, int], file: str) -> None:
    """Refuse different values for entries that are one in the network: the last would win."""
    first: dict[int, str] = {}
    for name in (name for name in state if name in shared):
        other = first.setdefault(shared[name], name)
        if other != name and not state[name].equal(state[other]):
            raise ModelError(
                f"model.weights: {file} holds different values as {other!r} and {name!r}, which are one in "
                "the network; build the network with separate weights"
            )
