"""TorchScript files, checked and written anew before PyTorch reads a byte of them.

PyTorch's own advice is to load TorchScript only from people one trusts: its reader was not made
for hostile files. So nothing reaches it but what a network needs, and only after these checks:

- The file is a zip archive. Its members with the program, the weights and the format's version
  are kept, once each; all others, such as debugging notes, older formats and extra files, are
  dropped, and a new archive is made of the rest.
- The program passes `code.checked_code`.
- ``data.pkl`` and ``constants.pkl`` hold the modules' fields. They have pickle's form, but PyTorch
  reads them with a small reader of its own in C++ that can only make numbers, texts, lists,
  tensors and the modules of this archive; Python's pickle never sees them. They are listed, not
  run, with `pickletools`: they must consist of the few instructions that PyTorch writes, name
  nothing but tensors and this archive's modules, and each tensor's file must be as long as it says.

This is no proof against every fault in PyTorch. It does keep a network from reading or writing
files, and from running anything while it is loaded.
"""

from __future__ import annotations

import io
import pickletools
import re
import struct
import zipfile
import zlib
from typing import Any

from napari_deepz.generators.errors import ModelError
from napari_deepz.generators.torchscript.code import checked_code

_MOST_MEMBERS = 20_000
# PyTorch packs the program alone.
_MOST_PACKED_BYTES = 32 << 20
_MOST_PICKLE_BYTES = 16 << 20
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_CODE = re.compile(r"code/[\w./]+\.py")
_KEPT = re.compile(r"data\.pkl|constants\.pkl|(data|constants)/\d+|version|byteorder")

_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError),
    *(RuntimeError, NotImplementedError),
)
_ITEM_BYTES = {
    **dict.fromkeys(("DoubleStorage", "LongStorage"), 8),
    **dict.fromkeys(("FloatStorage", "IntStorage"), 4),
    **dict.fromkeys(("HalfStorage", "BFloat16Storage", "ShortStorage"), 2),
    **dict.fromkeys(("ByteStorage", "CharStorage", "BoolStorage"), 1),
}
_GLOBALS = {
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "collections OrderedDict",
    *(f"torch {storage}" for storage in _ITEM_BYTES),
    *(f"torch.jit._pickle build_{kind}list" for kind in ("int", "double", "bool", "tensor")),
    "torch.jit._pickle restore_type_tag",
}
_PUT = {"BINPUT", "LONG_BINPUT"}
_GET = {"BINGET", "LONG_BINGET"}
_INTEGERS = {"BININT", "BININT1", "BININT2", "LONG1"}
_INSTRUCTIONS = {
    *("PROTO", "STOP", "MARK", "GLOBAL", "NEWOBJ", "REDUCE", "BUILD", "BINPERSID"),
    *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS"),
    *("EMPTY_DICT", "SETITEM", "SETITEMS", "NONE", "NEWTRUE", "NEWFALSE", "BINFLOAT"),
    *("BINUNICODE", *_INTEGERS),
}

_Instruction = tuple[str, Any]


def checked_archive(data: bytes, where: str) -> bytes:
    """Check a TorchScript file and write it anew.

    Parameters
    ----------
    data : bytes
        The file.
    where : str
        What the sentence calls the model, such as "in worm.zip".

    Returns
    -------
    bytes
        The same network as an archive of what was checked; the same for the same network.

    Raises
    ------
    ModelError
        If the file is damaged, or holds anything that a network does not need.
    """
    folder, members = _members(data, where)
    checked = {}
    for name, content in members.items():
        if _CODE.fullmatch(name):
            checked[name] = checked_code(content, where)
        elif _KEPT.fullmatch(name):
            checked[name] = content
    for kind in ("data", "constants"):
        fields = checked.get(f"{kind}.pkl", b"")
        if not 0 < len(fields) <= _MOST_PICKLE_BYTES:
            raise _damaged(where)
        _check_fields(fields, kind, checked, where)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name in sorted(checked):
            archive.writestr(zipfile.ZipInfo(f"{folder}/{name}"), checked[name])
    return written.getvalue()


def _members(data: bytes, where: str) -> tuple[str, dict[str, bytes]]:
    """Name of the archive's folder, and the files in it."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            folders = {entry.filename.partition("/")[0] for entry in entries}
            names = {entry.filename for entry in entries}
            stored = sum(e.file_size for e in entries if e.compress_type == zipfile.ZIP_STORED)
            packed = sum(e.file_size for e in entries if e.compress_type == zipfile.ZIP_DEFLATED)
            if (
                len(folders) != 1
                or len(names) != len(entries)
                or len(entries) > _MOST_MEMBERS
                or stored > len(data)
                or packed > _MOST_PACKED_BYTES
                or any(e.compress_type not in _COMPRESSIONS or e.flag_bits & 1 for e in entries)
            ):
                raise _damaged(where)
            (folder,) = folders
            return folder, {e.filename.removeprefix(f"{folder}/"): archive.read(e) for e in entries}
    except _UNREADABLE as error:
        raise _damaged(where) from error


def _check_fields(data: bytes, kind: str, members: dict[str, bytes], where: str) -> None:
    try:
        # Follows what every instruction takes from the stack and the memo, and leaves there.
        pickletools.dis(data, out=io.StringIO())
        instructions = _followed(data)
    except (ValueError, KeyError, IndexError, UnicodeError) as error:
        raise _damaged(where) from error
    for position, (name, argument) in enumerate(instructions):
        if name == "GLOBAL" and not _is_known(argument):
            raise ModelError(
                f"The TorchScript network {where} is refused because it holds an object of the "
                f"kind '{argument}', which a network does not need; nothing of it was run."
            )
        if name not in _INSTRUCTIONS:
            raise _damaged(where)
        if name == "BINPERSID":
            _check_storage(instructions[max(position - 7, 0) : position], kind, members, where)


def _followed(data: bytes) -> list[_Instruction]:
    """The instructions, each look-up in the memo replaced by what was put there."""
    memo: dict[int, _Instruction] = {}
    followed: list[_Instruction] = []
    for operation, argument, _ in pickletools.genops(data):
        if operation.name in _PUT:
            memo[int(str(argument))] = followed[-1]
        elif operation.name in _GET:
            followed.append(memo[int(str(argument))])
        else:
            followed.append((operation.name, argument))
    return followed


def _is_known(name: str) -> bool:
    own = name.startswith("__torch__") and not name.startswith("__torch__.torch.classes")
    return own or name in _GLOBALS


def _check_storage(
    before: list[_Instruction], kind: str, members: dict[str, bytes], where: str
) -> None:
    """Check that a tensor's file is there and as long as PyTorch is about to read."""
    match before:
        case [
            ("MARK", _),
            ("BINUNICODE", "storage"),
            ("GLOBAL", str(storage)),
            ("BINUNICODE", str(key)),
            ("BINUNICODE", _),
            (number, int(count)),
            ("TUPLE", _),
        ] if number in _INTEGERS:
            item_bytes = _ITEM_BYTES.get(storage.removeprefix("torch "))
            content = members.get(f"{kind}/{key}")
            if item_bytes and content is not None and count * item_bytes == len(content):
                return
    raise _damaged(where)


def _damaged(where: str) -> ModelError:
    return ModelError(
        f"The TorchScript network {where} cannot be read; the file is damaged or not one that "
        "PyTorch wrote."
    )
