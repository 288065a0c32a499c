"""Feature maps, strongest pixels, top images, active filters and effects, against direct computations."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from cnnaudit import activation
from cnnaudit.core.errors import DataError, ModelError, UnsupportedError
from cnnaudit.interventions import LayerError
from cnnaudit.models import lenet

IMAGES = torch.rand(7, 1, 28, 28, generator=torch.Generator().manual_seed(1))


class InPlace(nn.Module):
    """Functional and in-place calls, a reused module, a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.again = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.drop, self.norm = nn.Dropout(0.5), nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(F.relu(self.conv(x), inplace=True))
        y = self.act(self.again(x))
        y = self.act(self.again(y))
        y += x
        return self.drop(F.relu_(y).mean((2, 3)))


def direct(model: InPlace, x: torch.Tensor) -> dict[str, torch.Tensor]:
    first = model.conv(x)
    normed = F.batch_norm(
        first.relu(), model.norm.running_mean, model.norm.running_var, model.norm.weight, model.norm.bias
    )
    one = model.again(normed).relu()
    two = model.again(one)
    return {"conv": first, "norm": normed, "act:1": one, "again:2": two, "/relu:2": (two.relu() + normed).relu()}


@pytest.mark.parametrize("size", [1, 3, 50])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_maps_are_what_each_layer_answered_whatever_changes_them_later(size, dtype):
    torch.manual_seed(0)
    model = InPlace().to(dtype).eval()
    expected = direct(model, IMAGES.to(dtype))
    maps = activation.feature_maps(model, IMAGES.to(dtype), list(expected), batch_size=size)
    for name, value in expected.items():
        torch.testing.assert_close(maps[name], value)
        assert not maps[name].requires_grad
        single = activation.feature_maps(model, IMAGES.to(dtype), [name], batch_size=size)
        torch.testing.assert_close(single[name], value)


def test_every_layer_with_maps_in_the_order_of_the_pass():
    maps = activation.feature_maps(lenet(), IMAGES[:2])
    assert list(maps) == ["conv1", "relu1", "pool1", "conv2", "relu2", "pool2"]
    everything = activation.feature_maps(InPlace().eval(), IMAGES[:1])
    assert {"conv", "norm", "again:1", "again:2", "act:1", "act:2"} <= set(everything)
    assert torch.equal(maps["relu1"], maps["conv1"].relu())


def test_the_model_is_left_as_it_was_in_training_mode_too_and_after_an_error():
    model = InPlace().train()
    model.norm.eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    activation.feature_maps(model, IMAGES, ["again:2"])
    with pytest.raises(LayerError, match="called 2 times in a pass; name one"):
        activation.feature_maps(model, IMAGES, ["again"])
    with pytest.raises(UnsupportedError, match="mean:1' is not spatial: its output has the shape"):
        activation.maximum_activation(model, IMAGES, "/mean:1")
    assert model.training and model.drop.training and not model.norm.training
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_exported_and_traced_models_have_the_same_maps():
    model = lenet(filters=(4,), hidden=8).eval()
    expected = activation.feature_maps(model, IMAGES)["pool1"]
    traced = torch.fx.symbolic_trace(model)
    exported = torch.export.export(model, (IMAGES[:3],)).module()
    exported.batch = 3  # as the models of a target say
    for other in (traced, exported):
        torch.testing.assert_close(activation.feature_maps(other, IMAGES, ["pool1"])["pool1"], expected)


