"""TorchScript files, checked and written anew before PyTorch reads a byte of them.

PyTorch's own advice is to load TorchScript only from people one trusts: its reader was not made
for hostile files. So nothing reaches it but what a network needs, and only after these checks:

- The file is a zip archive. Its members with the program, the weights and the format's version
  are kept, once each; all others, such as debugging notes, older formats and extra files, are
  dropped, and a new archive is made of the rest.
- The program passes `code.checked_code`.
- ``data.pkl`` and ``constants.pkl`` hold the modules' fields. They have pickle's form, but PyTorch
  reads them with a small reader of its own in C++ that can only make numbers, texts, lists,
  tensors and the modules of this archive; Python's pickle never sees them. They pass
  `fields.check_fields`: the few instructions that PyTorch writes, nothing but tensors and this
  archive's modules, and no tensor that reaches beyond its file.

This is no proof against every fault in PyTorch. It does keep a network from reading or writing
files, and from running anything while it is loaded.
"""

from __future__ import annotations

import io
import re
import zipfile

from napari_deepz.generators.archives import COMPRESSIONS, UNREADABLE
from napari_deepz.generators.errors import ModelError, quoted
from napari_deepz.generators.torchscript.code import checked_code
from napari_deepz.generators.torchscript.fields import UnknownKindError, check_fields

_MOST_MEMBERS = 20_000
# The program, which PyTorch packs; that of a large network has some 100 KiB.
_MOST_CODE_BYTES = 2 << 20
_MOST_PICKLE_BYTES = 1 << 20
_FIELDS = ("data.pkl", "constants.pkl")
_CODE = re.compile(r"code/[\w./]+\.py")
_KEPT = re.compile(r"data\.pkl|constants\.pkl|(data|constants)/\d+|version|byteorder")


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
    checked = {
        name: checked_code(content, where) if _CODE.fullmatch(name) else content
        for name, content in members.items()
    }
    for name in _FIELDS:
        try:
            check_fields(checked[name], name.removesuffix(".pkl"), checked)
        except UnknownKindError as error:
            raise ModelError(
                f"The TorchScript network {where} is refused because it holds an object of the "
                f"kind '{quoted(error)}', which a network does not need; nothing of it was run."
            ) from error
        except (ValueError, KeyError, IndexError) as error:
            raise _damaged(where) from error
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name in sorted(checked):
            archive.writestr(zipfile.ZipInfo(f"{folder}/{name}"), checked[name])
    return written.getvalue()


def _members(data: bytes, where: str) -> tuple[str, dict[str, bytes]]:
    """Name of the archive's folder, and the files in it that a network needs."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            folders = {entry.filename.partition("/")[0] for entry in entries}
            names = {entry.filename for entry in entries}
            if (
                len(folders) != 1
                or len(names) != len(entries)
                or len(entries) > _MOST_MEMBERS
                or any(e.compress_type not in COMPRESSIONS or e.flag_bits & 1 for e in entries)
            ):
                raise _damaged(where)
            (folder,) = folders
            inside = {entry.filename.removeprefix(f"{folder}/"): entry for entry in entries}
            kept = {
                name: entry
                for name, entry in inside.items()
                if _CODE.fullmatch(name) or _KEPT.fullmatch(name)
            }
            if not _has_size_of_network(kept, len(data)):
                raise _damaged(where)
            return folder, {name: _read(archive, entry) for name, entry in kept.items()}
    except (*UNREADABLE, KeyError) as error:
        raise _damaged(where) from error


def _has_size_of_network(kept: dict[str, zipfile.ZipInfo], archive_bytes: int) -> bool:
    code = sum(entry.file_size for name, entry in kept.items() if _CODE.fullmatch(name))
    others = [entry for name, entry in kept.items() if not _CODE.fullmatch(name)]
    return (
        code <= _MOST_CODE_BYTES
        and max(kept[name].file_size for name in _FIELDS) <= _MOST_PICKLE_BYTES
        # PyTorch packs the program alone, so the rest is no larger than the file.
        and all(entry.compress_type == zipfile.ZIP_STORED for entry in others)
        and sum(entry.file_size for entry in others) <= archive_bytes
    )


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Read a member, unpacking no more of it than it declares."""
    with archive.open(entry) as stream:
        content = stream.read(entry.file_size)
        if len(content) != entry.file_size or stream.read(1):
            raise ValueError("not as long as it says")
        return content


def _damaged(where: str) -> ModelError:
    return ModelError(
        f"The TorchScript network {where} cannot be read; the file is damaged or not one that "
        "PyTorch wrote."
    )
