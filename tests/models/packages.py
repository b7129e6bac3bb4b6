"""Packages with everything wrong with them that a file can have, and what is said about it."""

from __future__ import annotations

import json
import os
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file


def zipped(folder: Path, inside: str = "") -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, inside + file.name)
    return path


def edit_card(folder: Path, **changes: Any) -> None:
    card = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(card | changes))


def no_weights(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()


def no_card(folder: Path) -> None:
    (folder / "model.json").unlink()


def truncated_weights(folder: Path) -> None:
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


def truncated_test(folder: Path) -> None:
    test = folder / "test.safetensors"
    test.write_bytes(test.read_bytes()[:1000])


def write_test_of_size(folder: Path, height: int, width: int) -> None:
    image = torch.arange(float(height * width)).reshape(height, width)
    parts = {part: image.clone() for part in ("image", "dpm_um", "output")}
    save_file(parts, folder / "test.safetensors")


def odd_test(folder: Path) -> None:
    write_test_of_size(folder, 5, 7)


def empty_test(folder: Path) -> None:
    write_test_of_size(folder, 0, 0)


def wrong_shape(folder: Path) -> None:
    edit_card(folder, parameters={"base": 8, "levels": 2, "planes": 41})


def other_architecture(folder: Path) -> None:
    edit_card(folder, architecture="deepz-unet", parameters={"base": 4, "levels": 2})


def put_into_weights(folder: Path, value: float) -> None:
    weights = load_file(folder / "weights.safetensors")
    weights["head.bias"][3] = value
    save_file(weights, folder / "weights.safetensors")


def nan_weights(folder: Path) -> None:
    put_into_weights(folder, np.nan)


def infinite_weights(folder: Path) -> None:
    put_into_weights(folder, -np.inf)


def change_type_of_weights(folder: Path, dtype: torch.dtype, factor: float = 1) -> None:
    weights = load_file(folder / "weights.safetensors")
    weights["head.bias"] = weights["head.bias"].double().mul(factor).to(dtype)
    save_file(weights, folder / "weights.safetensors")


def double_weights(folder: Path) -> None:
    change_type_of_weights(folder, torch.float64, 1e300)


def integer_weights(folder: Path) -> None:
    change_type_of_weights(folder, torch.int8)


def boolean_weights(folder: Path) -> None:
    change_type_of_weights(folder, torch.bool)


def complex_weights(folder: Path) -> None:
    change_type_of_weights(folder, torch.complex64)


def tiny_float_weights(folder: Path) -> None:
    change_type_of_weights(folder, torch.float8_e4m3fn)


def pickled_weights(folder: Path) -> None:
    # "import os; os.mkdir('ran')", for whoever unpickles it.
    (folder / "weights.safetensors").write_bytes(b"cos\nmkdir\n(Vran\ntR.")


def future_version(folder: Path) -> None:
    edit_card(folder, format_version=2)


def not_json(folder: Path) -> None:
    (folder / "model.json").write_text("{")


def impossible_na(folder: Path) -> None:
    edit_card(folder, na=7)


def unknown_field(folder: Path) -> None:
    edit_card(folder, run="rm -rf")


def backward_range(folder: Path) -> None:
    edit_card(folder, axial_range_um=[5, -5])


def huge_network(folder: Path) -> None:
    edit_card(folder, parameters={"base": 100000})


def huge_json(folder: Path) -> None:
    edit_card(folder, description="x" * (2 << 20))


def deep_json(folder: Path) -> None:
    card = (folder / "model.json").read_text().rstrip().removesuffix("}")
    (folder / "model.json").write_text(f'{card},"x":{"[" * 9000}{"]" * 9000}}}')


def nan_in_json(folder: Path) -> None:
    edit_card(folder, pixel_size_um=float("nan"))


def infinity_in_training(folder: Path) -> None:
    edit_card(folder, training={"loss": [1.0, float("inf")]})


def field_with_escapes(folder: Path) -> None:
    edit_card(folder, **{"two\nlines\x1b[31m": 1})


def normalisation_with_escapes(folder: Path) -> None:
    edit_card(folder, normalisation="a\nError: fake\x1b[31m")


def endless_normalisation(folder: Path) -> None:
    edit_card(folder, normalisation="x" * 5000)


def sample_with_escapes(folder: Path) -> None:
    edit_card(folder, sample="\x1b]0;owned\x07")


def licence_of_two_lines(folder: Path) -> None:
    edit_card(folder, licence="free\nError: fake")


def training_with_escapes(folder: Path) -> None:
    edit_card(folder, training={"a": [{"b\x9b31m": 1}]})


def endless_version(folder: Path) -> None:
    edit_card(folder, format_version="x" * 5000)


Damage = Callable[[Path], None]
DAMAGES: list[tuple[Damage, str]] = [
    (no_weights, "has no weights.safetensors"),
    (no_card, "has no model.json"),
    (truncated_weights, "cannot be read; the file is damaged"),
    (truncated_test, "stored test of the model in .* cannot be read; the file is damaged"),
    (wrong_shape, r"wrong shape: 'down.0.0.bias' is \(4,\), but \(8,\) is needed"),
    (other_architecture, "do not belong to the architecture"),
    (nan_weights, "'head.bias' holds values that are not finite"),
    (infinite_weights, "'head.bias' holds values that are not finite"),
    (pickled_weights, "cannot be read; the file is damaged"),
    (future_version, "format version 2, but this napari-deepz reads version 1"),
    (not_json, "model.json of the model in .* is not valid"),
    (impossible_na, "not valid at 'na'"),
    (unknown_field, "not valid at 'run'"),
    (backward_range, "axial range must go from a smaller to a larger"),
    (huge_network, "less than or equal to 256"),
    (field_with_escapes, r"not valid at 'two.nlines.x1b\[31m': Extra inputs"),
    (endless_version, "has format version x{20}…, but"),
    (double_weights, "'head.bias' is float64, but float32 or float16 is needed"),
    (integer_weights, "'head.bias' is int8, but"),
    (boolean_weights, "'head.bias' is bool, but"),
    (complex_weights, "'head.bias' is complex64, but"),
    (tiny_float_weights, "'head.bias' is float8_e4m3fn, but"),
    (odd_test, "stored test .* has images of 7 x 5 pixels, but its network needs multiples of 4"),
    (empty_test, "stored test .* has images of 0 x 0 pixels"),
    (normalisation_with_escapes, r"'a.nError: fake.x1b\[31m' is no known normalisation"),
    (endless_normalisation, r"not valid at 'normalisation': 'x{80}…' is no known"),
    (sample_with_escapes, r"'sample' holds a control character, '.x1b'"),
    (licence_of_two_lines, r"'licence' holds a control character, '.n'"),
    (training_with_escapes, r"'training' holds a control character, '.x9b'"),
    (huge_json, "model.json in .* is larger than 1 MiB"),
    (deep_json, "recursion limit exceeded"),
    (nan_in_json, "not valid at 'pixel_size_um': Input should be a finite number"),
    (infinity_in_training, "not finite"),
]

OFTEN_DAMAGED = [
    (damage, sentence)
    for damage, sentence in DAMAGES
    if damage
    in (no_weights, no_card, pickled_weights, nan_weights, odd_test, not_json, field_with_escapes)
]
"""One of each file and step of the loader, for the doors behind which it stands."""


def patched(path: Path, *, at: int, value: int, form: str) -> Path:
    """Overwrite a field of the headers of all members; its place is that in the central list."""
    data = bytearray(path.read_bytes())
    for signature, earlier in ((b"PK\x01\x02", 0), (b"PK\x03\x04", 2)):
        start = -1
        while (start := data.find(signature, start + 1)) >= 0:
            struct.pack_into(form, data, start + at - earlier, value)
    path.write_bytes(data)
    return path


def with_member(folder: Path, name: str, mode: int = 0, data: bytes = b"x") -> Path:
    path = zipped(folder)
    entry = zipfile.ZipInfo(name)
    entry.external_attr = mode << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(entry, data)
    return path


def climbing(folder: Path) -> Path:
    return with_member(folder, "../evil.json")


def climbing_backwards(folder: Path) -> Path:
    return with_member(folder, "a\\..\\..\\evil.json")


def absolute(folder: Path) -> Path:
    return with_member(folder, "/tmp/evil.json")


def on_a_drive(folder: Path) -> Path:
    return with_member(folder, "C:/evil.json")


def link(folder: Path) -> Path:
    return with_member(folder, "notes", stat.S_IFLNK | 0o777, b"/etc/passwd")


def device(folder: Path) -> Path:
    return with_member(folder, "notes", stat.S_IFCHR | 0o666)


def twice(folder: Path) -> Path:
    return with_member(folder, "./model.json")


def too_many(folder: Path) -> Path:
    path = zipped(folder)
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(1001):
            archive.writestr(f"{number}.txt", b"")
    return path


def huge_list(folder: Path) -> Path:
    """An archive whose list of contents is said to have a gigabyte; the file has holes."""
    path = folder.with_suffix(".zip")
    size = 1 << 30
    with path.open("wb") as stream:
        stream.write(b"PK")
        stream.truncate(size)
        stream.seek(size)
        stream.write(struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, size, 0, 0))
    return path


