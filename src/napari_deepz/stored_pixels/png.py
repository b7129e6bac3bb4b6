"""PNG files, opened only when they can hold what their header says."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from napari_deepz.images import ImageFileError

# https://www.w3.org/TR/png-3/#11IHDR
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">8s4x4sIIBB")
_GREY = 0
_CHANNELS = {_GREY: 1, 2: 3, 3: 1, 4: 2, 6: 4}

# Of deflate, https://zlib.net/zlib_tech.html
_MOST_EXPANSION = 1032


@contextmanager
def open_png(path: Path) -> Iterator[Image.Image]:
    """Open a PNG file and turn every failure to make sense of it into one sentence.

    Raises
    ------
    ImageFileError
        If the file is no PNG, damaged, too large, of 16 bits with colours, or says that it has more
        pixels than it can hold.
    """
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER.size)
        _require_possible(header, path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path, formats=["PNG"])
        with image:
            yield image
    except ImageFileError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageFileError(
            f"'{path.name}' is too large to be read safely as PNG: save it as TIFF."
        ) from error
    except Exception as error:  # a damaged PNG makes Pillow raise nearly anything
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise _damaged(path) from error


def _require_possible(header: bytes, path: Path) -> None:
    if len(header) != _HEADER.size:
        raise _damaged(path)
    signature, chunk, width, height, depth, colour_type = _HEADER.unpack(header)
    if (signature, chunk) != (_SIGNATURE, b"IHDR") or colour_type not in _CHANNELS:
        raise _damaged(path)
    if depth == 16 and colour_type != _GREY:
        raise ImageFileError(
            f"'{path.name}' is a colour PNG of 16 bits, of which only 8 could be read: save it as "
            "a grey PNG or as TIFF."
        )
    stored_bytes = width * height * _CHANNELS[colour_type] * depth // 8
    if stored_bytes > path.stat().st_size * _MOST_EXPANSION:
        raise _damaged(path)


def _damaged(path: Path) -> ImageFileError:
    return ImageFileError(
        f"'{path.name}' is not a PNG image, is damaged or was cut short: copy or export it again."
    )
