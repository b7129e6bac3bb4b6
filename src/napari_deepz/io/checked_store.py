"""The files of a zarr array, read only where they are as long as they must be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import zarr
from zarr.abc.store import RangeByteRequest
from zarr.storage import LocalStore, WrapperStore

# https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst
_BLOSC_LENGTH_AT, _BLOSC_HEADER_BYTES = 12, 16


def checked_array(array: Any, folder: Path) -> Any:
    """Open an array a second time, so that a part that was cut short is noticed.

    Blosc decodes what it is given without looking where it ends, and an empty part counts as one
    that is not there.

    Parameters
    ----------
    array : zarr.Array
        The array.
    folder : Path
        Its folder.

    Returns
    -------
    zarr.Array
        The same array; reading what was cut short raises ValueError.
    """
    store = _CheckedStore(LocalStore(folder, read_only=True))
    store.ends_with_blosc = array.shards is None and _last_codec(array).endswith("blosc")
    return zarr.open_array(store, mode="r")


def _last_codec(array: Any) -> str:
    about = array.metadata.to_dict()
    if "codecs" in about:
        return str(about["codecs"][-1]["name"])
    compressor = about.get("compressor")
    return str(compressor["id"]) if isinstance(compressor, dict) else ""


class _CheckedStore(WrapperStore):  # type: ignore[misc]
    ends_with_blosc = False

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        stored = await self._store.get(key, prototype, byte_range)
        if stored is not None and key.rpartition("/")[2].replace(".", "").isdecimal():
            self._require_whole(key, stored, byte_range)
        return stored

    def _require_whole(self, key: str, stored: Any, byte_range: Any) -> None:
        whole = len(stored) > 0
        if isinstance(byte_range, RangeByteRequest):
            whole = len(stored) == byte_range.end - byte_range.start
        elif self.ends_with_blosc and byte_range is None:
            header = stored.as_numpy_array()[:_BLOSC_HEADER_BYTES].tobytes()
            length = int.from_bytes(header[_BLOSC_LENGTH_AT:], "little")
            whole = len(header) == _BLOSC_HEADER_BYTES and length == len(stored)
        if not whole:
            raise ValueError(f"{key} was cut short")
