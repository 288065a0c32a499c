"""Models as people have them: saved by transformers, of timm, compiled, quantized, with other answers or inputs."""

from __future__ import annotations

import json
import warnings
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from cnnaudit.checks.audit_file import load_target, read
from cnnaudit.core.errors import AuditError, ConfigError, ModelError
from cnnaudit.target import AuditTarget
from cnnaudit.target.transformers_files import preprocessing

CLASSES = ("a", "b")
IMAGES, LABELS = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(0)), [0, 1, 0, 1]
Output = namedtuple("Output", "loss logits")


class Answers(nn.Module):
    """A linear network whose answer is dressed up."""

    def __init__(self, dress=lambda logits: logits, outputs: int = 2) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.head, self.dress = nn.Linear(16, outputs), dress

    def forward(self, x):
        return self.dress(self.head(x.flatten(1)))


def target_of(network: nn.Module) -> AuditTarget:
    return AuditTarget.from_arrays("demo", network, {"validation": (IMAGES, LABELS)}, CLASSES)


@pytest.mark.parametrize(
    "dress",
    [
        lambda z: {"logits": z, "features": z[:, :1]},
        lambda z: (z, torch.zeros(len(z), 9)),
        lambda z: SimpleNamespace(logits=z),
        lambda z: Output(None, z),
    ],
    ids=["dict", "tuple", "object", "named tuple"],
)
def test_answers_of_more_than_logits_are_cut_down_to_them(dress) -> None:
    target = target_of(Answers(dress))
    torch.testing.assert_close(target.logits(IMAGES), Answers()(IMAGES).detach())
    assert "head" in dict(target.model.named_modules())


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Answers(outputs=3), "demo: the model answers 3 classes, data.classes names 2"),
        (Answers(outputs=1), "demo: the model answers one number"),
        (Answers(lambda z: z.softmax(1)), "demo: the model answers probabilities"),
        (Answers(lambda z: z.sigmoid()), "demo: the model ends in a sigmoid.*one_per_label"),
        (Answers(lambda z: [{"boxes": z, "scores": z}] * 4), "demo: the model is a detector"),
        (Answers(lambda z: z * torch.nan), "demo: the model answers NaN"),
        (nn.Conv2d(3, 2, 3), "demo: the model rejects images"),
        ("net", "demo: expected a torch.nn.Module, got str"),
    ],
)
def test_a_model_is_asked_at_once(network, message) -> None:
    with pytest.raises(ModelError, match=message):
        target_of(network)


