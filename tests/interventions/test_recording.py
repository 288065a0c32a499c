"""Recorded activations and the early stop, against plain forward hooks."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from small_networks import FORMS, STYLES, InPlace, Modules, Reused, build, eager, exported, images, traced
from torch import nn

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions import LayerError, calls, padding_rule, record, run_until, stop_at

Form = Callable[[nn.Module], nn.Module]


def hooked(network: nn.Module, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
    """By plain forward hooks: the output of each call of each module, copied when it returned."""
    found: dict[str, torch.Tensor] = {}
    times: dict[str, int] = {}

    def keep(path: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
            times[path] = times.get(path, 0) + 1
            found[f"{path}:{times[path]}"] = output.detach().clone()

        return hook

    handles = [module.register_forward_hook(keep(path)) for path, module in network.named_modules()]
    with torch.no_grad():
        network(pixels)
    for handle in handles:
        handle.remove()
    return found


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("form", FORMS[:3])
@pytest.mark.parametrize("style", STYLES)
def test_modules_as_forward_hooks_see_them(style: type[nn.Module], form: Form, gradients: bool) -> None:
    network = build(style)
    expected = hooked(network, images())
    form_network = form(network)
    inlined = ("block:", "stem:") if form is traced else ()
    layers = [name for name in expected if not name.startswith(inlined)]
    with torch.set_grad_enabled(gradients), record(form_network, layers) as found:
        logits = form_network(images())
    assert torch.equal(logits, expected[":1"])
    for name in layers:
        assert torch.equal(found[name], expected[name]), name


@pytest.mark.parametrize("form", FORMS[:3])
def test_every_call_by_the_names_of_calls(form: Form) -> None:
    network = form(build(InPlace))
    with record(network) as found:
        network(images())
    listed = calls(network, images())
    assert list(found) == [call.name for call in listed]
    assert [tuple(value.shape) for value in found.values()] == [call.output_shape for call in listed]
    with torch.no_grad():
        first = build(InPlace).first(images())
    assert torch.equal(found["first"], first)  # not what F.relu(inplace=True) made of it
    assert torch.equal(found["/relu:1"], first.relu())


@pytest.mark.parametrize("form", FORMS[:3])
@pytest.mark.parametrize(
    "layer", ["first", "/relu:1", "second:1", "/add:1", "act:1", "second:2", "act:2", "/mul:1", "/relu:2", "head"]
)
def test_recorded_values_lie_in_the_graph(layer: str, form: Form) -> None:
    """The gradient equals that of the rest of the network, computed by a slow run that adds a zero there."""
    network = form(build(InPlace))
    with record(network, [layer]) as found:
        logits = network(images())
    gradient = torch.autograd.grad(logits[:, 0].sum(), found[layer])[0]
    assert torch.equal(logits, build(InPlace)(images()))

    probe = torch.zeros_like(found[layer], requires_grad=True)
    plain = build(InPlace)
    steps: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {}

    def at(name: str, value: torch.Tensor) -> torch.Tensor:
        return value + probe if name == layer else steps.get(name, lambda v: v)(value)

    x = at("/relu:1", F.relu(at("first", plain.first(images()))))
    y = at("/add:1", at("second:1", plain.second(x)) + x)
    y = at("act:2", F.relu(at("second:2", plain.second(at("act:1", F.relu(y))))))
    y = at("/relu:2", F.relu(at("/mul:1", plain.second(y) * 2)))
    answer = at("head", plain.head(F.relu(y - 0.1).mean((2, 3))))
    assert torch.allclose(torch.autograd.grad(answer[:, 0].sum(), probe)[0], gradient, atol=1e-7)


def test_each_pass_replaces_the_values_which_outlive_the_context() -> None:
    network = build(Modules)
    with record(network, ["stem"]) as found:
        network(images(4))
        network(images(3, seed=5))
    assert torch.equal(found["stem"], network.stem(images(3, seed=5)))


@pytest.mark.parametrize("style", STYLES)
def test_values_do_not_depend_on_gradients(style: type[nn.Module]) -> None:
    network = build(style)
    with torch.no_grad(), record(network) as plain:
        network(images())
    with record(network) as found:
        network(images())
    assert all(torch.equal(plain[name], found[name]) for name in plain)


@pytest.mark.parametrize("layer", ["view", "/flatten:1", "view/view:1"])
def test_a_view_that_is_changed_later(layer: str) -> None:
    class View(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.view(-1)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.view = View()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.view(x * 2).flatten().mul_(3)

    for enabled in (True, False):
        pixels = images().requires_grad_()
        network = Network()
        with torch.set_grad_enabled(enabled), record(network, [layer]) as found:
            answer = network(pixels)
        assert torch.equal(answer, images().view(-1) * 2 * 3)
        assert torch.equal(found[layer], images().view(-1) * 2)
        if enabled:
            assert (torch.autograd.grad(answer.sum(), found[layer])[0] == 3).all()


def test_a_layer_that_the_next_pass_leaves_out_has_no_stale_value() -> None:
    class Either(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.relu() if x.shape[0] == 2 else x.sigmoid()

    network = Either()
    with record(network, ["/relu:1"]) as found:
        network(images(2))
        assert found["/relu:1"].shape[0] == 2
        network(images(3))
    with pytest.raises(LayerError, match="was not reached in this forward pass"):
        found["/relu:1"]


def test_a_tuple_of_a_call_keeps_its_first_tensor() -> None:
    class Indices(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            values, indices = F.max_pool2d(x, 2, return_indices=True)
            return F.max_unpool2d(values, indices, 2)

    network, pixels = Indices(), images(size=8)
    with record(network, ["/max_pool2d:1"]) as found:
        answer = network(pixels)
    assert torch.equal(found["/max_pool2d:1"], F.max_pool2d(pixels, 2))
    assert torch.equal(answer, network(pixels))


@pytest.mark.parametrize("form", FORMS[:3])
@pytest.mark.parametrize("layer", ["pad", "conv", "block.conv:2", "block/relu:1", "block/relu:3", "block:1"])
def test_the_early_stop_gives_what_record_gives(layer: str, form: Form) -> None:
    network = form(build(Reused))
    if form is traced and layer.startswith("block") and "conv" not in layer:
        layer = layer.replace("block", "", 1) if "/" in layer else "block.conv:1"
    with record(network, [layer]) as expected:
        network(images())
    assert torch.equal(run_until(network, images(), layer), expected[layer])
    with record(network, [layer]) as found, stop_at(network, layer):
        network(images())
        raise AssertionError("the pass went on")
    assert torch.equal(found[layer], expected[layer])


def test_what_follows_the_layer_is_not_computed() -> None:
    class Counted(nn.Module):
        count = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            Counted.count += 1
            return x * 2

    network = nn.Sequential(*[Counted() for _ in range(5)])
    run_until(network, images(), "2")
    assert Counted.count == 3
    run_until(network, images(), "1/mul:1")
    assert Counted.count == 5


def test_a_stop_inside_a_recording_leaves_the_next_pass_whole() -> None:
    network = build(Reused)
    with record(network, ["conv"]) as found:
        with stop_at(network, "block.conv:2"):
            network(images())
        network(images(3))
    assert len(found["conv"]) == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("block.cnov", r"no layer 'block.cnov'; near names: block.conv"),
        ("block/relu", r"a call is named kind:number, for example block/relu:1"),
        ("block:x", r"no layer 'block:x'"),
        ("zzz", r"interventions.calls\(model, images\) lists the calls"),
    ],
)
def test_a_wrong_name_is_refused_before_the_pass(name: str, message: str) -> None:
    network = build(Reused)
    for context in (lambda: record(network, [name]), lambda: stop_at(network, name)):
        with pytest.raises(LayerError, match=message), context():
            raise AssertionError("entered")
    assert isinstance(LayerError("x"), KeyError)


@pytest.mark.parametrize("form", [eager, exported])
def test_names_that_the_pass_did_not_answer(form: Form) -> None:
    network = form(build(Reused))
    layers = ["block", "block.conv", "block/relu:5", "block:3", "conv"]
    with record(network, layers) as found:
        with pytest.raises(LayerError, match="was not called inside the context"):
            found["conv"]
        network(images())
    for name, message in [
        ("block", "called 2 times in a pass; name one: block:1 … block:2"),
        ("block.conv", "called 4 times"),
        ("block/relu:5", "was not reached in this forward pass; near calls of the pass: block/relu:"),
        ("block:3", "not reached"),
        ("pad", "is not recorded here; recorded: block, block.conv"),
    ]:
        with pytest.raises(LayerError, match=message):
            found[name]
    assert found.get("block") is None and "conv" in found
    with pytest.raises(LayerError, match="was not reached"):
        run_until(network, images(), "block/relu:5")


def test_a_module_under_two_names_answers_to_both() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU())
    network.add_module("again", network[0])
    network.forward = lambda x: network[1](network[0](x))  # type: ignore[method-assign]
    with record(network, ["0", "again"]) as found:
        network(images())
    assert torch.equal(found["0"], found["again"])


def test_a_module_without_a_single_tensor() -> None:
    class Two(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x * 2, x + 1

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.two = Two()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat(self.two(x))

    for network in (Outer(), exported(Outer())):
        with record(network, ["two", "two/mul:1"]) as found:
            network(images())
        assert torch.equal(found["two/mul:1"], images() * 2)
        with pytest.raises(LayerError, match="no single tensor; name one of its calls"):
            found["two"]
    with pytest.raises(LayerError, match="returned no tensor; name a call"):
        run_until(Outer(), images(), "two")


class Dropped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        F.relu(y, inplace=True)
        return y


class Unpacked(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values, _ = F.max_pool2d(x, 2, return_indices=True)
        return values * 2


class ByView(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x - 0.5
        y[:, :1].relu_()
        return y


def test_the_output_of_an_exported_module_is_what_others_read() -> None:
    network = nn.Sequential(Dropped(), Unpacked(), nn.ReLU())
    with record(network, ["0", "1"]) as expected:
        logits = network(images())
    graph = exported(network)
    with record(graph, ["0", "1"]) as found:
        assert torch.equal(graph(images()), logits)
    for layer in ("0", "1"):
        assert torch.equal(found[layer], expected[layer])
        assert torch.equal(run_until(graph, images(), layer), expected[layer])


@pytest.mark.parametrize("form", [eager, exported])
def test_a_change_through_a_view(form: Form) -> None:
    network = form(nn.Sequential(ByView(), nn.Conv2d(3, 1, 1)))
    pixels = images().requires_grad_()
    with record(network, ["0", "0/sub:1", "0/relu:1"]) as found:
        answer = network(pixels)
    assert torch.equal(found["0/sub:1"], pixels - 0.5)
    assert torch.equal(found["0/relu:1"], (pixels - 0.5)[:, :1].relu())
    weight = torch.autograd.grad(answer.sum(), found["0/relu:1"])[0]
    assert torch.allclose(weight, dict(network.named_parameters())["1.weight"][:, :1].expand_as(weight))
    if form is eager:
        assert torch.equal(found["0"], ByView()(pixels))
    else:
        with pytest.raises(LayerError, match="name one of its calls"):
            found["0"]


class Bound(nn.Module):
    """A wrapper that fills batches up for a network bound to two images."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.__dict__["network"] = network
        self._modules = network._modules

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        chunks = [torch.cat([c, c[-1:].expand(2 - len(c), -1, -1, -1)]) for c in x.split(2)]
        return torch.cat([self.network(chunk) for chunk in chunks])[: len(x)]


