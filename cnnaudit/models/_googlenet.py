"""GoogLeNet, or Inception v1, as published: with real 5x5 kernels and without batch normalization."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from cnnaudit.core.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

Widths = tuple[int, int, int, int, int, int]

# filters of 1x1, 3x3 bottleneck, 3x3, 5x5 bottleneck, 5x5 and pooling's 1x1
PUBLISHED: Mapping[str, Widths] = MappingProxyType(
    {
        "mixed3a": (64, 96, 128, 16, 32, 32),
        "mixed3b": (128, 128, 192, 32, 96, 64),
        "mixed4a": (192, 96, 208, 16, 48, 64),
        "mixed4b": (160, 112, 224, 24, 64, 64),
        "mixed4c": (128, 128, 256, 24, 64, 64),
        "mixed4d": (112, 144, 288, 32, 64, 64),
        "mixed4e": (256, 160, 320, 32, 128, 128),
        "mixed5a": (256, 160, 320, 32, 128, 128),
        "mixed5b": (384, 192, 384, 48, 128, 128),
    }
)
# of the checkpoint that Google published for TensorFlow, which Lucid and Garriga 2019 use
TENSORFLOW: Mapping[str, Widths] = MappingProxyType(
    {**PUBLISHED, "mixed4a": (192, 96, 204, 16, 48, 64), "mixed5a": (256, 160, 320, 48, 128, 128)}
)


def googlenet(
    classes: int | None = None,
    variant: Literal["published", "tensorflow"] = "published",
    auxiliary: bool = False,
) -> nn.Module:
    """Three convolutions, nine inception layers `mixed3a` … `mixed5b`, average pooling, dropout, a linear layer.

    An inception layer has the convolutions `1x1`, `3x3_bottleneck`, `3x3`, `5x5_bottleneck`, `5x5` and `pool_reduce`
    (layers are named `mixed4b.5x5`); its answer joins the units of 1x1, 3x3, 5x5 and pooling in this order, so that
    unit 407 of mixed4b is unit 23 of its 5x5 convolution. Units: 256, 480, 512, 512, 512, 528, 832, 832, 1024.
    Local response normalization follows the first pooling and the third convolution.

    Parameters: 6,998,552 as published with 1000 classes, 5,973,552 of them before the last layer; 13,378,280 with the
    two auxiliary classifiers, which are used in training only. torchvision's GoogLeNet (6,624,904) is another network:
    batch normalization, 3x3 in place of 5x5, no response normalization.

    Args:
        classes: number of classes; None: 1000, or 1008 for `tensorflow`.
        variant: `published`: the table of the paper, padding on both sides, response normalization over 5 channels
            with alpha 1e-4, beta .75 as in Caffe's replication. `tensorflow`: the network of the checkpoint that
            Google released: 204 filters of 3x3 in mixed4a (508 units), a 5x5 bottleneck of 48 in mixed5a, strided
            layers padded right and below, normalization over 9 channels with alpha 1e-4 and beta .5 (as the
            published conversion to PyTorch has it). The sizes of the clusters in Garriga 2019 are of this one.
        auxiliary: with the classifiers on mixed4a and mixed4d; in training mode the answer is then (logits, those of
            mixed4a, those of mixed4d).

    Returns:
        A module that takes (N, 3, H, W), 224 x 224 as published, and answers logits (N, classes).

    Raises:
        ModelError: another word for `variant`, or fewer than two classes.

    Source: C. Szegedy et al., Going deeper with convolutions, CVPR 2015, table 1; the names are those of the
        TensorFlow graph, as in Garriga 2019.

    Example:
        >>> sum(p.numel() for p in googlenet().parameters())
        6998552
    """
    if variant not in ("published", "tensorflow"):
        raise ModelError(f"googlenet: variant must be published or tensorflow, got {variant!r}")
    published = variant == "published"
    classes = (1000 if published else 1008) if classes is None else classes
    if classes < 2:
        raise ModelError(f"googlenet: expected at least 2 classes, got {classes}")
    from cnnaudit.models.inception import GoogLeNet

    response = (5, 1e-4, 0.75, 1.0) if published else (9, 1e-4, 0.5, 1.0)
    return GoogLeNet(PUBLISHED if published else TENSORFLOW, classes, auxiliary, not published, response)
