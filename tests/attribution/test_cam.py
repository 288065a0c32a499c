"""Class activation maps against their definitions, closed forms and the peers."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from cam_networks import pixels, shortcut
from torch import nn

from cnnaudit.attribution import cam, grad_cam, guided_backpropagation, guided_grad_cam, last_feature_maps
from cnnaudit.attribution.methods import METHODS
from cnnaudit.core.errors import AuditError, DataError, UnsupportedError
from cnnaudit.interventions import LayerError


def defined(network: nn.Module, images: torch.Tensor, k: int, layer: str) -> torch.Tensor:
    """Grad-CAM of `Shortcut` by its definition, one image and one channel at a time."""
    maps = []
    for image in images:
        first = network.a(image[None])
        planes = (first if layer == "a" else network.b(first.relu())).detach().requires_grad_()
        inner = network.b(planes.relu()) + planes.relu() if layer == "a" else planes + first.relu()
        logit = network.fc(inner.relu().mean((2, 3)))[0, k]
        (slope,) = torch.autograd.grad(logit, planes)
        total = torch.zeros(planes.shape[2:])
        for channel in range(planes.shape[1]):
            total += slope[0, channel].sum() / slope[0, channel].numel() * planes[0, channel].detach()
        maps.append(total.clamp(min=0))
    return torch.stack(maps)


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize("layer", ["a", "b"])
def test_grad_cam_is_its_definition(layer: str, functional: bool, in_place: bool) -> None:
    network, images = shortcut(in_place, functional), pixels()
    assert torch.allclose(grad_cam(network, images, 1, layer=layer), defined(network, images, 1, layer), atol=1e-7)


@pytest.mark.filterwarnings("ignore:grad_cam")
@pytest.mark.parametrize("layer", ["a", "b"])
def test_in_place_calls_change_what_pytorch_grad_cam_answers_and_not_ours(layer: str) -> None:
    peer = pytest.importorskip("pytorch_grad_cam")
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    images = pixels()

    def theirs(network: nn.Module) -> torch.Tensor:
        with peer.GradCAM(network, [getattr(network, layer)]) as method:
            return torch.as_tensor(method(images.clone(), [ClassifierOutputTarget(1)] * 2))

    def scaled(maps: torch.Tensor) -> torch.Tensor:
        maps = maps - maps.amin((1, 2), keepdim=True)
        return maps / (1e-7 + maps.amax((1, 2), keepdim=True))

    plain, in_place = shortcut(False), shortcut(True)
    assert plain(images).equal(in_place(images))
    ours = grad_cam(plain, images, 1, layer=layer)
    assert ours.equal(grad_cam(in_place, images, 1, layer=layer))
    assert torch.allclose(theirs(plain), scaled(ours), atol=1e-3)
    assert (theirs(in_place) - scaled(ours)).abs().max() > 0.1  # it reads the activation after it was changed


def test_grad_cam_is_captums() -> None:
    captum = pytest.importorskip("captum.attr")
    network, images = shortcut(True), pixels()
    theirs = captum.LayerGradCam(network, network.b).attribute(images, 1, relu_attributions=True)[:, 0]
    assert torch.allclose(grad_cam(network, images, 1, layer="b"), theirs.detach(), atol=1e-7)


def test_functional_relus_change_what_captum_answers_and_not_ours() -> None:
    captum = pytest.importorskip("captum.attr")
    images = pixels()
    modules, functional = shortcut(False, functional=False), shortcut(False, functional=True)

    def theirs(network: nn.Module) -> torch.Tensor:
        method = captum.GuidedGradCam(network, network.b)
        return method.attribute(images.clone().requires_grad_(), 1, interpolate_mode="bilinear").detach()

    ours = guided_grad_cam(modules, images, 1, layer="b")
    assert ours.equal(guided_grad_cam(functional, images, 1, layer="b"))
    assert torch.allclose(theirs(modules), ours, atol=1e-9)
    assert (theirs(functional) - ours).abs().max() > ours.abs().max() / 2


def test_guided_grad_cam_is_the_product() -> None:
    network, images = shortcut(True), pixels()
    product = guided_backpropagation(network, images, 2) * grad_cam(network, images, 2)[:, None]
    assert guided_grad_cam(network, images, 2).equal(product)


def test_the_mean_of_cam_and_the_bias_are_the_logit() -> None:
    network, images = shortcut(True), pixels(3)
    classes = torch.tensor([2, 0, 1])
    logits = network(images).gather(1, classes[:, None])[:, 0]
    assert torch.allclose(cam(network, images, classes).mean((1, 2)) + network.fc.bias[classes], logits, atol=1e-6)


def test_where_cam_is_defined_grad_cam_is_its_positive_part_over_the_plane() -> None:
    network, images = shortcut(False), pixels()
    assert torch.allclose(grad_cam(network, images, 0) * 64, cam(network, images, 0).relu(), atol=1e-6)


def test_a_coarse_map_is_interpolated_to_the_image() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parts = nn.Conv2d(1, 3, 3, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)
        network = nn.Sequential(*parts).eval()
    images = pixels(2, 1, 12)
    planes = network[1](network[0](images))
    coarse = (network[4].weight[1][:, None, None] * planes).sum(1, keepdim=True)
    found = F.interpolate(coarse, (12, 12), mode="bilinear", align_corners=False)[:, 0]
    assert torch.allclose(cam(network, images, 1), found.detach(), atol=1e-6)
    assert last_feature_maps(network, images) == "1"


@pytest.mark.filterwarnings("ignore:cam")
@pytest.mark.parametrize("name", ["squeezenet1_1", "resnet18"])
def test_cam_of_known_architectures(name: str) -> None:
    """Averages behind the classes' own planes count as well: the map is then the plane of the class."""
    import torchvision.models

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = getattr(torchvision.models, name)(weights=None, num_classes=4).eval()
    images = pixels(2, 3, 64)
    from cnnaudit.attribution._cam import _last_maps, _slopes

    planes, slope = _slopes(network, images, 1, *_last_maps(network, images)[:2])
    total = (slope.mean((2, 3), keepdim=True) * planes).sum((1, 2, 3))
    bias = network.fc.bias[1] if name == "resnet18" else 0
    assert torch.allclose(total + bias, network(images)[:, 1], rtol=1e-3, atol=1e-4)
    assert cam(network, images, 1).shape == (2, 64, 64)


