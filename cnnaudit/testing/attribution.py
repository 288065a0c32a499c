"""`check_attribution`: every property that an attribution method must have, one function each."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from cnnaudit.attribution.methods import Method
from cnnaudit.testing.harness import (
    NotConformingError,
    attribute,
    attribute_or_refuse,
    require,
    require_alike,
    require_close,
    require_shape,
)
from cnnaudit.testing.posing_device import pose, posed, posing
from cnnaudit.testing.subjects import CLASSES, CopiesThroughView, Network, WritesThroughView, attending, images, made
from cnnaudit.testing.untouched import (
    check_cached_tensors,
    check_evaluation_mode,
    check_images_untouched,
    check_model_that_writes,
    check_model_untouched,
    check_process_untouched,
    check_untouched_after_exception,
)


def check_attribution(method: Method | Callable[..., torch.Tensor]) -> None:
    """Raise unless the method has every property of `ATTRIBUTION_CHECKS`.

    Args:
        method: a `Method`, or its `compute(model, images, class_index, generator)`. It must take a network of
            convolutions, batch normalization, ReLUs, an average and a linear layer (where it `needs_attention`: of
            patches that attend to each other), and images of 3 channels. Elsewhere
            it may refuse with an AuditError that says why.

    Raises:
        NotConformingError: with each property that it lacks, and how.

    Source: scikit-learn's `check_estimator`.

    Example:
        >>> from cnnaudit.attribution.methods import METHODS
        >>> check_attribution(METHODS["gradient"])
    """
    if not isinstance(method, Method):
        method = _method(method)
    lacking = []
    for check in ATTRIBUTION_CHECKS:
        try:
            check(method)
        except NotConformingError as error:
            lacking.append(f"{check.__name__}: {error}")
    if lacking:
        raise NotConformingError("\n".join(lacking))


def check_answer(method: Method) -> None:
    """Finite, of the images' shape, type and device, and something: not zero everywhere."""
    found = attribute(method, made(Network()), images())
    require_shape(found, images(), method, "a batch of color images")
    empty = method.baseline or bool(found.flatten(1).any(1).all())
    require(empty, method, "answers zero everywhere, for a network in which something speaks for the class")


def check_detached(method: Method) -> None:
    """The answer is an ordinary tensor outside of any graph, in memory of its own, whatever mode the caller is in."""
    network, shown = made(Network()), images()
    expected = attribute(method, network, shown)
    for context in (torch.enable_grad, torch.no_grad, torch.inference_mode):
        for given in (shown, shown.clone().requires_grad_()):
            with context():
                found = attribute(method, network, given)
            require(not found.requires_grad, method, "answers a part of a graph")
            require_close(found, expected, method, f"under {context.__name__}", 1e-6)
            memory = given.untyped_storage().data_ptr()
            require(found.untyped_storage().data_ptr() != memory, method, "answers in the memory of the images")


def check_batches(method: Method) -> None:
    """A batch is explained as its images are one by one."""
    network, shown = made(Network()), images(3)
    classes = torch.tensor([1, 3, 1])
    together = attribute(method, network, shown, classes, seed=3)
    alone = [attribute(method, network, shown[k : k + 1], classes[k : k + 1], seed=3) for k in range(3)]
    require_close(together, torch.cat(alone), method, "between a batch and its images one by one")


def check_classes(method: Method) -> None:
    """A class is the same in every form of an integer; one for each image goes to its image; None is the predicted."""
    network, shown = made(Network()), images()
    for number in (0, 2):
        expected = attribute(method, network, shown, number)
        for form in _forms(number):
            what = f"for class {number} given as {type(form).__name__} {form!r}"
            require_close(attribute(method, network, shown, form), expected, method, what, 1e-6)
    with torch.no_grad():
        predicted = network(shown).argmax(1)
    expected = attribute(method, network, shown, predicted.tolist())
    require_close(attribute(method, network, shown, None), expected, method, "for the predicted classes", 1e-6)


def check_channels(method: Method) -> None:
    """Gray, color and images of five channels are explained, or refused with a reason."""
    for channels in (1, 3, 5):
        shown, what = images(channels=channels), f"images of {channels} channels"
        found = attribute_or_refuse(method, made(Network(channels)), shown, 1, what)
        if found is not None:
            require_shape(found, shown, method, what)


def check_sizes(method: Method) -> None:
    """Odd sizes, images that are not square and small ones are explained, or refused with a reason."""
    for height, width in ((17, 23), (9, 31), (5, 4), (65, 19)):
        shown, what = images(height=height, width=width), f"images of {height} x {width} pixels"
        found = attribute_or_refuse(method, made(Network()), shown, 1, what)
        if found is not None:
            require_shape(found, shown, method, what)


