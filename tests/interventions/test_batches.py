"""Batches halve when memory runs out, fill up to a bound model's size, and change no answer."""

import pytest
import torch

from cnnaudit.interventions.batches import in_batches

IMAGES = torch.rand(7, 1, 3, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20])
def test_answers_do_not_depend_on_the_batch_size(size):
    offsets = torch.arange(7.0)
    answer = in_batches(lambda batch, offset: batch.sum((1, 2, 3)) + offset, IMAGES, offsets, batch_size=size)
    assert torch.equal(answer, IMAGES.sum((1, 2, 3)) + offsets)


def test_tuples_are_joined_part_by_part_and_no_images_give_no_answers():
    means, images = in_batches(lambda batch: (batch.mean((1, 2, 3)), batch), IMAGES, batch_size=3)
    assert torch.equal(means, IMAGES.mean((1, 2, 3))) and torch.equal(images, IMAGES)
    assert in_batches(lambda batch: batch.mean((1, 2, 3)), IMAGES[:0]).shape == (0,)


def test_the_batch_halves_until_it_fits_and_says_so_once():
    sizes = []

    def small(batch):
        sizes.append(len(batch))
        if len(batch) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return batch * 2

    with pytest.warns(RuntimeWarning, match="continued in batches of 1 images") as warned:
        answer = in_batches(small, IMAGES, batch_size=7)
    assert torch.equal(answer, IMAGES * 2) and len(warned) == 1 and sizes == [7, 3, *[1] * 7]


def test_other_errors_and_a_single_image_too_large_are_raised():
    def broken(batch):
        raise MemoryError("out of memory")

    def wrong(batch):
        raise ValueError("no such thing")

    with pytest.raises(MemoryError):
        in_batches(broken, IMAGES, batch_size=2)
    with pytest.raises(ValueError):
        in_batches(wrong, IMAGES)


def test_a_bound_model_is_always_given_its_batch_size():
    sizes = []

    def function(batch, labels):
        sizes.append((len(batch), len(labels)))
        return batch.sum((1, 2, 3)) + labels

    answer = in_batches(function, IMAGES, torch.arange(7), batch_size=99, bound=4)
    assert torch.equal(answer, IMAGES.sum((1, 2, 3)) + torch.arange(7)) and sizes == [(4, 4), (4, 4)]