class Heads(nn.Module):
    """What may follow the last planes."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.conv = kind, nn.Conv2d(1, 4, 3)
        self.flat, self.one, self.two = nn.Linear(4 * 36, 3), nn.Linear(4, 3), nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x).relu()
        if self.kind == "flat":
            return self.flat(x.flatten(1))
        if self.kind == "maximum":
            return self.one(F.max_pool2d(x, 6).flatten(1))
        x = self.one(x.mean((2, 3)))
        return {"hidden": lambda: self.two(x.relu()), "two": lambda: self.two(x), "softmax": lambda: x.softmax(1)}[
            self.kind
        ]()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("flat", "plain average of the last feature maps"),
        ("maximum", "there are /max_pool2d:1"),
        ("hidden", "there are /relu:2"),
        ("two", "there are one, two"),
        ("softmax", "there are /softmax:1"),
    ],
)
def test_cam_is_refused_where_it_is_not_defined(kind: str, words: str) -> None:
    with pytest.raises(UnsupportedError, match=words):
        cam(Heads(kind).eval(), pixels(), 0)


def test_bad_input_is_refused() -> None:
    network, images = shortcut(True), pixels()
    with pytest.raises(UnsupportedError, match=r"'fc' answers \(1, 3\), no feature maps"):
        grad_cam(network, images, 0, layer="fc")
    with pytest.raises(LayerError, match="near names: first"):
        grad_cam(network, images, 0, layer="frist")
    with pytest.raises(AuditError, match="class_index 3 is out of range: the model has classes 0 to 2"):
        grad_cam(network, images, 3)
    with pytest.raises(DataError, match="NaN"):
        cam(network, images / 0 * 0, 0)
    with pytest.raises(UnsupportedError, match="no layer with feature maps"):
        grad_cam(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), images, 0)
    with pytest.raises(UnsupportedError, match="TorchScript"):
        grad_cam(torch.jit.trace(network, images), images, 0)


def test_planes_that_never_speak_for_the_class_are_said() -> None:
    network = nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))
    nn.init.constant_(network[2].weight, -1.0)
    with pytest.warns(RuntimeWarning, match="no feature map of 0 contributes positively to the class in 2 of 2 images"):
        assert not grad_cam(network, pixels(), 0).any()


@pytest.mark.filterwarnings("ignore:.*grad_cam")
@pytest.mark.parametrize("name", ["cam", "grad_cam", "guided_grad_cam", "forward_backward"])
def test_the_model_and_the_images_are_left_as_they_were(name: str) -> None:
    network, images = shortcut(True, functional=False, channels=3).train(), pixels(2, 3)
    network.fc.weight.requires_grad_(False)
    before, state, drawn = images.clone(), copy.deepcopy(network.state_dict()), torch.random.get_rng_state()
    METHODS[name].compute(network, images, torch.tensor([0, 2]))
    with pytest.raises(AuditError):
        METHODS[name].compute(network, images, 7)
    assert images.equal(before) and not images.requires_grad
    assert all(module.training for module in network.modules())
    assert all(value.equal(state[key]) for key, value in network.state_dict().items())
    assert [p.requires_grad for p in network.parameters()] == [True] * 4 + [False, True]
    assert all(p.grad is None for p in network.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in network.modules())
    assert torch.random.get_rng_state().equal(drawn) and torch.is_grad_enabled()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("n", [1, 5])
def test_any_precision_and_batch(dtype: torch.dtype, n: int) -> None:
    network, images = shortcut(True).to(dtype), pixels(n).to(dtype)
    reference = grad_cam(shortcut(True), pixels(n), 1)
    assert reference.any()
    found = grad_cam(network, images, 1, batch_size=2)
    assert found.dtype == dtype
    assert torch.allclose(
        found.float(), reference, atol=float(reference.max()) * (0.1 if dtype == torch.bfloat16 else 1e-5)
    )


def test_under_inference_mode() -> None:
    network, images = shortcut(True), pixels()
    with torch.inference_mode():
        found = grad_cam(network, images.clone(), 1)
    assert found.equal(grad_cam(network, images, 1))
