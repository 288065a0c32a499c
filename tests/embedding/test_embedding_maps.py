"""Maps in the plane: they continue one another, lie on one another, and refuse what they cannot map."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from cnnaudit.core.errors import DataError, UnsupportedError
from cnnaudit.embedding.maps import aligned, embed, reduced

RNG = np.random.default_rng(0)
LUMPS = RNG.normal(size=(60, 8)) + 12 * np.eye(3, 8)[np.arange(60) % 3]


def test_principal_components_keep_distances_where_there_are_few():
    assert np.allclose(pdist(reduced(LUMPS)), pdist(LUMPS), rtol=1e-4)
    assert reduced(RNG.normal(size=(80, 300))).shape == (80, 50)


def test_a_turned_and_mirrored_map_is_laid_back_on_the_other():
    before = RNG.normal(size=(30, 2)) + 7
    angle = 2.1
    turned = before @ np.array([[np.cos(angle), np.sin(angle)], [np.sin(angle), -np.cos(angle)]]) - 40
    assert np.allclose(aligned(turned, before), before)
    assert np.allclose(pdist(aligned(3 * turned, before)), 3 * pdist(before))  # nothing is scaled


@pytest.mark.parametrize("method", ["tsne", "pca"])
def test_the_same_seed_gives_the_same_map_and_classes_apart_stay_apart(method):
    first, again = (embed(LUMPS, method, perplexity=10, iterations=300, seed=3) for _ in range(2))
    assert np.array_equal(first, again)
    middles = np.stack([first[k::3].mean(0) for k in range(3)])
    spread = max(first[k::3].std(0).max() for k in range(3))
    assert pdist(middles).min() > 3 * spread


def test_a_map_that_continues_another_lies_on_it():
    before = embed(LUMPS, perplexity=10, iterations=300)
    moved = LUMPS + RNG.normal(scale=0.05, size=LUMPS.shape)
    after = embed(moved, perplexity=10, iterations=300, start=before)
    apart = np.linalg.norm(after - before, axis=1).mean()
    assert apart < 0.5 * np.linalg.norm(before - before.mean(0), axis=1).mean()


def test_what_cannot_be_mapped_is_refused_with_the_reason():
    with pytest.raises(DataError, match="perplexity 30 needs more than 30 images, there are 20"):
        embed(LUMPS[:20])
    with pytest.raises(DataError, match="2 or more images"):
        embed(LUMPS[:1])
    with pytest.raises(UnsupportedError, match="all 9 images have the same values"):
        embed(np.ones((9, 4)))
    with pytest.raises(DataError, match="finite"):
        embed(np.full((9, 4), np.nan))
    with pytest.raises(DataError, match="expected one of tsne, umap, pca"):
        embed(LUMPS, "isomap")
    with pytest.raises(DataError, match=r"a map \(60, 2\), got \(3, 2\)"):
        embed(LUMPS, "pca", start=np.zeros((3, 2)))
