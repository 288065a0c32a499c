"""Remove the parameters of a small network one after the other, the least missed first."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import torch
from torch import nn

from cnnaudit.studies.thesis import Split
from cnnaudit.training import fit

State = dict[str, torch.Tensor]
Place = tuple[str, int]  # a parameter: the name of its tensor, and its position in the flattened tensor
CHUNK = 24  # variants of a network evaluated at once
ROUNDING = 1e-9  # of accuracies, which are shares of a few thousand images
ALLOWED = (0.01, 0.002)  # of accuracy, lost before the rest is trained on: this much, else that much
ROUNDS = 4  # of pruning and training on
NEAR = 0.05  # of accuracy: parameters that were worse than this when removed alone are not asked again


@dataclass(frozen=True)
class Step:
    """Parameters removed together: what is left, the network without them, and its accuracy on the training images."""

    removed: tuple[Place, ...]
    remaining: int
    accuracy: float
    state: State


class Network:
    """A `Sequential` with its parameters, what reaches each of its layers, and its accuracy on some images."""

    def __init__(self, model: nn.Sequential, state: State, data: Split, known: Sequence[torch.Tensor] = ()) -> None:
        self.model, self.state, self.data = model, state, data
        self.layers = [name for name, _ in model.named_children()]
        self.inputs = [*known] or [data[0]]
        with torch.no_grad():
            for k in range(len(self.inputs) - 1, len(model)):
                self.inputs.append(torch.func.functional_call(model[k], self._of(k), (self.inputs[k],)))
        self.accuracy = float((self.inputs[-1].argmax(1) == data[1]).double().mean())

    def without(self, places: Sequence[Place]) -> Network:
        """The network with those parameters set to zero; what they do not reach is not computed again."""
        state = dict(self.state)
        for name, members in groupby(sorted(places), key=lambda place: place[0]):
            state[name] = state[name].clone()
            state[name].view(-1)[[k for _, k in members]] = 0
        first = min((self._layer(name) for name, _ in places), default=len(self.layers))
        return Network(self.model, state, self.data, self.inputs[: first + 1])

    def accuracies_without(self, places: Sequence[Place]) -> dict[Place, float]:
        """The accuracy after setting each of those parameters, alone, to zero; many variants are computed at once."""
        found: dict[Place, float] = {}
        for name, members in groupby(sorted(places), key=lambda place: place[0]):
            k = self._layer(name)
            of_layer = partial(_call, self.model[k], name.partition(".")[2], self._of(k), self.inputs[k])
            positions = [position for _, position in members]
            for start in range(0, len(positions), CHUNK):
                part = positions[start : start + CHUNK]
                variants = self.state[name].repeat(len(part), *[1] * self.state[name].ndim)
                variants.flatten(1)[range(len(part)), part] = 0
                with torch.no_grad():
                    maps = torch.func.vmap(of_layer)(variants)
                    logits = torch.func.vmap(partial(self._rest, k + 1))(maps)
                shares = (logits.argmax(-1) == self.data[1]).double().mean(1)
                found |= {(name, place): share for place, share in zip(part, shares.tolist())}
        return found

    def _rest(self, first: int, inputs: torch.Tensor) -> torch.Tensor:
        """The logits, from what reaches a layer."""
        for k in range(first, len(self.model)):
            inputs = torch.func.functional_call(self.model[k], self._of(k), (inputs,))
        return inputs

    def _layer(self, name: str) -> int:
        """The position of a parameter's layer."""
        return self.layers.index(name.partition(".")[0])

    def _of(self, k: int) -> State:
        """The parameters of a layer, by their names there."""
        prefix = f"{self.layers[k]}."
        return {name.removeprefix(prefix): value for name, value in self.state.items() if name.startswith(prefix)}


