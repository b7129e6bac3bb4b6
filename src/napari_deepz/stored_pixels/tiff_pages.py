"""The pages of a TIFF file: where their pixels lie, and whether the file can hold them.

tifffile logs a broken chain of pages, missing strips or an unreadable tag and reads on, with zeros
in place of what is missing; an image that is to be trusted must not.
"""

from __future__ import annotations

import logging
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_deepz.images import ImageFileError

_BASIC_TAGS = range(254, 340)
_MOST_TAGS = 4096
_STARTS, _LENGTHS = (324, 273), (325, 279)  # of tiles, else of strips

# Pages whose values of these are equal have the same shape, kind of numbers and storage.
_FORM_TAGS = (256, 257, 258, 259, 262, 266, 277, 278, 284, 317, 322, 323, 338, 339)

_INTEGERS = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
          16: 8, 17: 8, 18: 8}  # fmt: skip

# How much longer pixels can be than what they are stored in, by the format of the compression.
_UNCOMPRESSED = 1
_MOST_EXPANSION = {_UNCOMPRESSED: 1, 5: 2600, 8: 1100, 32946: 1100, 32773: 130}
_MOST_EXPANSION_OF_OTHERS = 2**20

# What tifffile logs of a damaged file is said in a sentence here; it would go to the console.
tifffile.logger().addHandler(logging.NullHandler())

_Tags = dict[int, tuple[int, int, bytes]]


@dataclass(frozen=True, eq=False)
class StoredPage:
    """One page, known to be whole.

    Attributes
    ----------
    offset : int
        Where its table lies in the file.
    form : tifffile.TiffPage
        A page of the same shape, kind of numbers and storage.
    start : int or None
        First byte of its pixels where they lie in one piece, as they are to be; None where they
        must be decoded.
    """

    offset: int
    form: tifffile.TiffPage
    start: int | None