class WithAge(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(17, 2)

    def forward(self, image, age):
        return self.head(torch.cat([image.flatten(1), age.expand(len(image), 1)], 1))


def test_a_second_input_is_answered_with_a_wrapper_that_works() -> None:
    with pytest.raises(ModelError, match=r"the model wants image, age, an audit shows it images only") as caught:
        target_of(WithAge())
    code = "\n".join(line[4:] for line in str(caught.value).splitlines()[1:]).replace(
        "age=...", "age=torch.tensor(0.5)"
    )
    assert len(code.splitlines()) == 4
    names = {"torch": torch, "WithAge": WithAge}
    exec(code, names)
    assert target_of(names["ImagesOnly"]()).logits(IMAGES).shape == (4, 2)


def test_a_compiled_model_is_its_own_network() -> None:
    network = Answers()
    assert target_of(torch.compile(network)).model is network


def test_a_quantized_model_answers() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = torch.ao.quantization.quantize_dynamic(Answers().eval(), {nn.Linear}, dtype=torch.qint8)
        torch.testing.assert_close(target_of(network).logits(IMAGES), Answers()(IMAGES).detach(), atol=0.05, rtol=0.05)


def write(folder: Path, source: str, more: str = "[input]\n") -> Path:
    (folder / "two.py").write_text("import torch\ndef data():\n    return torch.rand(4, 3, 32, 32), [0, 1, 0, 1]\n")
    file = folder / "audit.toml"
    file.write_text(
        f"[model]\nname = 'net'\nsource = '{source}'\n{more}[data]\nvalidation = 'two:data'\nclasses = ['a', 'b']\n"
    )
    return file


PROCESSOR = {"size": {"height": 32, "width": 32}, "resample": 2, "image_mean": [0.5] * 3, "image_std": [0.25] * 3}


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("saved") / "vit"
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24, image_size=32, patch_size=8
    )
    transformers.ViTForImageClassification(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    return folder


@pytest.fixture
def folder(tmp_path: Path, saved: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    for file in saved.iterdir():
        (tmp_path / "vit").mkdir(exist_ok=True)
        (tmp_path / "vit" / file.name).write_bytes(file.read_bytes())
    return tmp_path


def test_a_saved_transformers_model_with_its_processors_preprocessing(folder: Path) -> None:
    import transformers

    target = load_target(write(folder, "hf:vit"))
    assert (target.input.size, target.input.mean, target.input.std) == ((32, 32), (0.5,) * 3, (0.25,) * 3)
    images = torch.rand(2, 3, 32, 32)
    theirs = transformers.ViTForImageClassification.from_pretrained(folder / "vit")
    processor = transformers.ViTImageProcessor.from_pretrained(folder / "vit")
    given = processor(images=list(images), return_tensors="pt", do_rescale=False)
    torch.testing.assert_close(target.logits(images), theirs(**given).logits.detach(), atol=1e-5, rtol=1e-4)
    assert any("attention" in name for name, _ in target.model.named_modules())
    assert read(write(folder, "hf:vit", "[input]\nmean = 0.1\n")).input.mean == (0.1,)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("config.json", {"auto_map": {"AutoModel": "evil.py--X"}}, "auto_map asks for code of its own"),
        ("config.json", {"architectures": ["ViTModel"]}, "expected one ...ForImageClassification"),
        ("config.json", {"hidden_size": 10**12}, "a number of 40 bits"),
        ("config.json", {"num_hidden_layers": 10**6}, "num_hidden_layers = 1000000, expected at most 1,000"),
        ("config.json", {"num_hidden_layers": 2}, r"config\.json describes [0-9,]+ numbers, its tensors hold"),
        ("config.json", {"intermediate_size": 23}, "transformers cannot load vit|other shapes"),
        ("config.json", {"model_type": "no_such"}, "cannot load vit .no_such."),
        ("config.json", None, "cannot be read as JSON"),
        ("model.safetensors", None, "not a safetensors file"),
        ("preprocessor_config.json", {"do_pad": True}, "do_pad is nothing that"),
        ("preprocessor_config.json", {"size": {"longest_edge": 9}}, "expected height and width"),
        ("preprocessor_config.json", {"image_mean": ["x"]}, "expected a number, got 'x'"),
    ],
)
def test_a_hostile_folder_is_refused_by_its_file(folder: Path, name: str, change, message: str) -> None:
    path = folder / "vit" / name
    if change is None:
        path.write_bytes(b"{" * 50)
    else:
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(AuditError, match=rf"(?s){message}"):
        load_target(write(folder, "hf:vit"))


def test_weights_that_are_a_pickle_are_not_read(folder: Path) -> None:
    (folder / "vit" / "model.safetensors").rename(folder / "vit" / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"vit: no model\.safetensors; 'pytorch_model\.bin' may hold code"):
        load_target(write(folder, "hf:vit"))
    index = {"weight_map": {"x": "../secret.safetensors"}}
    (folder / "vit" / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"expected names of \.safetensors files beside it"):
        load_target(write(folder, "hf:vit"))


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        ({"size": 30}, {"size": [30, 30]}),
        ({"size": {"shortest_edge": 36}, "do_center_crop": True, "crop_size": 32}, {"size": [32, 32], "resize": 36}),
        ({"size": {"shortest_edge": 224}}, {"size": [224, 224], "resize": 256}),
        ({"size": {"shortest_edge": 384}}, {"size": [384, 384]}),
        ({"size": 30, "resample": 3, "do_rescale": False}, {"interpolation": "bicubic", "scale": 255.0}),
    ],
)
def test_a_processor_in_the_words_of_input(tmp_path: Path, processor: dict, expected: dict) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    assert preprocessing(tmp_path).items() >= expected.items()


def test_timm_models_state_their_own_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timm = pytest.importorskip("timm")
    monkeypatch.syspath_prepend(str(tmp_path))
    stated = timm.models.get_pretrained_cfg("resnet10t")
    found = read(write(tmp_path, "timm:resnet10t", "")).input
    assert (found.size, found.mean, found.std) == (tuple(stated.input_size[1:]), stated.mean, stated.std)
    with pytest.raises(ConfigError, match=r"input\.size: missing, and the model does not state it"):
        read(write(tmp_path, "timm:no_such_net", ""))
    with pytest.raises(ConfigError, match=r"input\.size: missing; expected \[height, width\]"):
        read(write(tmp_path, "two:data", ""))


def test_a_traced_network_is_audited_as_it_is():
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))
    images = torch.rand(6, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    split = {"validation": (images, [0, 1] * 3)}
    traced = torch.jit.trace(network, images)
    target = AuditTarget.from_arrays("traced", traced, split, ("a", "b"))
    torch.testing.assert_close(target.logits(images), network(images))
