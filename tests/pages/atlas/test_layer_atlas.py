"""An atlas: what is kept, what is found in the data, what an interruption costs, and bad input."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from cnnaudit.activation import Box
from cnnaudit.core.errors import AuditError, DataError, ModelError, UnsupportedError
from cnnaudit.interventions import LayerError
from cnnaudit.pages.atlas import Plan, Settings, atlas, exemplars, layers, optima, over_training
from cnnaudit.pages.atlas.store import Store
from cnnaudit.target import AuditTarget


def network(seed: int = 0, channels: int = 1) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(channels, 5, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 6, 3), nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3),
        ).eval()  # fmt: skip


IMAGES = torch.rand(30, 1, 20, 20, generator=torch.Generator().manual_seed(1))
SETTINGS = Settings((1, 20, 20), steps=3)


def target(model=None, **settings):
    split = {"validation": (IMAGES, torch.arange(30) % 3)}
    return AuditTarget.from_arrays("net", model or network(), split, ("a", "b", "c"), **settings)


def same(a, b):
    return a.layer == b.layer and a.units == b.units and np.array_equal(a.maximum.images, b.maximum.images)


@pytest.mark.parametrize("goal", ["unit", "channel"])
@pytest.mark.parametrize("direction, sign", [("maximum", 1), ("minimum", -1)])
def test_heights_are_those_of_the_kept_images_in_8_bits(goal, direction, sign):
    net, units = network(), [0, 3, 5]
    found = optima(net, "3", units, direction, Settings((1, 20, 20), goal, steps=40))
    with torch.no_grad():
        maps = net[:4](torch.as_tensor(found.images) / 255)
    values = maps.mean((2, 3)) if goal == "channel" else maps[:, :, 3, 3]
    assert np.allclose(found.height, [float(values[k, unit]) for k, unit in enumerate(units)], atol=1e-5)
    assert (sign * found.height > sign * found.start).all()
    assert found.of([5, 0]).units.tolist() == [5, 0]
    with pytest.raises(AuditError, match="unit 1"):
        found.of([1])


@pytest.mark.parametrize("goal", ["unit", "channel"])
def test_exemplars_are_the_outermost_images_of_each_unit(goal):
    net = network()
    found = exemplars(net, IMAGES, ["0", "3"], k=4, goal=goal, batch_size=7)
    for name, part in (("0", net[:1]), ("3", net[:4])):
        with torch.no_grad():
            maps = part(IMAGES)
        for sign, side in ((1, "high"), (-1, "low")):
            extreme = maps.amax((2, 3)) if sign == 1 else maps.amin((2, 3))
            values = maps.mean((2, 3)) if goal == "channel" else extreme
            for unit in range(maps.shape[1]):
                order = sorted(range(len(IMAGES)), key=lambda k, v=values[:, unit], s=sign: (-s * float(v[k]), k))[:4]
                assert getattr(found[name], f"{side}_images")[unit].tolist() == order
                assert np.allclose(getattr(found[name], side)[unit], values[order, unit], atol=1e-6)
                for image, (row, column) in zip(order, getattr(found[name], f"{side}_places")[unit]):
                    assert maps[image, unit, row, column] == extreme[image, unit]


def test_an_atlas_holds_all_units_and_no_minimum_after_a_relu(tmp_path):
    before, after = atlas(target(), Plan(("0", "1"), SETTINGS, batch_size=2), tmp_path)
    assert before.units == after.units == (0, 1, 2, 3, 4) and before.total == 5
    assert before.minimum is not None and after.minimum is None and (before.before, after.before) == ("", "0")
    assert before.fields.box((3, 4), 0).size == (5, 5)
    assert before.middle == Box(8, 8, 13, 13)


def test_units_are_all_some_or_named(tmp_path):
    def units(asked):
        return next(atlas(target(), Plan(("3",), SETTINGS, asked), tmp_path)).units

    assert units(3) == (0, 2, 5) and units((4, 1, 1)) == (1, 4) and units(99) == tuple(range(6))
    with pytest.raises(AuditError, match=r"units 0..5, got 6"):
        units((6,))


def test_an_interrupted_atlas_loses_one_batch_and_comes_out_the_same(tmp_path, monkeypatch):
    plan = Plan(("0", "3"), SETTINGS, batch_size=2)
    whole = list(atlas(target(), plan, tmp_path / "whole"))
    calls = []

    def interrupted(model, layer, units, direction, settings, natural):
        calls.append((layer, direction, tuple(units)))
        if len(calls) == 8:
            raise KeyboardInterrupt
        return optima(model, layer, units, direction, settings, natural)

    monkeypatch.setattr(layers, "optima", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(atlas(target(), plan, tmp_path / "cut"))
    assert not list((tmp_path / "cut").rglob("*.part")) and not list((tmp_path / "cut").rglob(".*"))
    resumed = sorted(atlas(target(), plan, tmp_path / "cut"), key=lambda found: found.layer)
    assert len(calls) == 13 and len(set(calls)) == 12  # one batch was begun twice
    assert all(same(a, b) for a, b in zip(whole, resumed))
    list(atlas(target(), plan, tmp_path / "cut"))
    assert len(calls) == 13
    list(atlas(target(network(seed=1)), plan, tmp_path / "cut"))
    assert len(calls) == 25  # other weights, other images


def test_a_damaged_file_is_made_again(tmp_path):
    plan = Plan(("3",), SETTINGS, batch_size=3)
    (first,) = atlas(target(), plan, tmp_path)
    for path in tmp_path.rglob("*.npz"):
        path.write_bytes(path.read_bytes()[:100])
    (again,) = atlas(target(), plan, tmp_path)
    assert same(first, again)


@pytest.mark.parametrize("place", [0.3, 0.5, 0.7])
def test_damage_inside_a_file_is_made_again(tmp_path, place):
    plan = Plan(("3",), SETTINGS, batch_size=3)
    (first,) = atlas(target(), plan, tmp_path)
    for path in tmp_path.rglob("*.npz"):
        content = bytearray(path.read_bytes())
        at = int(place * len(content))
        content[at : at + 40] = bytes(40)
        path.write_bytes(bytes(content))
    (again,) = atlas(target(), plan, tmp_path)
    assert same(first, again)


def test_processes_do_not_change_the_images(tmp_path):
    alone, shared = (
        list(atlas(target(), Plan(("3",), SETTINGS, batch_size=3, jobs=jobs), tmp_path / str(jobs))) for jobs in (1, 2)
    )
    assert np.abs(alone[0].maximum.images.astype(int) - shared[0].maximum.images).max() <= 1


def test_a_unit_that_never_fires_is_dead_in_the_atlas(tmp_path):
    net = network()
    with torch.no_grad():
        net[0].bias += 0.5
        net[0].bias[2] = -100
    (found,) = atlas(target(net), Plan(("1",), SETTINGS), tmp_path)
    assert found.maximum.dead.tolist() == [False, False, True, False, False]


@pytest.mark.parametrize("goal", ["unit", "channel"])
def test_a_unit_that_only_an_image_of_the_data_wakes_starts_from_it(tmp_path, goal):
    net, image = network(), torch.full((3, 1, 20, 20), 0.1)
    image[1, :, 4:] = 0.9
    with torch.no_grad():
        net[0].weight[0] = torch.linspace(-1, 1, 5)[:, None]  # an edge that no noise has
        net[0].bias[0] = -5.5
    settings = Settings((1, 20, 20), goal, "none", steps=6)
    alone = optima(net, "1", [0], "maximum", settings)
    assert alone.dead.all() and alone.height == 0
    edges = AuditTarget.from_arrays("edges", net, {"validation": (image, [0, 1, 2])}, ("a", "b", "c"))
    (woken,) = atlas(edges, Plan(("1",), settings, (0,)), tmp_path)
    assert woken.maximum.height > woken.maximum.start > 0


def test_color_models_and_another_size(tmp_path):
    images = torch.rand(6, 3, 24, 24)
    colors = AuditTarget.from_arrays("c", network(channels=3), {"train": (images, [0, 1, 2] * 2)}, ("a", "b", "c"))
    (found,) = atlas(colors, Plan(("3",), Settings((3, 40, 40), steps=3)), tmp_path)
    assert found.maximum.images.shape == (6, 3, 40, 40) and found.split == "train"


@pytest.mark.parametrize(
    "names, size, kind, said",
    [
        (("nowhere",), 20, LayerError, "no layer"),
        (("7",), 20, UnsupportedError, "not spatial"),
        (("3",), 5, ModelError, "rejects images of 5 x 5"),
    ],
)
def test_bad_input_is_told_before_any_work(tmp_path, names, size, kind, said):
    with pytest.raises(kind, match=said):
        list(atlas(target(), Plan(names, Settings((1, size, size), steps=3)), tmp_path))
    assert not list(tmp_path.rglob("*.npz"))


def test_hidden_models_recipes_and_targets_without_images_are_told(tmp_path):
    plan = Plan(("3",), SETTINGS)
    with pytest.raises(UnsupportedError, match="ONNX"):
        list(atlas(target(inside=False, inside_reason="an ONNX model"), plan, tmp_path))
    with pytest.raises(AuditError, match="recipe"):
        list(atlas(target(), Plan(("3",), Settings((1, 20, 20), recipe="magic")), tmp_path))
    bare = AuditTarget("bare", network(), ("a",), target().input, {})
    with pytest.raises(DataError, match="validation"):
        list(atlas(bare, plan, tmp_path))


def test_a_store_tells_settings_apart(tmp_path):
    found = optima(network(), "3", [2], "maximum", SETTINGS)
    Store(tmp_path, "a/b:1", "x").add("maximum", found)
    assert Store(tmp_path, "a/b:1", "x").optima("maximum").units.tolist() == [2]
    assert Store(tmp_path, "a/b:1", "y").optima("maximum") is Store(tmp_path, "a:b/1", "x").optima("maximum") is None


def test_snapshots_follow_the_weights_and_leave_the_model(tmp_path):
    net, other = network(), network(seed=1)
    before = copy.deepcopy(net.state_dict())
    states = {"start": other.state_dict(), "end": net.state_dict()}
    found = over_training(net, "3", [1, 4, 5], states, SETTINGS, batch_size=2)
    assert found.names == ("start", "end") and found.optima[1].units.tolist() == [1, 4, 5]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    for model, part in ((other, found.optima[0]), (net, found.optima[1])):
        assert np.array_equal(part.images[:2], optima(model, "3", [1, 4], "maximum", SETTINGS).images)
    with pytest.raises(AuditError, match="no checkpoint"):
        over_training(net, "3", [1], {}, SETTINGS)
    with pytest.raises(ModelError, match="checkpoint wrong"):
        over_training(net, "3", [1], {"wrong": {}}, SETTINGS)