@pytest.mark.parametrize(
    ("images", "layer", "error", "text"),
    [
        (IMAGES, "hidden", UnsupportedError, r"'hidden' is not spatial.*expected \(N, C, H, W\).*'conv1', 'relu1'"),
        (
            IMAGES[..., :20, :20],
            "output",
            ModelError,
            "cannot take images of torch.float32 .*20, 20.*: RuntimeError: .*mat1",
        ),
        (IMAGES.double(), "conv1", ModelError, "cannot take images of torch.float64"),
        (IMAGES, "conv9", LayerError, "no layer 'conv9'; near names: conv"),
        (IMAGES, "pool1/relu:1", LayerError, "not reached.*near calls of the pass: .*relu"),
        (IMAGES[0], "conv1", DataError, r"expected a floating-point tensor \(N, C, H, W\)"),
        (IMAGES[:0], "conv1", DataError, r"expected a floating-point tensor \(N, C, H, W\)"),
        (IMAGES.to(torch.uint8), "conv1", DataError, "uint8"),
        (IMAGES.clone().index_fill_(0, torch.tensor([2]), torch.nan), "conv1", DataError, "NaN"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_the_reason(images, layer, error, text):
    for ask in (
        lambda: activation.feature_maps(lenet(), images, [layer]),
        lambda: activation.maximum_activation(lenet(), images, layer),
        lambda: activation.active_filters(lenet(), images, layer),
    ):
        with pytest.raises(error, match=text):
            ask()


def test_half_precision_and_the_batch_that_halves():
    model = lenet().eval()
    maps = activation.feature_maps(model, IMAGES, ["relu1"])["relu1"]
    found = activation.feature_maps(lenet().to(torch.bfloat16).eval(), IMAGES.bfloat16(), ["relu1"])["relu1"]
    assert found.dtype == torch.bfloat16 and activation.feature_map_grid(found[0])[1:4] == b"PNG"

    def small(module, inputs):
        if len(inputs[0]) > 2:
            raise RuntimeError("CUDA out of memory")

    model.register_forward_pre_hook(small)
    with pytest.warns(RuntimeWarning, match="memory ran out: continued in batches of 1"):
        torch.testing.assert_close(activation.feature_maps(model, IMAGES, ["relu1"])["relu1"], maps)


def test_a_model_without_maps_and_one_without_a_convolution():
    with pytest.raises(UnsupportedError, match="no layer with maps"):
        activation.feature_maps(nn.Sequential(nn.Flatten(), nn.Linear(784, 2)), IMAGES)


def test_the_strongest_pixel_is_the_first_of_the_largest():
    model = lenet().eval()
    maps = activation.feature_maps(model, IMAGES, ["relu2"])["relu2"]
    found = activation.maximum_activation(model, IMAGES, "relu2")
    for n in range(len(IMAGES)):
        for unit in range(maps.shape[1]):
            plane = maps[n, unit]
            row, column = divmod(int(plane.flatten().numpy().argmax()), plane.shape[1])
            assert (int(found.rows[n, unit]), int(found.columns[n, unit])) == (row, column)
            assert float(found.values[n, unit]) == float(plane.max())


def test_top_images_are_sorted_and_their_patches_alone_make_the_value():
    torch.manual_seed(3)
    model = lenet().eval()
    maps = activation.feature_maps(model, IMAGES, ["conv2"])["conv2"]
    best = activation.top_images(model, IMAGES, "conv2", unit=5, k=4)
    order = maps[:, 5].flatten(1).max(1).values.numpy().argsort()[::-1][:4]
    assert [top.index for top in best] == order.tolist()
    for top in best:
        assert top.patch.shape == (1, 8, 8)
        torch.testing.assert_close(model[:4](top.patch[None])[0, 5, 0, 0], torch.tensor(top.value))  # conv2 of it alone
    assert len(activation.top_images(model, IMAGES, "conv2", unit=5, k=99)) == len(IMAGES)
    with pytest.raises(UnsupportedError, match=r"units 0\.\.31, got 32"):
        activation.top_images(model, IMAGES, "conv2", unit=32)


def test_active_filters_follow_the_definition():
    model = lenet().eval()
    labels = np.array([0, 0, 0, 2, 2, 2, 2])
    maps = activation.feature_maps(model, IMAGES, ["relu1"])["relu1"].double().numpy()
    found = activation.active_filters(model, IMAGES, "relu1", batch_size=2)
    for n in range(len(IMAGES)):
        norms = [np.sqrt((plane**2).sum()) for plane in maps[n]]
        np.testing.assert_allclose(found.norms[n], norms, rtol=1e-6, atol=1e-6)  # of batches of another size
        assert found.active[n].tolist() == [norm > sum(norms) / len(norms) for norm in norms]
    shares = found.share_by_class(labels, 3)
    np.testing.assert_allclose(shares[0], found.active[:3].mean(0))
    assert np.isnan(shares[1]).all()
    np.testing.assert_allclose((3 * shares[0] + 4 * shares[2]) / 7, found.share())
    assert set(found.never) == {c for c in range(32) if not found.active[:, c].any()}
    assert set(found.always) == {c for c in range(32) if found.active[:, c].all()}


def test_maps_averaged_over_a_grid():
    from cnnaudit.activation._active_filters import filter_responses

    model = lenet().eval()
    found, pooled = filter_responses(model, IMAGES, "pool1", grid=13)
    maps = activation.feature_maps(model, IMAGES, ["pool1"])["pool1"]
    np.testing.assert_allclose(pooled, maps.flatten(2).numpy(), rtol=1e-6)
    assert filter_responses(model, IMAGES, "pool1", grid=99)[1].shape == (7, 32, 169)
    np.testing.assert_allclose(found.norms, activation.active_filters(model, IMAGES, "pool1").norms)


def test_the_first_response():
    from cnnaudit.activation.layers import first_response

    assert first_response(lenet(), IMAGES) == "relu1"
    assert first_response(InPlace().eval(), IMAGES) == "/relu:1"
    linear = nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.Conv2d(2, 2, 3), nn.ReLU())
    assert first_response(linear, IMAGES) == "0"
    with pytest.raises(UnsupportedError, match="no 2-d convolution"):
        first_response(nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)), IMAGES)


def test_effects_of_single_operations_come_from_the_seed_alone():
    image = torch.rand(3, 10, 12)
    state = torch.get_rng_state()
    found = activation.effects(image, filters=2, kernel=5, pool=3, seed=4)
    assert torch.equal(state, torch.get_rng_state())
    weights = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(4)) * (2 / 75) ** 0.5
    slow = torch.zeros(2, 6, 8)
    for unit in range(2):
        for row in range(6):
            for column in range(8):
                slow[unit, row, column] = (image[:, row : row + 5, column : column + 5] * weights[unit]).sum()
    torch.testing.assert_close(found["convolution"], slow)
    assert torch.equal(found["ReLU"], found["convolution"].clamp(min=0))
    assert float(found["max pooling"][1, 1, 1]) == float(found["convolution"][1, 3:6, 3:6].max())
    with pytest.raises(UnsupportedError, match="need an image of at least 7 pixels a side"):
        activation.effects(torch.rand(1, 6, 9), kernel=5, pool=3)
