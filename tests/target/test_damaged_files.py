"""Model and weight files that were damaged or made to lie: each loads or is refused in words, and none crashes."""

from __future__ import annotations

import io
import logging
import pickle
import random
import warnings
import zipfile

import pytest
import torch
from safetensors.torch import save as save_safetensors
from torch import nn

from cnnaudit.core.errors import AuditError, ModelError
from cnnaudit.target import InputSpec
from cnnaudit.target.model_sources import ModelSource, load
from cnnaudit.target.pickled import check_lengths, check_nesting
from cnnaudit.target.probe import probe
from cnnaudit.target.trust import UntrustedError, read_archive, write_archive
from cnnaudit.target.weights import read_weights

SPEC = InputSpec(channels=1, size=(4, 4))
KINDS = ("weights.pt", "legacy.pth", "weights.safetensors", "script.ts", "program.pt2", "graph.onnx")


class Net(nn.Module):
    """A network with a constant and a buffer."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.register_buffer("shift", torch.ones(8))

    def forward(self, x):
        return self.conv(x).relu().flatten(1) + self.shift


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, network = tmp_path_factory.mktemp("files"), Net().eval()
    state = network.state_dict()
    torch.save({"epoch": 3, "state_dict": state}, folder / "weights.pt")
    torch.save(state, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    (folder / "weights.safetensors").write_bytes(save_safetensors(state))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(network).save(str(folder / "script.ts"))
        example = (torch.rand(2, 1, 4, 4),)
        torch.export.save(torch.export.export(network, example), folder / "program.pt2")
        pytest.importorskip("onnxscript")
        torch.onnx.export(network, example, folder / "graph.onnx", verbose=False)
    return {name: (folder / name).read_bytes() for name in KINDS}


def opened(path):
    """Load a file as what its name says; a model is asked for an answer."""
    if path.name.startswith(("weights", "legacy")):
        return read_weights(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = load(ModelSource("demo", path, device="cpu"), SPEC, path.parent).model
        probe(model, torch.rand(2, 1, 4, 4), ModelSource("demo", path), SPEC, "abcdefgh")
    return model.state_dict()


def damaged(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    how = draw.randrange(5)
    if how == 0:
        return bytes(changed[: draw.randrange(len(changed))])
    if how == 1:
        changed[: draw.randrange(1, 64)] = draw.randbytes(16)
    elif how == 2:
        at = draw.randrange(len(changed))
        changed[at : at + draw.randrange(1, 200)] = draw.randbytes(draw.randrange(1, 50))
    elif how == 3:
        at = draw.randrange(max(0, len(changed) - 2000), len(changed))  # the directory of an archive
        changed[at] = draw.randrange(256)
    else:
        for _ in range(draw.randrange(1, 8)):
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def rewritten(data: bytes, draw: random.Random) -> bytes:
    """An archive that is whole, with a member of other bytes: what its checksums do not show."""
    held = members(data)
    name = draw.choice(sorted(held))
    held[name] = damaged(held[name] or bytes(1), draw)
    return write_archive(held).getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_loads_or_is_refused_in_words(files, tmp_path, kind):
    assert opened_from(tmp_path, kind, files[kind]) is not None
    draw = random.Random(kind)
    logging.disable()
    try:
        for number in range(40):
            archive = files[kind][:2] == b"PK"
            change = rewritten if archive and number % 2 else damaged
            try:
                opened_from(tmp_path, kind, change(files[kind], draw))
            except AuditError as error:
                assert str(error) and "Traceback" not in str(error)
    finally:
        logging.disable(logging.NOTSET)


def opened_from(folder, kind, data):
    path = folder / kind
    path.write_bytes(data)
    return opened(path)


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize(
    ("kind", "member"), [("weights.pt", "data/0"), ("script.ts", "data/0"), ("program.pt2", "data/weights/weight_0")]
)
@pytest.mark.parametrize("change", ["shorter", "gone"])
def test_a_member_that_is_shorter_than_its_tensor_is_refused(files, tmp_path, kind, member, change):
    held = members(files[kind])
    data = held.pop(member)
    if change == "shorter":
        held[member] = data[:10]
    with pytest.raises(ModelError, match=member) as caught:
        opened_from(tmp_path, kind, write_archive(held).getvalue())
    assert "10 bytes" in str(caught.value) or "there are 10" in str(caught.value) or change == "gone"


def claim(size, stride, offset=0, count=6):
    """A pickle that claims one tensor over six numbers of 4 bytes."""

    class Numbers:
        pass

    class Claim:
        def __reduce__(self):
            return torch._utils._rebuild_tensor_v2, (Numbers(), offset, size, stride, False, None)

    class Writer(pickle.Pickler):
        def persistent_id(self, thing):
            return ("storage", torch.FloatStorage, "0", "cpu", count) if isinstance(thing, Numbers) else None

    stream = io.BytesIO()
    Writer(stream, protocol=2).dump({"a": Claim()})
    return {"data.pkl": stream.getvalue(), "data/0": bytes(24)}


@pytest.mark.parametrize(
    "size, stride, offset", [((2, 3), (3, 1), 0), ((6,), (0,), 5), ((0, 9), (9, 1), 0), ((), (), 5)]
)
def test_a_tensor_within_its_storage_passes(size, stride, offset):
    check_lengths(claim(size, stride, offset), "data.pkl", "data")


@pytest.mark.parametrize(
    "size, stride, offset",
    [
        *[((2, 3), (3, 1), 1), ((2, 3), (4, 1), 0), ((7,), (1,), 0), ((6,), (-1,), 5), ((2,), (1,), -1)],
        *[((6,), (1, 1), 0), ((2**61, 8), (0, 0), 0), ((), (), 6)],
    ],
)
def test_a_tensor_beyond_its_storage_is_refused(size, stride, offset):
    with pytest.raises(UntrustedError, match=r"data\.pkl has a tensor of size"):
        check_lengths(claim(size, stride, offset), "data.pkl", "data")


def test_a_storage_of_another_length_is_refused():
    with pytest.raises(UntrustedError, match=r"data/0 has 24 bytes, data\.pkl says 28"):
        check_lengths(claim((6,), (1,), count=7), "data.pkl", "data")


def test_a_pickle_that_asks_for_a_huge_memo_is_refused():
    with pytest.raises(UntrustedError, match="wants a memo of 4,294,967,295 entries"):
        check_lengths({"data.pkl": b"\x80\x02Nr\xff\xff\xff\xff."}, "data.pkl", "data")


def test_values_that_hold_themselves_are_refused():
    ring: list = []
    ring.append(ring)
    deep: list = []
    for _ in range(200):
        deep = [deep]
    for value in (ring, deep):
        with pytest.raises(UntrustedError, match="contains itself, or is nested over 100 deep"):
            check_nesting(value, "data.pkl")
    twice = [1, 2]
    check_nesting([twice, twice, {"a": twice}], "data.pkl")


def test_a_checkpoint_that_is_its_own_state_is_refused(tmp_path):
    ring: dict = {}
    ring["state_dict"] = ring
    torch.save(ring, tmp_path / "w.pt")
    with pytest.raises(ModelError, match="holds itself, or is nested over 8 deep"):
        read_weights(tmp_path / "w.pt")


def test_a_name_that_is_no_text_is_refused_in_words(files, tmp_path):
    data = bytearray(files["weights.pt"])
    at = data.rindex(b"PK\x01\x02")
    data[at + 9] |= 8  # the name is said to be UTF-8
    data[at + 46] = 0xFF
    (tmp_path / "w.pt").write_bytes(data)
    with pytest.raises(UntrustedError, match="cannot be read as an archive"):
        read_archive(tmp_path / "w.pt")