def declared_bomb(folder: Path) -> Path:
    path = with_member(folder, "a")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("b", b"x")
        archive.writestr("c", b"x")
    return patched(path, at=24, value=(1 << 32) - 2, form="<L")


def large_member(folder: Path, *, declared: int | None = None) -> Path:
    (folder / "model.json").unlink()
    path = zipped(folder)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.json", bytes(64 << 20))
        if declared is not None:
            archive.infolist()[-1].file_size = declared
    return path


def actual_bomb(folder: Path) -> Path:
    """A card that has 64 MiB, and is said to have 100 bytes."""
    return large_member(folder, declared=100)


def short_of_what_is_declared(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.json", b"{}")
        archive.infolist()[0].file_size = 3
    return path


def encrypted(folder: Path) -> Path:
    return patched(zipped(folder), at=8, value=1, form="<H")


def unknown_compression(folder: Path) -> Path:
    return patched(zipped(folder), at=10, value=99, form="<H")


def bomb_of_lzma(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("model.json", bytes(64 << 20))
        archive.infolist()[0].file_size = 100
    return path


def wrong_crc(folder: Path) -> Path:
    path = zipped(folder)
    data = path.read_bytes()
    at = data.index(b"encode-once")
    path.write_bytes(data[:at] + b"encode-0nce" + data[at + 11 :])
    return path


def truncated_archive(folder: Path) -> Path:
    path = zipped(folder)
    os.truncate(path, path.stat().st_size // 2)
    return path


def no_archive(folder: Path) -> Path:
    path = folder.with_suffix(".tif")
    path.write_bytes(b"II*\x00 a picture")
    return path


Hostile = Callable[[Path], Path]
HOSTILE: list[tuple[Hostile, str]] = [
    (climbing, r"its file '\.\./evil\.json' points out of it"),
    (climbing_backwards, "points out of it"),
    (absolute, "points out of it"),
    (on_a_drive, "points out of it"),
    (link, "its file 'notes' is a link or no file"),
    (device, "its file 'notes' is a link or no file"),
    (twice, "it has two files 'model.json'"),
    (too_many, "lists more files than any model package"),
    (huge_list, "lists more files than any model package"),
    (declared_bomb, "would unpack to more than 8 GiB"),
    (large_member, "model.json in .* is larger than 1 MiB"),
    (actual_bomb, "model.json in .* cannot be read; the file is damaged"),
    (short_of_what_is_declared, "model.json in .* cannot be read; the file is damaged"),
    (encrypted, "is encrypted; unpack it"),
    (unknown_compression, "is compressed in an unusual way"),
    (bomb_of_lzma, "is compressed in an unusual way"),
    (wrong_crc, "model.json in .* cannot be read; the file is damaged"),
    (truncated_archive, "The zip file .* is damaged or was not copied whole"),
    (no_archive, "neither a folder nor a readable zip"),
]

OFTEN_HOSTILE = [
    (make, sentence)
    for make, sentence in HOSTILE
    if make in (climbing, too_many, large_member, encrypted, truncated_archive, no_archive)
]
"""One of each step of reading an archive, likewise."""


def name_of(value: object) -> str | None:
    return getattr(value, "__name__", None)