def test_a_network_bound_to_its_batch_size() -> None:
    network, plain = Bound(exported(build(InPlace))), build(InPlace)
    with record(network, ["second:2"]) as found, record(plain, ["second:2"]) as expected:
        network(images())
        plain(images())
        assert torch.equal(found["second:2"], expected["second:2"])
        for n in (1, 3, 4):
            with pytest.raises(UnsupportedError, match=f"batches of 2 images only, and {n} were given"):
                network(images(n))


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("form", [eager, exported])
def test_the_calls_of_a_bound_network_are_listed_once(form: Form, n: int) -> None:
    listed = calls(Bound(form(build(InPlace))), images(n))
    inside = [call for call in listed if call.kind not in ("getitem", "expand", "cat", "split")]
    assert [call.name for call in inside] == [call.name for call in calls(build(InPlace), images(2))]
    assert {call.output_shape[0] for call in inside} == {2}


@pytest.mark.parametrize("form", [eager, exported])
def test_a_rule_reaches_every_chunk_of_a_bound_network(form: Form) -> None:
    network, plain = Bound(form(build(InPlace))), build(InPlace)
    layers = ["first", "second:2"]
    with torch.no_grad(), padding_rule("replicate", model=network, layers=layers):
        found = network(images(5))
    with torch.no_grad(), padding_rule("replicate", model=plain, layers=layers):
        assert torch.allclose(found, plain(images(5)), atol=1e-6)


