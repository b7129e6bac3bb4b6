"""Nothing but arithmetic gets through: every other program, object and file is refused."""

from __future__ import annotations

import io
import pickle
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from napari_deepz.generators.errors import ModelError
from napari_deepz.generators.torchscript.archive import checked_archive
from napari_deepz.generators.torchscript.generator import (
    load_torchscript,
    without_deprecation_of_torchscript,
)
from tests.generators.torchscript_networks import (
    TwoInputs,
    edited,
    seeded,
    to_script,
)

NO_FIELDS = pickle.dumps((), protocol=2)


def program(body: str, members: str = "", fields: bytes = NO_FIELDS) -> bytes:
    """A TorchScript file with a program written by hand."""
    code = f"class N(Module):\n  __parameters__ = []\n  __buffers__ = []\n{members}"
    code += f"  def forward(self: __torch__.N,\n    x: Tensor) -> Tensor:\n{body}"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("n/data.pkl", fields)
        archive.writestr("n/constants.pkl", NO_FIELDS)
        archive.writestr("n/code/__torch__.py", code)
        archive.writestr("n/version", "3\n")
    return stream.getvalue()


def test_only_what_a_network_needs_is_kept():
    script = to_script(seeded(TwoInputs))
    stream = io.BytesIO(script)
    with zipfile.ZipFile(stream, "a") as archive:
        top = archive.namelist()[0].partition("/")[0]
        archive.writestr(f"{top}/extra/notes", "a note")
        archive.writestr(f"{top}/model.json", "{}")
    kept = zipfile.ZipFile(io.BytesIO(checked_archive(stream.getvalue(), "here"))).namelist()
    names = {name.partition("/")[2] for name in kept}
    assert {"data.pkl", "constants.pkl", "version", "data/0"} < names
    assert [name for name in names if name.startswith("code/")]
    assert not [n for n in names if "extra" in n or "debug" in n or n == "model.json"]


class Saves(nn.Module):
    def forward(self, image: Tensor, dpm: Tensor) -> Tensor:
        torch.save(image, "stolen")
        return image


class MapsAFile(nn.Module):
    def forward(self, image: Tensor, dpm: Tensor) -> Tensor:
        return torch.from_file("secret", False, 16, dtype=torch.uint8).float() + image


class RunsOnLoading(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    @torch.jit.export
    def __getstate__(self) -> tuple[Tensor, bool]:
        return self.weight, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[Tensor, bool]) -> None:
        torch.save(state[0], "stolen")
        self.weight = state[0]
        self.training = state[1]

    def forward(self, image: Tensor, dpm: Tensor) -> Tensor:
        return image * self.weight


class Prints(nn.Module):
    def forward(self, image: Tensor, dpm: Tensor) -> Tensor:
        print(image)
        return image


@pytest.mark.parametrize(
    ("network", "named"),
    [
        (Saves, "'torch.save'"),
        (MapsAFile, "'torch.from_file'"),
        (RunsOnLoading, "'__[gs]etstate__'"),
        (Prints, "'print'"),
    ],
)
def test_programs_that_do_more_than_arithmetic_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: type[nn.Module], named: str
):
    monkeypatch.chdir(tmp_path)
    script = to_script(network().eval(), scripted=True)
    with pytest.raises(ModelError, match=f"uses .*{named}.*nothing of it was run") as caught:
        load_torchscript(script, "in worm.zip")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_what_is_refused_would_have_been_run_by_pytorch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    script = to_script(RunsOnLoading().eval(), scripted=True)
    with without_deprecation_of_torchscript():
        torch.jit.load(io.BytesIO(script))
    assert (tmp_path / "stolen").exists()


