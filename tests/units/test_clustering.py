"""Groups of units: planted lumps are found, clouds without lumps are one cluster, degenerate layers are answered."""

import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest

from cnnaudit.core.errors import DataError, UnsupportedError
from cnnaudit.units import LayerKernels, cluster, cluster_count, normalized
from cnnaudit.units._cluster_count import condensed
from cnnaudit.units._dendrogram import by_size


def lumps(groups, units=60, inputs=8, side=3, spread=0.7, seed=0):
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((groups, inputs, side, side))
    return centers[np.arange(units) % groups] + spread * rng.standard_normal((units, inputs, side, side))


def rows(weights):
    return normalized(weights.reshape(len(weights), -1))[0]


@pytest.mark.parametrize("groups", [3, 4, 6])
def test_planted_lumps_are_counted(groups):
    found = cluster_count(rows(lumps(groups, units=96)))
    assert found.clusters == groups and found.p_value < 0.01 and found.beyond > 0.05


def test_gaussian_and_uniform_layers_of_any_covariance_are_one_cluster():
    wrong = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        units, d = [(40, 27), (64, 300), (24, 25)][seed % 3]
        cloud = rng.standard_normal((units, d)) if seed % 2 else rng.uniform(-1, 1, (units, d))
        narrow = np.exp(-np.arange(d) / rng.choice([2, d / 6, 1e9]))
        turned = np.linalg.qr(rng.standard_normal((d, d)))[0]
        wrong += cluster_count(normalized(cloud * narrow @ turned)[0], seed=seed).clusters > 1
    assert wrong <= 1


def test_a_ring_is_one_cluster():
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 200)
    ring = np.stack([np.cos(angle), np.sin(angle)], 1) @ rng.standard_normal((2, 25))
    assert cluster_count(normalized(ring + 0.5 * rng.standard_normal((200, 25)))[0]).clusters == 1


def test_null_rows_keep_norm_mean_and_covariance():
    from cnnaudit.units._cluster_count import _unclustered

    cloud = rows(lumps(3, units=50))
    draw = _unclustered(cloud, np.random.default_rng(0))
    grams = np.stack([draw() for _ in range(60)])
    assert np.allclose(grams[:, np.arange(50), np.arange(50)], cloud.shape[1])
    mean = float(np.square(cloud.mean(0)).sum())
    assert abs(grams.mean(axis=(0, 1, 2)) / mean - 1) < 0.3
    centered = grams - grams.mean(1, keepdims=True)
    centered -= centered.mean(2, keepdims=True)
    spectrum = np.linalg.eigvalsh(centered)[:, ::-1][:, :2].mean(0)
    own = cloud - cloud.mean(0)
    assert np.allclose(spectrum, np.linalg.eigvalsh(own @ own.T)[::-1][:2], rtol=0.06)


def test_the_spread_of_the_cut_is_the_sum_of_squares_within_its_groups():
    from scipy.cluster.hierarchy import cut_tree, linkage

    cloud = rows(lumps(3, units=20))
    found = cluster_count(cloud, most=6, draws=3)
    tree = linkage(cloud, "ward")
    total = np.square(cloud - cloud.mean(0)).sum()
    for k in range(1, 7):
        labels = cut_tree(tree, k)[:, 0]
        within = sum(np.square(cloud[labels == g] - cloud[labels == g].mean(0)).sum() for g in range(k))
        assert np.isclose(found.observed[k - 1], np.log(within / total))


def test_distances_from_inner_products():
    from scipy.spatial.distance import pdist

    cloud = rows(lumps(2, units=12))
    assert np.allclose(condensed(cloud @ cloud.T), pdist(cloud))


def test_groups_and_their_representatives():
    found = cluster(lumps(4, spread=0.3), embed=False)
    assert found.clusters == found.supported == 4 and found.sizes == [15] * 4
    assert len({tuple(found.labels[g::4]) for g in range(4)}) == 4
    assert all(len(set(found.labels[g::4])) == 1 for g in range(4))
    assert (found.labels == found.dendrogram).all() and min(found.stability.values()) == 1
    assert found.silhouette > 0.5
    below = np.sort(found.linkage[:, 2])
    assert below[-4] < found.cut < below[-3]
    averaged = LayerKernels("x", lumps(4, spread=0.3).astype(np.float32)).averaged().astype(float)
    averaged -= averaged.mean((1, 2), keepdims=True)
    for one in found.representatives:
        members = found.units[found.labels == one.cluster]
        signs = np.sign(averaged[members])
        assert (one.signs == np.where(signs.sum(0) >= 0, 1, -1)).all()
        assert one.candidates == tuple(members[(signs == one.signs).all(axis=(1, 2))])
        assert one.unit in (one.candidates or members)
        assert (one.kernel == averaged[one.unit]).all()


def test_chance_groups_are_not_stable():
    found = cluster(lumps(1, units=60), 4, embed=False)
    assert found.supported == 1 and found.clusters == 4
    assert found.stability["spectral, units left out"] < 0.6 and found.silhouette < 0.1


def test_the_same_seed_gives_the_same_and_all_is_json():
    one, two = (cluster(lumps(2, units=20), embed=False, seed=3).as_dict() for _ in range(2))
    assert json.dumps(one) == json.dumps(two)


