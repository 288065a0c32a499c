"""Attention rollout against a slow one of the published formula, from attention that the network's own code answers."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models import SwinTransformer, VisionTransformer
from torchvision.models.convnext import CNBlockConfig, ConvNeXt

from cnnaudit.attribution._attention_rollout import attention_rollout
from cnnaudit.attribution.methods import METHODS
from cnnaudit.core.errors import AuditError, UnsupportedError
from cnnaudit.testing import check_attribution

IMAGES = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def vit() -> nn.Module:
    torch.manual_seed(0)
    net = VisionTransformer(32, 8, num_layers=3, num_heads=2, hidden_dim=16, mlp_dim=24, num_classes=3).eval()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.4)
    return net


def slow(net: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The patches' part of the class token's rollout, (N, 4, 4), from the weights that MultiheadAttention answers."""
    tokens = net._process_input(images)
    tokens = torch.cat([net.class_token.expand(len(images), -1, -1), tokens], 1) + net.encoder.pos_embedding
    rolled = [torch.eye(17) for _ in images]
    for block in net.encoder.layers:
        given = block.ln_1(tokens)
        mixed, weights = block.self_attention(given, given, given, need_weights=True, average_attn_weights=False)
        for k, heads in enumerate(weights):
            average = torch.stack(list(heads)).mean(0) + torch.eye(17)
            rolled[k] = (average / average.sum(1, keepdim=True)) @ rolled[k]
        tokens = tokens + mixed
        tokens = tokens + block.mlp(block.ln_2(tokens))
    return torch.stack(rolled)[:, 0, 1:].reshape(-1, 4, 4)


def test_it_is_the_published_product_at_the_places_of_the_patches() -> None:
    net = vit()
    found = attention_rollout(net, IMAGES)
    with torch.no_grad():
        expected = slow(net, IMAGES)
    wide = torch.nn.functional.interpolate(expected[:, None], (32, 32), mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(found, wide, atol=1e-5, rtol=1e-4)
    assert float((expected.amax((1, 2)) / expected.amin((1, 2))).min()) > 1.1  # not a flat map, for which anything fits


def test_the_class_changes_nothing_and_must_exist() -> None:
    net = vit()
    assert attention_rollout(net, IMAGES, 0).equal(attention_rollout(net, IMAGES, [2, 1, 0]))
    with pytest.raises(AuditError, match="class_index 3 is out of range"):
        attention_rollout(net, IMAGES, 3)


def test_an_untrained_head_does_not_matter() -> None:
    net = vit()
    expected = attention_rollout(net, IMAGES)
    nn.init.zeros_(net.heads.head.weight)  # as torchvision initializes it: no class depends on any place
    assert attention_rollout(net, IMAGES).equal(expected)


def test_models_without_attention_over_the_image_are_refused_with_the_reason() -> None:
    torch.manual_seed(0)
    convnext = ConvNeXt([CNBlockConfig(8, 16, 1), CNBlockConfig(16, None, 1)], num_classes=3).eval()
    with pytest.raises(UnsupportedError, match="this model computes none"):
        attention_rollout(convnext, IMAGES)
    swin = SwinTransformer([4, 4], 12, [1, 1], [2, 2], [4, 4], num_classes=3).eval()
    with pytest.raises(UnsupportedError, match="this model attends within windows"):
        attention_rollout(swin, IMAGES)


def test_it_has_every_property_of_an_attribution_method() -> None:
    check_attribution(METHODS["attention_rollout"])


@pytest.mark.parametrize("library", ["timm", "transformers"])
def test_models_of_other_libraries(library: str) -> None:
    torch.manual_seed(0)
    if library == "timm":
        build = pytest.importorskip("timm").create_model
        net = build(
            "vit_tiny_patch16_224", img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=2, num_classes=3
        )
        nn.init.normal_(net.head.weight)
    else:
        transformers = pytest.importorskip("transformers")
        from cnnaudit.target import InputSpec
        from cnnaudit.target.pixels import PixelModel

        sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
        config = transformers.ViTConfig(**sizes, image_size=32, patch_size=8, num_labels=3)
        net = PixelModel(transformers.ViTForImageClassification(config), InputSpec(3, (32, 32)))
    found = attention_rollout(net.eval(), IMAGES)
    assert found.shape == (3, 32, 32)
    assert float(found.amin()) > 0 and float(found.amax()) < 1
    for name in ("gradient", "integrated_gradients", "grad_cam", "occlusion"):
        assert METHODS[name].compute(net, IMAGES[:1], 1).any()
