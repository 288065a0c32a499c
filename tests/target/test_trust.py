"""Model files with code in them: refused by name, and nothing in them runs."""

from __future__ import annotations

import io
import json
import logging
import os
import pickle
import warnings
import zipfile
from pathlib import Path

import pytest
import torch

from cnnaudit.core.errors import ModelError
from cnnaudit.target import InputSpec
from cnnaudit.target.exported import CONFIGS, PROGRAM, SAMPLE
from cnnaudit.target.model_sources import ModelSource, load
from cnnaudit.target.torchscript import load_torchscript
from cnnaudit.target.trust import UntrustedError, read_archive, scan_pickle, scan_tensors, write_archive
from cnnaudit.target.weights import read_weights

SPEC = InputSpec(channels=1, size=(4, 4))


class Canary:
    """Pickles into a command that writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.command = f"touch {path}"

    def __reduce__(self):
        return os.system, (self.command,)

    def sang(self) -> bool:
        if not self.path.exists():
            return False
        self.path.unlink()
        return True


@pytest.fixture
def canary(tmp_path):
    bird = Canary(tmp_path / "canary")
    yield bird
    assert not bird.sang(), "code in a planted file ran"


class Net(torch.nn.Module):
    """A small network with a buffer and a branch that TorchScript keeps."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 2, 3)
        self.register_buffer("shift", torch.ones(8))

    def forward(self, x):
        y = self.conv(x).relu().flatten(1) + self.shift
        return y[:, :2] if y.shape[1] > 2 else y


