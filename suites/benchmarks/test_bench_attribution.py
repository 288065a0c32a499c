"""Attributions against the libraries that people use: the same model and images in one run, as the ratio ours / peer.

ResNet-18 at 224 on one CPU thread; where a test does not say otherwise the pictures are in `torch.channels_last`
for both. The cost in bfloat16 stands apart, with the error that it makes.
"""

import pytest
import torch

SIZE, BATCH = 224, 32


@pytest.fixture(scope="module")
def network():
    from torchvision.models import resnet18

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return resnet18(weights=None).eval()


@pytest.fixture(scope="module")
def images():
    pixels = torch.rand(BATCH, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    return pixels.contiguous(memory_format=torch.channels_last)


@pytest.fixture(params=["fp32", "bf16"])
def precision(request):
    """A context for the pass in that precision."""
    return lambda: torch.autocast("cpu", torch.bfloat16, enabled=request.param == "bf16"), request.param


def error(found, expected):
    """The relative error, |found - expected| / |expected|."""
    return float((found.float() - expected.float()).norm() / expected.float().norm())


def test_guided_backpropagation(against, network, images, precision):
    captum = pytest.importorskip("captum.attr")
    from cnnaudit.attribution import guided_backpropagation

    context, name = precision
    targets = torch.arange(len(images))
    peer = captum.GuidedBackprop(network)

    plain = images.contiguous()  # the layout in which people call both

    def ours():
        with context():
            return guided_backpropagation(network, plain, targets)

    def theirs():
        return peer.attribute(plain.clone(), target=targets)

    assert error(ours(), theirs()) < (1e-3 if name == "fp32" else 0.2)
    assert against(f"guided_backpropagation/{name}/captum", ours, theirs).ratio > 0


def test_integrated_gradients(against, network, images, precision):
    captum = pytest.importorskip("captum.attr")
    from cnnaudit.attribution import integrated_gradients

    context, name = precision
    image = images[:1].contiguous()
    peer = captum.IntegratedGradients(network)

    def ours():
        with context():
            return integrated_gradients(network, image, 5, steps=50)

    def theirs():
        return peer.attribute(image.clone(), target=5, n_steps=50)

    assert error(ours(), theirs()) < (1e-2 if name == "fp32" else 0.3)
    assert against(f"integrated_gradients/{name}/captum", ours, theirs, rounds=3, warm_up=1).ratio > 0


def test_grad_cam(against, network, images, precision):
    captum = pytest.importorskip("captum.attr")
    from cnnaudit.attribution import grad_cam

    context, name = precision
    targets = torch.arange(len(images))
    peer = captum.LayerGradCam(network, network.layer4)

    def ours():
        with context():
            return grad_cam(network, images, targets, layer="layer4")

    def theirs():
        maps = peer.attribute(images.clone(), target=targets, relu_attributions=True)
        return captum.LayerAttribution.interpolate(maps, (SIZE, SIZE), "bilinear")[:, 0]

    assert error(ours(), theirs()) < (1e-4 if name == "fp32" else 0.05)
    assert against(f"grad_cam/{name}/captum", ours, theirs).ratio > 0


def test_grad_cam_of_pytorch_grad_cam(against, network, images, precision):
    peer = pytest.importorskip("pytorch_grad_cam")
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    from cnnaudit.attribution import grad_cam

    context, name = precision
    targets = [ClassifierOutputTarget(k) for k in range(len(images))]

    def ours():
        with context():
            return grad_cam(network, images, torch.arange(len(images)), layer="layer4")

    with peer.GradCAM(network, [network.layer4]) as method:
        assert against(f"grad_cam/{name}/pytorch_grad_cam", ours, lambda: method(images.clone(), targets)).ratio > 0


def test_occlusion(against, network, images, precision):
    """729 windows; the drops in this network of random weights are so small that bfloat16 rounds them away."""
    captum = pytest.importorskip("captum.attr")
    from cnnaudit.attribution import occlusion

    context, name = precision
    image, peer = images[:1], captum.Occlusion(network)
    windows = {"sliding_window_shapes": (3, 16, 16), "strides": (3, 8, 8), "perturbations_per_eval": 8}

    def ours():
        with context():
            return occlusion(network, image, 5, window=16, stride=8)

    def theirs():
        return peer.attribute(image, target=5, baselines=0.5, **windows)

    found = error(ours(), theirs())
    assert found < 1e-3 or name == "bf16"
    assert against(f"occlusion/{name}/captum", ours, theirs, rounds=2, warm_up=0).ratio > 0


def test_lime(against, network, precision):
    """1,000 masked copies of an image of smooth blobs, the same ones for both."""
    lime_image = pytest.importorskip("lime.lime_image")
    from cnnaudit.attribution import lime_explanation

    context, name = precision
    coarse = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(2))
    image = torch.nn.functional.interpolate(coarse, (SIZE, SIZE), mode="bicubic")[0].clamp(0, 1)
    array = image.permute(1, 2, 0).double().numpy()

    def classify(batch):
        with torch.no_grad():
            return network(torch.as_tensor(batch).permute(0, 3, 1, 2).float()).softmax(1).numpy()

    def ours(samples=1000):
        with context():
            return lime_explanation(network, image, 5, samples=samples, seed=0)

    def theirs(samples=1000):
        explainer = lime_image.LimeImageExplainer(random_state=0)
        options = {"top_labels": None, "num_samples": samples, "random_seed": 0}
        return explainer.explain_instance(array, classify, labels=(5,), **options)

    found, wanted = ours(40), dict(theirs(40).local_exp[5])
    weights = torch.tensor([wanted[k] for k in range(len(wanted))])
    assert error(torch.as_tensor(found.weights[0]), weights) < (1e-3 if name == "fp32" else 0.5)
    assert against(f"lime/{name}/lime", ours, theirs, rounds=2, warm_up=0).ratio > 0