@pytest.mark.parametrize(
    "body",
    [
        '    return (x).save("f")\n',
        '    f = (x).save\n    return f("f")\n',
        '    return getattr(x, "save")("f")\n',
        '    y = getattr(x, "save")\n    return y("f")\n',
        '    return ops.aten.save(x, "f")\n',
        "    return ops.quantized.relu6(x)\n",
        "    return ops.mine.steal(x)\n",
        '    t = torch\n    return t.save(x, "f")\n',
        '    o = ops\n    return o.mine.steal(x, "f")\n',
        '    getattr = 1\n    return getattr(x, "save")\n',
        "    torch = x\n    return torch.relu(x)\n",
        '    y = [(x).save][0]\n    return y("f")\n',
        "    return __torch__.torch.classes.mine.Thief(x).steal()\n",
        "    return fork(self.forward, x)\n",
        "    import os\n    return x\n",
        "    with x as y:\n      pass\n    return x\n",
        "    return (lambda y: y)(x)\n",
        "    return torch.relu(*[x])\n",
        "    return torch.relu(**x)\n",
        "    return torch._reshape_alias(x, [9], [9])\n",
        "    return torch.as_strided(x, [9], [9])\n",
        "    y = f'{x}'\n    return x\n",
        "    y = b'x'\n    return x\n",
        "    return x.__class__\n",
        "    while True:\n      x = torch.relu(x)\n    return x\n",
        "    for i in range(1099511627776):\n      x = torch.relu(x)\n    return x\n",
        "    for i in range(10, 1099511627776, 1):\n      x = torch.relu(x)\n    return x\n",
        "    for i in x:\n      x = torch.relu(x)\n    return x\n",
    ],
)
def test_programs_written_by_hand_are_refused(body: str):
    with pytest.raises(ModelError, match="nothing of it was run"):
        checked_archive(program(body), "here")


@pytest.mark.parametrize(
    "members",
    [
        "  def __setstate__(self: __torch__.N, s: Tensor) -> NoneType:\n    return None\n",
        "  def __init__(self: __torch__.N) -> NoneType:\n    return None\n",
        "  @torch.relu\n  def f(self: __torch__.N, s: Tensor) -> Tensor:\n    return s\n",
    ],
)
def test_methods_that_run_by_themselves_are_refused(members: str):
    with pytest.raises(ModelError, match="nothing of it was run"):
        checked_archive(program("    return x\n", members), "here")


def test_the_program_by_hand_would_pass_without_its_fault():
    checked_archive(program("    return torch.relu(x)\n"), "here")
    for turns in ("3", "torch.len(x)", "torch.__range_length(1, torch.size(x, 2), 2)"):
        body = f"    for i in range({turns}):\n      x = torch.relu(x)\n    return x\n"
        checked_archive(program(body), "here")


class _Exploit:
    def __reduce__(self):
        return (print, ("run",))