class Writer(Net):
    """A network that writes a file, as TorchScript can."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def forward(self, x):
        torch.save(x, self.path)
        return x.flatten(1)


def saved(value, **how) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **how)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def exported() -> bytes:
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(Net().eval(), (torch.rand(2, 1, 4, 4),), dynamic_shapes=({0: batch},))
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def scripted(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("scripted") / "net.pt"
    return script(Net(), path)


def script(net, path: Path) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(net.eval()).save(str(path))
    return path.read_bytes()


def members_of(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {name.partition("/")[2]: opened.read(name) for name in opened.namelist()}


def planted(archive: bytes, members) -> bytes:
    """The archive with members replaced or added; a function changes what is there."""
    changed = members_of(archive)
    for name, data in members.items():
        changed[name] = data(changed[name]) if callable(data) else data
    return write_archive(changed).getvalue()


def edited(edit):
    """A change of a JSON member."""

    def change(data: bytes) -> bytes:
        document = json.loads(data)
        edit(document)
        return json.dumps(document).encode()

    return change


def refusal(path: Path, data: bytes, **settings) -> str:
    """What is said when that file is loaded as a model."""
    path.write_bytes(data)
    with pytest.raises(ModelError) as caught:
        load(ModelSource("demo", path, **settings), SPEC, path.parent)
    return str(caught.value)


# pickles


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_pickle_with_a_command_is_refused_in_every_protocol(canary, protocol):
    with pytest.raises(UntrustedError):
        scan_pickle(pickle.dumps({"a": canary}, protocol=protocol), "data.pkl")


def test_the_command_is_named(canary):
    with pytest.raises(UntrustedError, match=r"data\.pkl is a pickle that wants posix\.system"):
        scan_pickle(pickle.dumps(canary, protocol=2), "data.pkl")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "wants os.system"),
        (b"(S'true'\nios\nsystem\n.", "STRING|INST"),
        (b"\x80\x02X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93.", "STACK_GLOBAL"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x02N.cos\nsystem\n.", "goes on after the end"),
        (b"\x80\x02N", "cannot be read as a pickle"),
        (b"", "cannot be read as a pickle"),
        (b"c\xffos\nsystem\n.", "cannot be read as a pickle"),
    ],
)
def test_what_could_hide_a_call_is_refused(data, said):
    with pytest.raises(UntrustedError, match=said):
        scan_pickle(data, "data.pkl")


def test_tensors_and_containers_pass():
    value = {"a": torch.rand(3), "b": [torch.ones(2, dtype=torch.int8), (1, 2.5, None, True, "x" * 300)], "c": 10**20}
    scan_tensors(saved(value), "sample")
    scan_tensors(saved(torch.nn.Linear(2, 2).state_dict()), "weights")


@pytest.mark.parametrize("how", [{}, {"pickle_protocol": 4}, {"_use_new_zipfile_serialization": False}])
def test_weights_with_a_command_are_refused_with_the_safe_way(canary, tmp_path, how):
    path = tmp_path / "w.pt"
    path.write_bytes(saved({"a": torch.ones(2), "b": canary}, **how))
    with pytest.raises(ModelError) as caught:
        read_weights(path)
    for part in ("w.pt is a pickle that", "Nothing was run", "safetensors.torch.save_file", "model.weights"):
        assert part in str(caught.value)
    if how.get("pickle_protocol") != 4:
        assert "posix.system" in str(caught.value)
    with open(path, "rb") as stream:
        torch.load(stream, weights_only=False)
    assert canary.sang(), "the planted file would not have run in the first place"


# archives


def test_an_archive_is_read_below_its_root(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(write_archive({"x": b"1", "y/z": b"2"}).getvalue())
    assert read_archive(path) == {"x": b"1", "y/z": b"2"}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a/x", "a/x"], "two members of one name"),
        (["a/x", "a/X"], "two members of one name"),
        (["a/x", "b/x"], "outside its root folder, 'b/x'"),
        (["a/x", "a/../../x"], "outside its root folder"),
        (["x"], "outside its root folder"),
    ],
)
def test_an_ambiguous_archive_is_refused(tmp_path, names, said):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            archive.writestr(name, b"")
    with pytest.raises(UntrustedError, match=said):
        read_archive(path)


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a/zeros", "w") as member:
        for _ in range(80):
            member.write(bytes(2**20))
    assert path.stat().st_size < 2**20
    with pytest.raises(UntrustedError, match=r"unpacks from .* to 83,886,080 bytes"):
        read_archive(path)


def test_what_is_no_archive_is_said_to_be_none(tmp_path):
    for suffix in (".pt2", ".pt"):
        assert "cannot be read as an archive" in refusal(tmp_path / f"m{suffix}", b"hello")
        assert "cannot be read as an archive" in refusal(tmp_path / f"m{suffix}", b"PK\x03\x04" + bytes(40))


# torch.export


def run_export(archive: bytes) -> None:
    """What torch does with an archive, whatever comes of it."""
    logging.disable()
    try:
        torch.export.load(io.BytesIO(archive)).module()(torch.rand(2, 1, 4, 4))
    except Exception:
        pass
    finally:
        logging.disable(logging.NOTSET)


def test_a_plain_export_is_loaded(exported, tmp_path):
    path = tmp_path / "m.pt2"
    path.write_bytes(exported)
    model = load(ModelSource("demo", path), SPEC, tmp_path).model
    x = torch.rand(3, 1, 4, 4)
    assert torch.equal(model(x), torch.export.load(path).module()(x))


def test_an_export_made_on_a_gpu_is_loaded_on_the_cpu(exported, tmp_path):
    path = tmp_path / "m.pt2"
    moved = {name: lambda data: data.replace(b'"cpu"', b'"cuda"') for name in (PROGRAM, *CONFIGS)}
    path.write_bytes(planted(exported, moved))
    model = load(ModelSource("demo", path, device="cpu"), SPEC, tmp_path).model
    x = torch.rand(3, 1, 4, 4)
    assert torch.equal(model(x), torch.export.load(io.BytesIO(exported)).module()(x))


def test_an_export_with_a_command_among_its_sample_inputs_is_refused(canary, exported, tmp_path):
    archive = planted(exported, {SAMPLE: saved(((canary,), {}))})
    said = refusal(tmp_path / "m.pt2", archive)
    for part in ("m.pt2 is refused", "sample_inputs", "posix.system", "Nothing in it was run", "model.trusted = true"):
        assert part in said
    run_export(archive)
    assert canary.sang()


def symbols(document, text: str) -> None:
    for value in document["graph_module"]["graph"]["tensor_values"].values():
        if "as_expr" in value["sizes"][0]:
            value["sizes"][0]["as_expr"]["expr_str"] = text


def signature(document, **changes) -> None:
    document["graph_module"]["module_call_graph"][0]["signature"].update(changes)


def renamed(document, old: str, new: str) -> None:
    text = json.dumps(document).replace(json.dumps(old), json.dumps(new))
    document.clear()
    document.update(json.loads(text))


TREE = {"type": "builtins.dict", "context": json.dumps({"__enum__": True, "fqn": "this:x", "name": "y"})}
COMMAND = "__import__('os').system('{0}')"
EDITS = {
    "size": lambda document, command: symbols(document, command),
    "hidden size": lambda document, command: symbols(document, f"Add(1, {command})"),
    "attribute": lambda document, command: symbols(document, "Integer.__subclasses__()"),
    "operator": lambda document, command: document["graph_module"]["graph"]["nodes"][0].update(
        target="torch.os.system"
    ),
    "builtin": lambda document, command: document["graph_module"]["graph"]["nodes"][0].update(target="_operator.call"),
    "dunder": lambda document, command: document["graph_module"]["graph"]["nodes"][0].update(
        target="torch.ops.aten.__class__.mro"
    ),
    "file": lambda document, command: document["graph_module"]["graph"]["nodes"][0].update(
        target="torch.ops.aten.from_file.default"
    ),
    "parameter": lambda document, command: renamed(document, "conv.weight", f'w"+{command}+"'),
    "node": lambda document, command: renamed(document, "relu", f"a={command};b"),
    "argument": lambda document, command: signature(document, forward_arg_names=[f"x={command}"]),
    "tree": lambda document, command: signature(document, in_spec=json.dumps([1, {**TREE, "children_spec": []}])),
}


@pytest.mark.parametrize("place", EDITS)
def test_an_export_with_code_in_its_graph_is_refused(canary, exported, tmp_path, place):
    command = COMMAND.format(canary.command)
    archive = planted(exported, {PROGRAM: edited(lambda document: EDITS[place](document, command))})
    assert "models/model.json" in refusal(tmp_path / "m.pt2", archive)
    run_export(archive)
    assert canary.sang() == ("size" in place)  # torch evaluates sizes; the others fail here for other reasons


def test_guards_are_left_behind(canary, exported, tmp_path):
    guard = f"{COMMAND.format(canary.command)} == 0"
    archive = planted(exported, {PROGRAM: edited(lambda document: document.update(guards_code=[guard]))})
    path = tmp_path / "m.pt2"
    path.write_bytes(archive)
    load(ModelSource("demo", path), SPEC, tmp_path).model(torch.rand(2, 1, 4, 4))
    assert not canary.sang()
    run_export(archive)
    assert canary.sang()


@pytest.mark.parametrize(
    "member",
    [
        "data/constants/custom_obj_0",
        "data/constants/opaque_obj_0",
        "data/weights/model.pt",
        "data/constants/model.pt",
        "data/aotinductor/model/wrapper.so",
        "models/other.json",
        "evil.pkl",
    ],
)
def test_an_export_with_another_member_is_refused(canary, exported, tmp_path, member):
    archive = planted(exported, {member: pickle.dumps(canary, protocol=2)})
    assert f"a member that no plain model needs, '{member}'" in refusal(tmp_path / "m.pt2", archive)


def test_an_export_with_a_pickled_weight_is_refused(canary, exported, tmp_path):
    pickled = edited(lambda document: next(iter(document["config"].values())).update(use_pickle=True))
    archive = planted(exported, {"data/weights/weight_0": saved(canary), CONFIGS[0]: pickled})
    assert "use_pickle = 'True'" in refusal(tmp_path / "m.pt2", archive)
    run_export(archive)
    assert canary.sang()


def test_a_trusted_export_may_run_its_code(canary, exported, tmp_path):
    path = tmp_path / "m.pt2"
    path.write_bytes(planted(exported, {SAMPLE: saved(((canary,), {}))}))
    load(ModelSource("demo", path, trusted=True), SPEC, tmp_path)
    assert canary.sang()


# TorchScript


def test_a_plain_script_is_loaded(scripted, tmp_path):
    path = tmp_path / "m.pt"
    path.write_bytes(scripted)
    model = load(ModelSource("demo", path), SPEC, tmp_path).model
    x = torch.rand(3, 1, 4, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert torch.equal(model(x), torch.jit.load(path)(x))


@pytest.mark.parametrize("name", ["squeezenet1_1", "shufflenet_v2_x0_5"])
def test_ordinary_networks_are_loaded_from_scripts_and_traces(tmp_path, name):
    from torchvision.models import get_model

    torch.manual_seed(0)
    network, x = get_model(name, num_classes=3).eval(), torch.rand(2, 3, 64, 64)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.jit.script(network).save(str(tmp_path / "script.pt"))
        torch.jit.trace(network, x, check_trace=False).save(str(tmp_path / "trace.pt"))
        for kind in ("script.pt", "trace.pt"):
            torch.testing.assert_close(load_torchscript(tmp_path / kind, False, "cpu")(x), network(x))


def test_a_graph_is_judged_as_well_as_its_code(tmp_path, monkeypatch):
    path = tmp_path / "m.pt"
    script(Writer("x"), path)
    monkeypatch.setattr("cnnaudit.target.torchscript.checked_code", lambda data, name: data)
    with pytest.raises(UntrustedError, match="forward has the operator aten::save"):
        load_torchscript(path, False, "cpu")


def test_what_would_run_while_a_script_is_loaded_is_refused(scripted, tmp_path):
    more = b"  def __setstate__(self, x: Tensor) -> NoneType:\n    return None\n"
    name = next(name for name in members_of(scripted) if name.endswith(".py"))
    said = refusal(tmp_path / "m.pt", planted(scripted, {name: lambda code: code + more}))
    assert "__setstate__, which runs while the file is loaded" in said


def test_a_script_that_writes_a_file_is_refused(canary, tmp_path):
    path = tmp_path / "m.pt"
    script(Writer(str(canary.path)), path)
    said = refusal(path, path.read_bytes())
    for part in ("m.pt is refused", "code/__torch__", "torch.save", "Nothing in it was run", "model.trusted = true"):
        assert part in said
    assert not canary.sang()
    load(ModelSource("demo", path, trusted=True), SPEC, tmp_path).model(torch.rand(2, 1, 4, 4))
    assert canary.sang()


@pytest.mark.parametrize(
    "line",
    [
        "ops.image.write_file('x', x)",
        "ops . image . write_file('x', x)",
        "ops.image.read_file('x')",
        "torch.from_file('x')",
        "(x).save('x')",
        "ops.prim.rpc_sync('x', 'y')",
        "torch.classes.dist_c10d.Store.make()",
        "ops.\\\n  image.read_file('x')",
        "ops # aten\n  .image.read_file('x')",
        "^PythonOp()(x)",
        'getattr(torch, "from\\137file")("x")',
        'getattr(torch, "sa" "ve")(x, "x")',
        't = torch\n    t.save(x, "x")',
        "torch = x",
        "__torch__.torch.classes.dist_c10d.Store.make()",
        "c = __torch__.torch",
        "(lambda: x)()",
        "x.set_(x)",
        "ops.aten._sparse_coo_tensor_unsafe(x, x, [1])",
        "x = " + "[" * 160 + "x" + "]" * 160,
        "x = " + "-" * 400 + "x",
    ],
)
def test_code_that_reaches_beyond_the_network_is_refused(scripted, tmp_path, line):
    more = f"  def more(self, x: Tensor) -> Tensor:\n    {line}\n    return x\n".encode()
    name = next(name for name in members_of(scripted) if name.endswith(".py"))
    archive = planted(scripted, {name: lambda code: code + more})
    said = refusal(tmp_path / "m.pt", archive)
    assert name in said and "Nothing in it was run" in said


@pytest.mark.parametrize("member", ["data.pkl", "constants.pkl", "traced_inputs.pkl", "code/x.debug_pkl"])
def test_a_script_with_a_command_in_a_pickle_is_refused(canary, scripted, tmp_path, member):
    archive = planted(scripted, {member: pickle.dumps(canary, protocol=2)})
    said = refusal(tmp_path / "m.pt", archive)
    assert "posix.system" in said and "Nothing in it was run" in said


def test_a_script_with_another_member_is_refused(canary, scripted, tmp_path):
    archive = planted(scripted, {"evil": pickle.dumps(canary, protocol=2)})
    assert "no plain model needs, 'evil'" in refusal(tmp_path / "m.pt", archive)


def test_a_pickled_module_as_source_is_refused(canary, tmp_path):
    said = refusal(tmp_path / "m.pt", saved({"model": Net().state_dict(), "run": canary}))
    for part in ("pickled Python objects", "Nothing in it was run", "'module:callable'", "safetensors"):
        assert part in said


def test_a_trusted_pickle_is_still_no_model(canary, tmp_path):
    assert "TorchScript cannot load it" in refusal(tmp_path / "m.pt", saved({"run": canary}), trusted=True)