def check_types(method: Method) -> None:
    """float64 and bfloat16 stay what they are, and agree with float32 as far as they can."""
    single = attribute(method, made(Network()), images())
    for dtype, likeness in ((torch.float64, 0.999), (torch.bfloat16, 0.85)):
        shown = images().to(dtype)
        found = attribute_or_refuse(method, made(Network()).to(dtype), shown, 1, f"images of {dtype}")
        if found is not None:
            require_shape(found, shown, method, f"images of {dtype}")
            require_alike(found, single, method, f"between float32 and {dtype}", likeness)


def check_layouts(method: Method) -> None:
    """The layout of the images' memory changes nothing."""
    network, shown = made(Network()), images()
    expected = attribute(method, network, shown)
    wide = images().repeat_interleave(2, 0).repeat(1, 1, 1, 2)[::2, :, :, : shown.shape[3]]
    for given in (shown.contiguous(memory_format=torch.channels_last), wide, shown.mT.contiguous().mT):
        require_close(attribute(method, network, given), expected, method, f"for strides {given.stride()}")


def check_views(method: Method) -> None:
    """A model that writes through a view is explained as its twin that does not, also where layouts are chosen."""
    shown = images(1, height=64, width=66)
    for given in (shown, shown.contiguous(memory_format=torch.channels_last)):
        expected = attribute_or_refuse(method, made(CopiesThroughView()), given, 1, "a model with a centered map")
        found = attribute_or_refuse(method, made(WritesThroughView()), given, 1, "a model that writes through a view")
        if given is shown and found is not None and expected is not None:
            require_close(found, expected, method, "where a model writes through a view")


def check_deterministic(method: Method) -> None:
    """The same seed gives the same answer to the bit, and so does no generator."""
    network, shown = made(Network()), images()
    for seed in (None, 5):
        first, again = (attribute(method, network, shown, seed=seed) for _ in range(2))
        require(torch.equal(first, again), method, f"answers differently in a second call with seed {seed}")


def check_refusals(method: Method) -> None:
    """What is no image and no class is refused with a reason."""
    network, shown = made(Network()), images()
    holed = shown.clone()
    holed[0, 0, 0, 0] = float("nan")
    cases: list[tuple[str, Any, Any]] = [
        ("images that hold NaN", holed, 1),
        ("integers for images", (shown * 255).to(torch.uint8), 1),
        ("a single image without a batch", shown[0], 1),
        ("no images", shown[:0], 1),
        ("an array for images", shown.numpy(), 1),
        ("images of channels that the model does not take", images(channels=2), 1),
        *((f"the class {wrong!r}", shown, wrong) for wrong in (CLASSES, -1, 1.5, "cat", [0, 1, 2], [0.5, 1.0])),
    ]
    for what, given, class_index in () if method.baseline else cases:
        found = attribute_or_refuse(method, network, given, class_index, what)
        require(found is None, method, f"takes {what}; expected an AuditError that says why not")


def check_device(method: Method) -> None:
    """On another device the answer is there and the same; nothing is mixed with tensors of the CPU."""
    network, shown = made(Network()), images()
    with posing():
        for class_index in (1, None, [1, 2], torch.tensor([1, 2])):
            found = attribute(method, posed(network), pose(shown), class_index)
            require_shape(found, pose(shown), method, "images on another device")
            expected = attribute(method, network, shown, class_index)
            require_close(found, expected, method, "on another device")


def _on_its_networks(check: Callable[[Method], None]) -> Callable[[Method], None]:
    """The check, asked with networks of attention for a method that needs it."""

    @functools.wraps(check)
    def asked(method: Method) -> None:
        with attending(method.needs_attention):
            check(method)

    return asked


_CHECKS: tuple[Callable[[Method], None], ...] = (
    check_answer,
    check_detached,
    check_batches,
    check_classes,
    check_channels,
    check_sizes,
    check_types,
    check_layouts,
    check_views,
    check_deterministic,
    check_refusals,
    check_device,
    check_model_untouched,
    check_untouched_after_exception,
    check_process_untouched,
    check_images_untouched,
    check_evaluation_mode,
    check_model_that_writes,
    check_cached_tensors,
)

ATTRIBUTION_CHECKS = tuple(_on_its_networks(check) for check in _CHECKS)
"""The properties, each a function of a `Method`."""


def _forms(number: int) -> Iterable[Any]:
    """A class for two images, in the forms of an integer."""
    yield from (np.int64(number), np.uint8(number), np.array(number), torch.tensor(number))
    yield from ([number] * 2, (number, number), np.array([number] * 2), torch.tensor([number] * 2))
    yield torch.tensor([number] * 2, dtype=torch.int32)


def _method(compute: Callable[..., torch.Tensor]) -> Method:
    """A function as a method; whether it tells channels apart is seen from its answer."""
    found = compute(made(Network()), images(), 1, None)
    name = getattr(compute, "__name__", type(compute).__name__)
    return Method(name, name, compute, "", per_channel=found.ndim == 4)