def prune(model: nn.Sequential, data: Split, lost: float = 0.1) -> Iterator[Step]:
    """Remove parameters, greedily, until more than `lost` of the accuracy is gone; the first step removes nothing.

    In each round every remaining parameter is set to zero alone. Of those that cost nothing (against the accuracy that
    the pruning has been forced down to so far, at first that of the whole network) half go together if that costs
    nothing either, else a quarter, ..., at least one; the smallest go first. Where each costs something, the one that
    costs least goes. A parameter that alone cost a twentieth of all answers is not asked again while others cost less.
    Parameters that are zero from the beginning are not counted.

    Args:
        model: logits (N, K) from images; not changed.
        data: images (N, C, H, W) and labels (N,).

    Source: Y. LeCun, J. Denker and S. Solla, Optimal brain damage, 1990, for the idea; here the loss is not estimated
    but measured.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
        >>> with torch.no_grad(): _ = net[1].weight.copy_(torch.tensor([[1.0, 0.0], [0.5, 1.0]]))
        >>> steps = list(prune(net, (torch.eye(2).reshape(2, 1, 1, 2), torch.tensor([0, 1])), lost=1))
        >>> [(step.remaining, step.accuracy) for step in steps]
        [(3, 1.0), (2, 1.0), (1, 1.0), (0, 0.5)]
    """
    state = {name: value.detach().clone() for name, value in model.named_parameters()}
    left = [(name, int(k)) for name, value in state.items() for k in value.flatten().nonzero().flatten()]
    network = Network(model, state, data)
    whole = bar = network.accuracy
    alone = dict.fromkeys(left, 1.0)
    yield Step((), len(left), bar, state)
    while left and bar >= whole - lost:
        asked = [place for place in left if alone[place] >= bar - NEAR] or left
        alone |= network.accuracies_without(asked)
        bar = min(bar, max(alone[place] for place in asked))
        harmless = [place for place in asked if alone[place] >= bar - ROUNDING]
        harmless.sort(key=lambda place: float(network.state[place[0]].view(-1)[place[1]].abs()))
        count = max(1, len(harmless) // 2)
        smaller = network.without(harmless[:count])
        while smaller.accuracy < bar - ROUNDING and count > 1:
            count //= 2
            smaller = network.without(harmless[:count])
        network, removed = smaller, set(harmless[:count])
        left = [place for place in left if place not in removed]
        yield Step(tuple(harmless[:count]), len(left), network.accuracy, network.state)


def at_no_loss(steps: Sequence[Step], loss: float = 0.0) -> int:
    """The position of the last step that has lost at most so much of the first one's accuracy."""
    return max(k for k, step in enumerate(steps) if step.accuracy >= steps[0].accuracy - loss - ROUNDING)


def compress(model: nn.Sequential, steps: Sequence[Step], data: Split, epochs: int, seed: int = 0) -> Iterator[Step]:
    """Prune a little too much, train the rest on, and so on as long as the first accuracy comes back.

    Args:
        steps: what `prune` gave for the network.
        epochs: of each training of the rest.

    Yields:
        Smaller and smaller networks that are as accurate on the data as the whole one.
    """
    allowed = list(ALLOWED)
    smallest, whole = steps[at_no_loss(steps)].remaining, steps[0].accuracy
    for _ in range(ROUNDS):
        while allowed:
            end = steps[at_no_loss(steps, allowed[0])]
            if end.remaining < smallest:
                network = tuned(model, end, data, epochs, seed)
                found = Network(network, {name: value.detach() for name, value in network.named_parameters()}, data)
                if found.accuracy >= whole - ROUNDING:
                    break
            allowed.pop(0)  # what could not be won back once is not tried again
        else:
            return
        smallest = end.remaining
        yield Step((), smallest, found.accuracy, found.state)
        steps = list(prune(network, data, max(allowed)))


def tuned(model: nn.Sequential, step: Step, data: Split, epochs: int, seed: int = 0) -> nn.Sequential:
    """A copy of the network without the step's parameters, the others trained on; those removed stay zero."""
    from torch.nn.utils import prune as masks

    copied = copy.deepcopy(model)
    copied.load_state_dict(step.state, strict=False)
    tensors = [(copied.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2]) for name in step.state]
    for (module, attribute), value in zip(tensors, step.state.values()):
        masks.custom_from_mask(module, attribute, (value != 0).to(value))  # type: ignore[no-untyped-call]
    fit(copied, data, epochs=epochs, seed=seed, initialize=False)
    for module, attribute in tensors:
        masks.remove(module, attribute)  # type: ignore[no-untyped-call]
    return copied


def _call(layer: nn.Module, name: str, state: State, inputs: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """What a layer answers with another value of one of its parameters."""
    answer: torch.Tensor = torch.func.functional_call(layer, {**state, name: value}, (inputs,))
    return answer