def test_the_empty_name_is_the_wrapper_and_not_its_network() -> None:
    class Doubled(Bound):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.network(x) * 2

    network = Doubled(build(InPlace))
    with record(network, [""]) as found:
        logits = network(images())
    assert torch.equal(found[""], logits)
    assert torch.equal(run_until(network, images(), ""), logits)


def state(network: nn.Module) -> tuple[object, ...]:
    modules = list(network.modules())
    return (
        [value.clone() for value in network.state_dict().values()],
        [(len(m._forward_hooks), len(m._forward_pre_hooks), len(m._forward_hooks_always_called)) for m in modules],
        [m.training for m in modules],
        [p.grad for p in network.parameters()],
        [p.requires_grad for p in network.parameters()],
        torch.get_rng_state(),
        torch.overrides._get_current_function_mode_stack(),
    )


@contextlib.contextmanager
def untouched(network: nn.Module) -> Iterator[None]:
    before = state(network)
    yield
    after = state(network)
    for a, b in zip(before, after):
        assert all(torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y for x, y in zip(a, b))  # type: ignore[call-overload]
        assert len(a) == len(b)  # type: ignore[arg-type]


@pytest.mark.parametrize("fails", [None, "outside", "inside"])
def test_everything_is_as_before(fails: str | None) -> None:
    network = build(Modules)
    for context in (
        lambda: record(network, ["stem", "head"]),
        lambda: record(network),
        lambda: stop_at(network, "point"),
        lambda: padding_rule("noise", model=network),
    ):
        with untouched(network), contextlib.suppress(ZeroDivisionError, RuntimeError), context():
            if fails == "inside":
                network(torch.ones(1, 7, 9, 9))  # seven channels: the first convolution raises
            network(images())
            if fails == "outside":
                raise ZeroDivisionError
    with untouched(network):
        calls(network, images())
        run_until(network, images(), "grouped")


