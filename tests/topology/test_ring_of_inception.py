"""The ring of reference 003 on trained weights: it is there, and it is a fact of the covariance."""

import os
from pathlib import Path

import numpy as np
import pytest

from cnnaudit.topology import mapper, ring
from cnnaudit.topology.nulls import GAUSSIAN, NOISE, STUDENT, Settings, directions

DATA = os.environ.get("CNNAUDIT_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="CNNAUDIT_DATA names no folder with real weights")


def kernels(layer: str) -> np.ndarray:
    safetensors = pytest.importorskip("safetensors")
    path = Path(DATA) / "models/inception_v3_imagenet_fp16.safetensors"
    with safetensors.safe_open(str(path), "np") as file:
        return file.get_tensor(f"{layer}.conv.weight").astype(float).reshape(-1, 9)


@pytest.mark.parametrize("layer", ["Mixed_7a.branch3x3_2", "Mixed_7c.branch3x3dbl_2"])
def test_late_layers_have_a_ring_beyond_noise_and_not_beyond_their_covariance(layer):
    pytest.importorskip("ripser", reason='persistent homology needs "cnnaudit[topology]"')
    found = ring(kernels(layer), draws=3, resamples=9, settings=Settings(landmarks=120), describe=False)
    assert found.relative > 0.4 and found.p_values[NOISE] == 0.1
    assert found.p_values[GAUSSIAN] > 0.1 and found.p_values[STUDENT] > 0.1 and found.excess < 0.05


def test_at_variance_one_the_graph_leaves_most_kernels_out_and_at_norm_one_hardly_any():
    shapes, _ = directions(kernels("Mixed_7a.branch7x7x3_4"))
    lens = (shapes - shapes.mean(0)) @ np.linalg.svd(shapes - shapes.mean(0), full_matrices=False)[2][:3].T
    held = {}
    for name, scale in (("norm", 1.0), ("variance", 3.0)):
        graph = mapper(scale * shapes, scale * lens, bins=5, overlap=0.1, eps=0.5, min_samples=3)
        held[name] = len(np.unique(np.concatenate(graph.nodes))) / len(shapes)
    assert held["variance"] < 0.15 and held["norm"] > 0.98
