"""The reference networks, built by functions that import torch when they are called, and the classic filters.

The functions share their modules' names; importing them here, before anybody imports the modules, makes
`cnnaudit.models.minimum` the function in every order of imports.
"""

from __future__ import annotations

from cnnaudit.models._classic_filters import classic_filters
from cnnaudit.models._googlenet import googlenet
from cnnaudit.models._lenet import lenet
from cnnaudit.models._lenet5 import lenet5
from cnnaudit.models._minimum import minimum
from cnnaudit.models._mnist_cnn import mnist_cnn
from cnnaudit.models.googlenet_weights import load_googlenet_weights
from cnnaudit.models.heads import with_head
from cnnaudit.models.ordinary import small_mobilenet, small_resnet, small_vgg
from cnnaudit.models.vgg import vgg4, vgg16

__all__ = [
    "classic_filters",
    "googlenet",
    "lenet",
    "lenet5",
    "load_googlenet_weights",
    "minimum",
    "mnist_cnn",
    "small_mobilenet",
    "small_resnet",
    "small_vgg",
    "vgg4",
    "vgg16",
    "with_head",
]