@contextmanager
def open_tiff(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF file and turn every failure to make sense of it into one sentence.

    Raises
    ------
    ImageFileError
        If the file is empty, no TIFF or damaged.
    """
    if path.stat().st_size == 0:
        raise ImageFileError(f"'{path.name}' is empty (0 bytes): copy or export it again.")
    try:
        with tifffile.TiffFile(path) as tif:
            yield tif
    except (OSError, Warning, ImageFileError):
        raise
    except Exception as error:  # a damaged file makes tifffile raise nearly anything
        if "not a TIFF file" not in str(error):
            raise damaged(path.name) from error
        raise ImageFileError(
            f"'{path.name}' is not a TIFF file, whatever its name says: export it again as TIFF."
        ) from error


def damaged(name: str) -> ImageFileError:
    """Make the error for a file that makes no sense."""
    return ImageFileError(f"'{name}' is damaged or was cut short: copy or export it again.")


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Turn every failure to decode pixels into one sentence."""
    try:
        yield
    except (OSError, ImageFileError):
        raise
    except Exception as error:  # every codec has exceptions of its own
        if "imagecodecs" in str(error):
            raise ImageFileError(
                f"The compression of '{name}' needs one more package: install it with "
                "'pip install imagecodecs', or save the image without compression."
            ) from error
        raise damaged(name) from error


class PageTables:
    """The tables of a TIFF file that say where the pixels of its pages lie.

    Parameters
    ----------
    tif : tifffile.TiffFile
        An open file.
    name : str
        The file, for messages.

    Attributes
    ----------
    offsets : tuple of int
        Where the table of each page lies, in order.

    Raises
    ------
    ImageFileError
        If the chain of pages is broken, or the first page has tags that cannot be read.
    """

    def __init__(self, tif: tifffile.TiffFile, name: str) -> None:
        self._tif, self._name = tif, name
        self._handle, self._layout = tif.filehandle, tif.tiff
        self._forms: dict[tuple[bytes, ...], tifffile.TiffPage] = {}
        self.offsets = self._chain()
        first = tif.pages.first
        if any(code in _BASIC_TAGS and code not in first.tags for code in self._tags(first.offset)):
            raise damaged(name)

    def page(self, offset: int) -> StoredPage:
        """Find the pixels of the page whose table lies at a place of the file.

        Raises
        ------
        ImageFileError
            If the page is not whole, or claims more pixels than the file can hold.
        """
        tags = self._tags(offset)
        form = self._form(offset, tags)
        starts = self._numbers(tags, _STARTS)
        lengths = self._numbers(tags, _LENGTHS)
        if starts is None:
            raise damaged(self._name)
        if lengths is None and form.compression == _UNCOMPRESSED and len(starts) == 1:
            lengths = np.array([_stored_bytes(form)], np.uint64)
        if lengths is None:
            raise damaged(self._name)
        require_whole(form, starts, lengths, self._handle.size, self._name)
        joined = np.array_equal(starts[1:], starts[:-1] + lengths[:-1])
        start = int(starts[0]) if form.is_final and joined else None
        return StoredPage(offset, form, start)

    def _chain(self) -> tuple[int, ...]:
        """Follow the chain of pages, which may lead out of the file or round in circles."""
        layout, handle = self._layout, self._handle
        handle.seek(layout.offsetsize)  # The header is as long as an offset.
        offsets: dict[int, None] = {}
        while following := self._unpacked(layout.offsetformat, handle.read(layout.offsetsize)):
            if following in offsets:
                raise damaged(self._name)
            offsets[following] = None
            handle.seek(following)
            count = self._unpacked(layout.tagnoformat, handle.read(layout.tagnosize))
            if count > _MOST_TAGS:
                raise damaged(self._name)
            handle.seek(following + layout.tagnosize + count * layout.tagsize)
        if not offsets:
            raise damaged(self._name)
        return tuple(offsets)

    def _unpacked(self, form: str, data: bytes) -> int:
        if len(data) != struct.calcsize(form):
            raise damaged(self._name)
        return int(struct.unpack(form, data)[0])

    def _tags(self, offset: int) -> _Tags:
        layout, handle = self._layout, self._handle
        handle.seek(offset)
        count = self._unpacked(layout.tagnoformat, handle.read(layout.tagnosize))
        if count > _MOST_TAGS:
            raise damaged(self._name)
        table = handle.read(count * layout.tagsize)
        if len(table) != count * layout.tagsize:
            raise damaged(self._name)
        return {
            code: (kind, number, value)
            for code, kind, number, value in struct.iter_unpack(layout.tagheaderformat, table)
        }

    def _form(self, offset: int, tags: _Tags) -> tifffile.TiffPage:
        same = tuple(self._data(tags[code]) if code in tags else b"" for code in _FORM_TAGS)
        form = self._forms.get(same)
        if form is None:
            first = self._tif.pages.first
            if offset == first.offset:
                form = first
            else:
                self._handle.seek(offset)
                form = tifffile.TiffPage(self._tif, 0)
            self._forms[same] = form
        return form

    def _data(self, tag: tuple[int, int, bytes]) -> bytes:
        kind, number, value = tag
        length = _BYTES.get(kind, 1) * number
        if length <= len(value):
            return value[:length]
        start = self._unpacked(self._layout.offsetformat, value)
        if start + length > self._handle.size:
            raise damaged(self._name)
        self._handle.seek(start)
        data: bytes = self._handle.read(length)
        return data

    def _numbers(self, tags: _Tags, codes: tuple[int, int]) -> NDArray[Any] | None:
        for code in codes:
            if code in tags:
                kind = _INTEGERS.get(tags[code][0])
                if kind is None:
                    raise damaged(self._name)
                stored = np.frombuffer(self._data(tags[code]), self._layout.byteorder + kind)
                return stored.astype(np.uint64)
        return None


def require_whole(
    form: tifffile.TiffPage,
    starts: NDArray[Any],
    lengths: NDArray[Any],
    file_bytes: int,
    name: str,
) -> None:
    """Refuse a page that the file does not hold whole, before anything is made for its pixels.

    Parameters
    ----------
    form : tifffile.TiffPage
        Shape and storage of the page.
    starts, lengths : ndarray
        First byte and number of bytes of each strip or tile.
    file_bytes : int
        Length of the file.
    name : str
        The file, for messages.

    Raises
    ------
    ImageFileError
        If pixels are of an unknown kind, or a strip or tile is missing, empty, outside the file,
        or too short for its pixels.
    """
    if form.dtype is None or not math.prod(form.shape):
        raise ImageFileError(
            f"The pixels of '{name}' are of a kind that cannot be read ({form.bitspersample} "
            "bits): save it with 8, 16 or 32 bits."
        )
    needed = math.prod(form.chunked)
    stored = _stored_bytes(form)
    what = "tiles" if form.is_tiled else "strips"
    in_one_piece = form.is_contiguous and len(starts) == 1 and lengths[:1].sum() >= stored
    if min(len(starts), len(lengths)) < (1 if in_one_piece else needed):
        raise ImageFileError(
            f"'{name}' is incomplete, with {min(len(starts), len(lengths))} of the {needed} {what} "
            "of pixels that its size needs: copy or export it again."
        )
    starts, lengths = starts[:needed], lengths[:needed]
    empty = int(np.count_nonzero((starts == 0) | (lengths == 0)))
    if empty:
        raise ImageFileError(
            f"'{name}' is incomplete, {empty} of its {needed} {what} of pixels are not in it: "
            "export it again, with all of them stored."
        )
    if (starts > file_bytes).any() or (lengths > file_bytes).any():
        raise damaged(name)
    total = min(int(lengths.sum()), file_bytes)
    expansion = _MOST_EXPANSION.get(form.compression, _MOST_EXPANSION_OF_OTHERS)
    if (starts + lengths > file_bytes).any() or stored > total * expansion:
        raise damaged(name)


def _stored_bytes(form: tifffile.TiffPage) -> int:
    """Bytes of a page's pixels as they are stored, before compression."""
    bits = int(form.bitspersample)
    if form.is_tiled:
        return int(math.prod(form.chunked)) * int(math.prod(form.chunks)) * bits // 8
    *_, width, samples = form.shaped
    rows = math.prod(form.shaped) // (width * samples)
    return int(rows) * -(-int(width * samples * bits) // 8)