def with_fields(fields: bytes) -> bytes:
    return program("    return x\n", fields=fields)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (pickle.dumps(_Exploit(), protocol=2), "object of the kind '__builtin__ print'"),
        (b"c__torch__.torch.classes.mine\nThief\n.", "kind '__torch__.torch.classes.mine Thief'"),
        (b"ca\x1b[2J\nb\n.", r"of the kind 'a\\x1b\[2J b'"),
        (pickle.dumps(["text"], protocol=4), "damaged"),
        # A number where PyTorch expects the place of an object that it was told of before.
        (b"\x80\x02K\x00)R.", "damaged"),
        (b"\x80\x02c__torch__\nN\n)\x81K\x00b)\x81.", "damaged"),
        (b"\x80\x02((t.", "damaged"),
        (b"\x80\x02))" + b"0.", "damaged"),
        (NO_FIELDS + b"N" * (1 << 20), "damaged"),
        (b"\x80\x02h\x07.", "damaged"),
        (b"\x80\x02(q\x00.", "damaged"),
        (b"\x80\x02.", "damaged"),
        (b"", "damaged"),
        (b"\x80\x02)", "damaged"),
    ],
)
def test_fields_of_other_kinds_are_refused(
    fields: bytes, sentence: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(ModelError, match=sentence):
        checked_archive(with_fields(fields), "here")
    assert capsys.readouterr().out == ""


def test_a_tensor_longer_than_its_file_is_refused():
    script = to_script(seeded(TwoInputs))

    def shortened(name: str, content: bytes) -> bytes:
        return content[:4] if name.endswith("data/0") else content

    with without_deprecation_of_torchscript():
        torch.jit.load(io.BytesIO(edited(script, shortened)))  # Reads beyond its memory.
    with pytest.raises(ModelError, match="damaged"):
        checked_archive(edited(script, shortened), "here")
    with pytest.raises(ModelError, match="damaged"):
        checked_archive(edited(script, lambda n, c: None if n.endswith("data/0") else c), "here")


INTO_STORAGE = {
    "offset": (8, (4, 2), (2, 1)),
    "size": (0, (5, 2), (2, 1)),
    "stride": (0, (4, 2), (3, 1)),
    "negative": (-1, (4, 2), (2, 1)),
    "negative stride": (7, (4, 2), (-2, -1)),
    "too large": (0, (1 << 40, 1 << 40), (0, 0)),
    "lengths": (0, (4, 2), (2,)),
}


def with_tensor(offset: int, sizes: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    """A network with one tensor, a view of eight numbers, written as PyTorch does."""

    def number(value: int) -> bytes:
        return b"\x8a\x08" + struct.pack("<q", value)

    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    def several(*values: int) -> bytes:
        return b"(" + b"".join(map(number, values)) + b"t"

    fields = b"\x80\x02c__torch__\nN\n)\x81}" + text("w") + b"ctorch._utils\n_rebuild_tensor_v2\n("
    fields += b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu")
    fields += number(8) + b"tQ" + number(offset) + several(*sizes) + several(*strides)
    fields += b"\x89ccollections\nOrderedDict\n)RtRsb."
    stream = io.BytesIO(program("    return x\n", "  w : Tensor\n", fields))
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("n/data/0", struct.pack("<8f", *range(8)))
    return stream.getvalue()


@pytest.mark.parametrize("fault", INTO_STORAGE)
def test_a_view_beyond_its_storage_is_refused(fault: str):
    with pytest.raises(ModelError, match="damaged"):
        checked_archive(with_tensor(*INTO_STORAGE[fault]), "here")


@pytest.mark.parametrize(
    ("offset", "sizes", "strides"),
    [(0, (4, 2), (2, 1)), (1, (2, 3), (3, 1)), (7, (), ()), (8, (0,), (1,)), (2, (5, 3), (0, 1))],
)
def test_a_view_of_its_storage_is_read(
    offset: int, sizes: tuple[int, ...], strides: tuple[int, ...]
):
    weights = load_torchscript(with_tensor(offset, sizes, strides), "here").w
    expected = torch.arange(8.0).as_strided(sizes, strides, offset)
    assert torch.equal(weights, expected)


def lying(declared_bytes: int, true_bytes: int, name: str) -> bytes:
    """A network with a packed member that unpacks to far more than it declares."""
    stream = io.BytesIO(program("    return x\n"))
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"n/{name}", bytes(true_bytes))
    data = stream.getvalue()
    for of in (len, zlib.crc32):
        true = struct.pack("<I", of(bytes(true_bytes)))
        assert data.count(true) == 2
        data = data.replace(true, struct.pack("<I", of(bytes(declared_bytes))))
    return data


@pytest.mark.parametrize("name", ["code/__torch__/lies.py", "data/0", "extra/lies"])
def test_a_member_that_lies_about_its_size_is_not_unpacked(name: str):
    data = lying(100, (64 << 20) + 12345, name)
    tracemalloc.start()
    try:
        if name == "extra/lies":
            checked_archive(data, "here")
        else:
            with pytest.raises(ModelError, match="damaged"):
                checked_archive(data, "here")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_programs_larger_than_any_network_are_not_read():
    line = "    y = torch.relu(x)\n"
    checked_archive(program(line * 100 + "    return x\n"), "here")
    with pytest.raises(ModelError, match="damaged"):
        checked_archive(program(line * ((2 << 20) // len(line)) + "    return x\n"), "here")


def truncated(script: bytes) -> bytes:
    return script[: len(script) // 2]


def not_a_zip(script: bytes) -> bytes:
    return b"PK not an archive"


def twice(script: bytes) -> bytes:
    stream = io.BytesIO(script)
    with zipfile.ZipFile(stream, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(archive.infolist()[0], b"another")
    return stream.getvalue()


def bomb(script: bytes) -> bytes:
    stream = io.BytesIO(script)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as archive:
        folder = archive.namelist()[0].partition("/")[0]
        archive.writestr(f"{folder}/code/bomb.py", bytes(40 << 20))
    return stream.getvalue()


def no_python(script: bytes) -> bytes:
    return edited(script, lambda n, c: b"def f(:\n" if n.endswith(".py") else c)


def deep(script: bytes) -> bytes:
    return edited(script, lambda n, c: b"(" * 5000 if n.endswith(".py") else c)


@pytest.mark.parametrize("damage", [truncated, not_a_zip, twice, bomb, no_python, deep])
def test_damaged_files_say_so(damage):
    with pytest.raises(ModelError, match=r"in worm.zip cannot be read; the file is damaged"):
        load_torchscript(damage(to_script(seeded(TwoInputs))), "in worm.zip")
