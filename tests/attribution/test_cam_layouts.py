"""Grad-CAM on channels-last and token layers against pytorch-grad-cam, and cropped maps at their own place."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from cnnaudit.attribution import cam, grad_cam, last_feature_maps
from cnnaudit.core.errors import UnsupportedError

Reshape = Callable[[torch.Tensor], torch.Tensor]


def built(library: str, name: str, **settings: object) -> nn.Module:
    """The architecture with random weights from a seed."""
    models = pytest.importorskip("torchvision.models" if library == "torchvision" else "timm.models")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        settings["weights" if library == "torchvision" else "pretrained"] = None
        network: nn.Module = getattr(models, name)(num_classes=5, **settings).eval()
        for value in network.parameters():
            if not value.any():  # a head of zeros has no gradient
                nn.init.normal_(value, std=0.1)
            elif float(value.detach().abs().max()) < 1e-4:  # scales of 1e-6 make a layer's part hardly count
                nn.init.ones_(value)
        return network


def theirs(
    network: nn.Module, layer: nn.Module, images: torch.Tensor, index: int, reshape: Reshape | None
) -> torch.Tensor:
    """The positive weighted sum by pytorch-grad-cam, before it scales each map to 1, at the size of the image."""
    peer = pytest.importorskip("pytorch_grad_cam")
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with peer.GradCAM(network, [layer], reshape_transform=reshape) as method:
        method.activations_and_grads(images)
        logits = method.activations_and_grads(images)
        network.zero_grad()
        sum(ClassifierOutputTarget(index)(row) for row in logits).backward()
        held = method.activations_and_grads
        planes, slopes = held.activations[0].numpy(), held.gradients[0].numpy()
        coarse = method.get_cam_image(images, layer, [], planes, slopes, False)
    maps = torch.as_tensor(coarse).relu()[:, None]
    return F.interpolate(maps, images.shape[2:], mode="bilinear", align_corners=False)[:, 0]


def last_channels(values: torch.Tensor) -> torch.Tensor:
    return values.permute(0, 3, 1, 2)


def tokens(height: int, width: int, extra: int) -> Reshape:
    return lambda values: values[:, extra:].reshape(len(values), height, width, -1).permute(0, 3, 1, 2)


CASES = {
    "torchvision ConvNeXt": ("torchvision", "convnext_tiny", {}, (64, 96), "features.7.2", None),
    "torchvision Swin": ("torchvision", "swin_t", {}, (64, 96), "norm", last_channels),
    "torchvision ViT": (
        *("torchvision", "vit_b_32", {"image_size": 96}, (96, 96)),
        *("encoder.layers.encoder_layer_11.ln_1", tokens(3, 3, 1)),
    ),
    "timm ConvNeXt": ("timm", "convnext_atto", {}, (64, 96), "stages.3", None),
    "timm EdgeNeXt": ("timm", "edgenext_xx_small", {}, (64, 96), "stages.3", None),
    "timm PoolFormer": ("timm", "poolformer_s12", {}, (64, 96), "stages.3", None),
    "timm Swin": (
        *("timm", "swin_tiny_patch4_window7_224", {"img_size": (64, 96), "window_size": 4}, (64, 96), "norm"),
        last_channels,
    ),
    "timm ViT": (
        *("timm", "vit_tiny_patch16_224", {"img_size": (64, 96)}, (64, 96), "blocks.11.norm1", tokens(4, 6, 1)),
    ),
    "timm ViT with registers": (
        *("timm", "vit_tiny_patch16_224", {"img_size": (64, 96), "reg_tokens": 4}, (64, 96)),
        *("blocks.11.norm1", tokens(4, 6, 5)),
    ),
    "timm DeiT, distilled": (
        *("timm", "deit_tiny_distilled_patch16_224", {"img_size": (64, 96)}, (64, 96)),
        *("blocks.11.norm1", tokens(4, 6, 2)),
    ),
    "timm Mixer": ("timm", "mixer_s32_224", {"img_size": (64, 96)}, (64, 96), "norm", tokens(2, 3, 0)),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore")
def test_the_default_layer_is_the_one_that_pytorch_grad_cam_is_told_how_to_read(case: str) -> None:
    library, name, settings, size, layer, reshape = CASES[case]
    network = built(library, name, **settings)
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    maps = ((index, theirs(network, network.get_submodule(layer), images, index, reshape)) for index in range(5))
    index, expected = next((index, found) for index, found in maps if found.any())  # for some class a map is all 0
    for found in (grad_cam(network, images, index), grad_cam(network, images, index, layer=layer)):
        assert torch.allclose(found, expected, rtol=1e-3, atol=1e-4 * float(expected.max()))


def test_captum_averages_the_wrong_axes_of_channels_last_layers() -> None:
    captum = pytest.importorskip("captum.attr")
    network = built("torchvision", "swin_t")
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    found = captum.LayerGradCam(network, network.norm).attribute(images, 2, relu_attributions=True)
    assert found.shape == (1, 1, 2, 768)  # one row of the image for each of its rows, one column for each channel


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "mobilenet_v3_small", "squeezenet1_1", "efficientnet_b0"])
@pytest.mark.filterwarnings("ignore")
def test_layers_of_feature_maps_are_captums(name: str) -> None:
    captum = pytest.importorskip("captum.attr")
    network = built("torchvision", name)
    images = torch.rand(2, 3, 96, 64, generator=torch.Generator().manual_seed(1))
    layer = network.layer4 if name == "resnet18" else network.features
    where = "layer4" if name == "resnet18" else "features"
    coarse = captum.LayerGradCam(network, layer).attribute(images, 1, relu_attributions=True)
    expected = F.interpolate(coarse.detach(), (96, 64), mode="bilinear", align_corners=False)[:, 0]
    assert torch.allclose(grad_cam(network, images, 1, layer=where), expected, rtol=1e-3, atol=1e-6)


class Cropped(nn.Module):
    """A stride of two, a crop of what it makes (or of the image), an average and a linear layer."""

    def __init__(self, crop: str) -> None:
        super().__init__()
        self.crop, self.conv, self.fc = crop, nn.Conv2d(1, 3, 2, stride=2, bias=False), nn.Linear(3, 2)
        nn.init.constant_(self.conv.weight, 0.25)
        nn.init.ones_(self.fc.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.crop == "image":
            x = x[:, :, 4:12, 2:10]
        if self.crop == "negative padding":
            x = F.pad(x, (-2, -6, -4, -4))
        x = self.conv(x)
        if self.crop == "features":
            x = x[:, :, 2:6, 1:5]
        if self.crop == "tokens":
            x = x.flatten(2).transpose(1, 2).unflatten(1, (8, 8))[:, 2:6, 1:5].permute(0, 3, 1, 2)
        return self.fc(x.relu().mean((2, 3)))


@pytest.mark.parametrize("crop", ["image", "negative padding", "features", "tokens"])
def test_a_cropped_map_stands_where_it_was_cropped_from(crop: str) -> None:
    network, images = Cropped(crop).eval(), torch.ones(1, 1, 16, 16)
    expected = torch.zeros(1, 16, 16)
    expected[:, 4:12, 2:10] = 1
    found = grad_cam(network, images, 0)
    assert torch.equal(found > 0, expected > 0)
    assert torch.allclose(found, expected * found.max(), atol=1e-6)
    assert torch.equal(cam(network, images, 0) > 0, expected > 0)


def test_valid_convolutions_crop_too() -> None:
    """Two 5 x 5 kernels without padding: the units see all of the image, and stand four pixels inside of it."""
    network = nn.Sequential(
        nn.Conv2d(1, 2, 5), nn.Conv2d(2, 2, 5), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 64, 2)
    ).eval()
    for value in network.parameters():
        nn.init.constant_(value, 0.1)
    found = grad_cam(network, torch.ones(1, 1, 16, 16), 0)[0]
    expected = torch.zeros(16, 16, dtype=torch.bool)
    expected[4:12, 4:12] = True
    assert torch.equal(found > 0, expected)


def test_a_padding_larger_than_needed_is_cut_off() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 1, padding=3), nn.ReLU(), nn.Flatten(), nn.Linear(14 * 14, 2)).eval()
    nn.init.ones_(network[0].weight), nn.init.zeros_(network[0].bias), nn.init.ones_(network[3].weight)
    images = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(grad_cam(network, images, 0), images[:, 0], atol=1e-6)


def test_what_lies_behind_the_last_attention_is_said_to_count_by_its_class_token_only() -> None:
    network = built("timm", "vit_tiny_patch16_224", img_size=(64, 96))
    with pytest.warns(RuntimeWarning, match="only its class token counts: name a layer before it"):
        grad_cam(network, torch.rand(1, 3, 64, 96), 0, layer="norm")


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("blocks.11.attn/scaled_dot_product_attention:1", "channels lie on several axes, as the heads of attention do"),
        ("head", "not those of a batch, channels and places"),
    ],
)
def test_layers_without_a_layout_are_refused_with_the_reason(layer: str, words: str) -> None:
    network = built("timm", "vit_tiny_patch16_224", img_size=(64, 96))
    with pytest.raises(UnsupportedError, match=words):
        grad_cam(network, torch.rand(1, 3, 64, 96), 0, layer=layer)


def test_a_pooled_layer_is_refused_although_it_has_four_axes() -> None:
    network = built("torchvision", "convnext_tiny")
    with pytest.raises(UnsupportedError, match="about the image as a whole"):
        grad_cam(network, torch.rand(1, 3, 64, 64), 0, layer="classifier.0/layer_norm:1")
    assert last_feature_maps(network, torch.rand(1, 3, 64, 64)) == "features.7.2/add:1"
