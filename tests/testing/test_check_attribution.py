"""The suite tells a method that conforms from those that lack one property each."""

import random
import warnings

import numpy as np
import pytest
import torch

from cnnaudit.attribution import grad_cam, gradient
from cnnaudit.attribution.methods import METHODS, Method
from cnnaudit.core.errors import DataError, UnsupportedError
from cnnaudit.testing import ATTRIBUTION_CHECKS, NotConformingError, check_attribution


def good(model, images, class_index=None, generator=None):
    return gradient(model, images, class_index)


def a_map(model, images, class_index=None, generator=None):
    return grad_cam(model, images, class_index)


CHECKS = {check.__name__: check for check in ATTRIBUTION_CHECKS}


def lacks(compute, property_):
    """Whether the suite says that the method lacks that property."""
    try:
        CHECKS[property_](Method("mine", "Mine", compute, ""))
    except NotConformingError:
        return True
    return False


def test_a_function_of_somebody_else_conforms():
    check_attribution(a_map)
    check_attribution(METHODS["blank"])


def test_what_is_lacking_is_named_with_the_method():
    def doubled(model, images, class_index=None, generator=None):
        return good(model, images, class_index).double()

    with pytest.raises(NotConformingError, match="check_answer: doubled answers"):
        check_attribution(doubled)


def leaves_training_mode(model, images, class_index=None, generator=None):
    model.eval()
    return good(model, images, class_index)


def leaves_gradients(model, images, class_index=None, generator=None):
    for parameter in model.parameters():
        parameter.grad = None
    return good(model, images, class_index)


def leaves_a_hook(model, images, class_index=None, generator=None):
    handle = model.register_forward_hook(lambda *_: None)
    found = good(model, images, class_index)
    handle.remove()  # not where the model raises
    return found


def keeps_the_graph(model, images, class_index=None, generator=None):
    return images * good(model, images, class_index)


def writes_into_images(model, images, class_index=None, generator=None):
    found = good(model, images, class_index)
    images.data.clamp_(0.1, 0.9)
    return found


def draws_globally(model, images, class_index=None, generator=None):
    return good(model, images + 1e-3 * torch.rand(images.shape, device=images.device), class_index)


def seeds_globally(model, images, class_index=None, generator=None):
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    return good(model, images, class_index)


def silences_warnings(model, images, class_index=None, generator=None):
    warnings.simplefilter("error", UnicodeWarning)
    return good(model, images, class_index)


def scales_by_the_batch(model, images, class_index=None, generator=None):
    found = good(model, images, class_index)
    return found / found.abs().max()


def mixes_devices(model, images, class_index=None, generator=None):
    return good(model, images, class_index) * torch.linspace(1, 2, images.shape[3])


def raises_what_it_likes(model, images, class_index=None, generator=None):
    if images.shape[2] != images.shape[3] + 4 and images.shape[2] == 17:
        raise ValueError("odd")
    return good(model, images, class_index)


def refuses_without_a_reason(model, images, class_index=None, generator=None):
    if images.shape[1] == 5:
        raise UnsupportedError("no")
    return good(model, images, class_index)


def answers_nonsense_for_holes(model, images, class_index=None, generator=None):
    return good(model, torch.nan_to_num(images), class_index)


def stays_in_training_mode(model, images, class_index=None, generator=None):
    given = images.detach().clone().requires_grad_()
    with torch.inference_mode(False), torch.enable_grad():
        logits = model(given * 1)
    chosen = logits.argmax(1) if class_index is None else torch.as_tensor(class_index, device=images.device)
    chosen = chosen.long().expand(len(images))
    return torch.autograd.grad(logits.gather(1, chosen[:, None]).sum(), given)[0]


def gives_images_away(model, images, class_index=None, generator=None):
    with torch.no_grad():
        model(images)
    return good(model, images, class_index)


def infers(model, images, class_index=None, generator=None):
    with torch.inference_mode():
        model(images.clone())
    return good(model, images, class_index)


@pytest.mark.parametrize(
    ("compute", "property_"),
    [
        (leaves_training_mode, "check_model_untouched"),
        (leaves_gradients, "check_model_untouched"),
        (leaves_a_hook, "check_untouched_after_exception"),
        (keeps_the_graph, "check_detached"),
        (writes_into_images, "check_images_untouched"),
        (draws_globally, "check_deterministic"),
        (seeds_globally, "check_process_untouched"),
        (silences_warnings, "check_process_untouched"),
        (scales_by_the_batch, "check_batches"),
        (mixes_devices, "check_device"),
        (refuses_without_a_reason, "check_channels"),
        (raises_what_it_likes, "check_sizes"),
        (answers_nonsense_for_holes, "check_refusals"),
        (stays_in_training_mode, "check_evaluation_mode"),
        (gives_images_away, "check_model_that_writes"),
        (infers, "check_cached_tensors"),
    ],
)
def test_each_fault_is_found_by_its_property(compute, property_):
    assert lacks(compute, property_) and not lacks(good, property_)


def test_a_class_form_that_is_misread_is_found():
    def misreads(model, images, class_index=None, generator=None):
        return good(model, images, class_index if isinstance(class_index, int) else None)

    assert lacks(misreads, "check_classes")


def test_a_layout_that_is_misread_is_found():
    def misreads(model, images, class_index=None, generator=None):
        found = good(model, images, class_index)
        return found if images.is_contiguous() else found.flip(3)

    assert lacks(misreads, "check_layouts")


def test_refusals_with_a_reason_are_allowed_beyond_the_ordinary():
    def narrow(model, images, class_index=None, generator=None):
        if images.ndim == 4 and images.shape[1] != 3:
            raise DataError("expected color images (N, 3, H, W)")
        return good(model, images, class_index)

    check_attribution(narrow)