def test_umap_keeps_lumps_together_and_the_global_random_state():
    pytest.importorskip("umap")
    before = np.random.get_state()[1].copy()
    found = cluster(lumps(3, units=45, spread=0.2))
    assert found.embedded_by == "UMAP, 30 neighbors" and (np.random.get_state()[1] == before).all()
    centers = np.stack([found.embedding[g::3].mean(0) for g in range(3)])
    own = np.linalg.norm(found.embedding - centers[np.arange(45) % 3], axis=1).max()
    assert own < min(np.linalg.norm(centers[a] - centers[b]) for a, b in [(0, 1), (0, 2), (1, 2)])


def test_few_equal_and_constant_units():
    one = cluster(lumps(1, units=1))
    assert (one.clusters, one.supported, one.sizes, one.embedding.shape) == (1, 1, [1], (1, 2))
    assert cluster(lumps(1, units=3)).embedded_by == "principal axes"
    equal = cluster(np.repeat(lumps(1, units=1), 200, axis=0), embed=False)
    assert (equal.clusters, equal.supported) == (1, 1)
    weights = lumps(2, units=10)
    weights[3] = 0.25
    found = cluster(weights, embed=False)
    assert found.constant == (3,) and 3 not in found.units and len(found.labels) == 9


def test_copies_are_lumps():
    weights = np.repeat(lumps(1, units=4), 100, axis=0)
    found = cluster(weights, embed=False)
    assert found.supported == 4 and found.sizes == [100] * 4


@pytest.mark.parametrize(
    ("weights", "groups", "words"),
    [
        (np.ones((4, 2, 1, 1)), None, "1x1 kernels"),
        (np.ones((4, 2, 3, 3)), None, "constant"),
        (np.full((4, 2, 3, 3), np.nan), None, "finite weights"),
        (np.ones((4, 9)), None, "finite weights"),
        (lumps(1, units=5), 6, "has 5 units"),
    ],
)
def test_what_cannot_be_grouped_is_said(weights, groups, words):
    with pytest.raises((UnsupportedError, DataError), match=words):
        cluster(weights, groups, embed=False)


def test_labels_by_size():
    assert by_size([5, 2, 2, 7, 7]).tolist() == [2, 0, 0, 1, 1]


def test_figures_are_drawn():
    from cnnaudit.pages.kernels import cluster_figures
    from cnnaudit.report.figures import svg

    for found in (cluster(lumps(3, units=24), embed=False), cluster(lumps(1, units=1), embed=False)):
        for name in ("embedding", "dendrogram", "count", "representatives"):
            painter = getattr(cluster_figures, f"{name}_figure")
            assert "<svg" in svg(lambda painter=painter, found=found: painter(found), name, name)


def test_one_kernel_and_its_negative_are_one_cluster_on_a_line():
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((1, 1, 3, 3)).astype(np.float32)
    found = cluster(
        kernel * rng.standard_normal((60, 1, 1, 1)) + 0.01 * rng.standard_normal((60, 1, 3, 3)), embed=False
    )
    assert found.supported == 1 and found.clusters == 2 and found.axis > 0.9
    assert "one kernel or its negative" in found.words


@pytest.mark.skipif("CNNAUDIT_DATA" not in os.environ, reason="set CNNAUDIT_DATA to the folder of real weights")
def test_units_of_inception_are_one_cloud_and_depthwise_kernels_of_mobilenet_are_lumped():
    from safetensors.numpy import load_file

    folder = Path(os.environ["CNNAUDIT_DATA"]) / "models"
    inception = load_file(folder / "inception_v3_imagenet_fp16.safetensors")
    found = cluster(inception["Mixed_6a.branch3x3dbl_3.conv.weight"], 4, embed=False)
    assert found.supported == 1 and found.silhouette < 0.05 and found.stability["spectral, units left out"] < 0.6
    mobilenet = load_file(folder / "mobilenet_v2_imagenet.safetensors")
    found = cluster(mobilenet["features.8.conv.1.0.weight"], embed=False)
    assert found.supported > 3 and found.count.beyond > 0.1


def test_the_groups_are_those_that_the_data_support_and_the_number_asked_for():
    weights = lumps(6, units=90, spread=0.3)
    found = cluster(weights, embed=False)
    assert found.clusters == found.supported == 6
    assert ("steps most at" in found.words) is (found.steps != 6)
    assert cluster(weights, 3, embed=False).clusters == 3


def test_groups_of_the_dendrogram_have_the_numbers_of_those_they_share_most_with():
    found = cluster(lumps(3, units=60, spread=1.5), 5, embed=False)
    overlap = np.zeros((5, 5), dtype=int)
    np.add.at(overlap, (found.dendrogram, found.labels), 1)
    best = max(sum(overlap[k, order[k]] for k in range(5)) for order in itertools.permutations(range(5)))
    assert np.trace(overlap) == best


def test_representative_kernels_are_without_their_mean():
    weights = lumps(2, units=20, spread=0.3) + 5
    found = cluster(weights, embed=False)
    for one in found.representatives:
        assert abs(one.kernel.mean()) < 1e-6 and {-1, 1} == set(np.unique(one.signs))