def test_a_pass_that_failed_leaves_no_trace_in_the_next_one() -> None:
    network = build(Modules)
    with record(network, ["stem.0", "/mean:1"]) as found:
        with pytest.raises(RuntimeError):
            network(torch.ones(1, 7, 9, 9))
        network(images())
    assert torch.equal(found["stem.0"], network.stem[0](images()))
    assert found["/mean:1"].shape == (2, 4)


def test_a_pass_that_was_interrupted_leaves_no_trace_in_the_next_one() -> None:
    class Interrupted(nn.Module):
        calm = False

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if not self.calm:
                raise KeyboardInterrupt
            return x

    network = nn.Sequential(nn.ReLU(), Interrupted())
    with record(network, ["0"]) as found:
        with pytest.raises(KeyboardInterrupt):
            network(images())
        network[1].calm = True
        network(images(3))
    assert len(found["0"]) == 3


def test_threads_do_not_disturb_one_another() -> None:
    class Meeting(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            together.wait(timeout=30)  # every thread is in the middle of its pass
            return x

    network, together, done = (
        nn.Sequential(nn.Conv2d(3, 2, 1), Meeting(), nn.ReLU(), Meeting()),
        threading.Barrier(3),
        [],
    )

    def work(seed: int) -> None:
        pixels = images(seed=seed)
        with torch.no_grad(), record(network, ["0", "2"]) as found:
            together.wait(timeout=30)  # every thread has its hooks on the model
            network(pixels)
            together.wait(timeout=30)
        with torch.no_grad():
            done.append(torch.equal(found["2"], network[0](pixels).relu()))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [True] * 3
    assert not network[0]._forward_hooks
