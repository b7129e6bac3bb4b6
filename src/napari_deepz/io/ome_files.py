"""OME-TIFF in one or several files: the image that lies in the file that was opened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import tifffile

from napari_deepz.images import ImageFileError
from napari_deepz.io.ome_xml import FileReference, OmeDescription, OmeImage, PlaneRange, parse_ome
from napari_deepz.io.tiff_image import TiffImage, does_not_fit, listed, note_first_of
from napari_deepz.io.tiff_planes import PlaneMap, StoredFile
from napari_deepz.io.tiff_sizes import ome_sizes
from napari_deepz.stored_pixels.tiff_pages import PageTables, StoredPage, open_tiff

_LARGEST_COMPANION_BYTES = 2**28

_Index = tuple[int, ...]


@dataclass(frozen=True)
class OmeFile:
    """A file of a set, the description of the set, and which references mean this file.

    Attributes
    ----------
    path : Path
        The file.
    uuid : str or None
        Its identifier.
    description : OmeDescription
        What describes it.
    holder : Path
        The file in which the description lies: this one, or the one that it names.
    own : frozenset of FileReference
        References in the description that mean this file.
    """

    path: Path
    uuid: str | None
    description: OmeDescription
    holder: Path
    own: frozenset[FileReference]

    @property
    def images(self) -> list[OmeImage]:
        """The images that have planes in this file, in the order of the description."""
        return [image for image in self.description.images if any(map(self.holds, image.planes))]

    def holds(self, planes: PlaneRange) -> bool:
        """Whether planes lie in this file."""
        return self.holder == self.path if planes.file is None else planes.file in self.own

    def path_of(self, reference: FileReference | None) -> Path | None:
        """Find the file that a reference means; None where it does not name one."""
        if reference is None:
            return self.holder
        if reference in self.own:
            return self.path
        return None if reference.name is None else _beside(self.path, reference.name)


def ome_file(tif: tifffile.TiffFile, path: Path) -> OmeFile:
    """Read the description of an OME-TIFF, from the file that has it.

    Raises
    ------
    ImageFileError
        If it is damaged, or lies in a file that is not there.
    """
    description = parse_ome(tif.ome_metadata or "", path.name)
    holder, uuid = path, description.uuid
    if description.elsewhere is not None:  # uuid stays that of this file.
        holder = _beside(path, description.elsewhere)
        description = parse_ome(_description_in(holder, path), holder.name)
    references = {
        planes.file
        for image in description.images
        for planes in image.planes
        if planes.file is not None
    }
    return OmeFile(path, uuid, description, holder, _own(references, uuid, path))


def own_image(ome: OmeFile) -> OmeImage:
    """Choose the first image that lies in the file.

    Raises
    ------
    ImageFileError
        If none does; the message names the files in which the described ones lie.
    """
    if ome.images:
        return ome.images[0]
    references = {planes.file for image in ome.description.images for planes in image.planes}
    names = sorted({file.name or f"the file {file.uuid}" for file in references if file})
    if not names:
        raise does_not_fit(ome.path.name)
    raise ImageFileError(
        f"No image of the set that '{ome.path.name}' belongs to lies in it: open "
        f"{listed(names)}, or give the file its former name."
    )


def read_ome(tif: tifffile.TiffFile, tables: PageTables, path: Path) -> TiffImage:
    """Find the planes of the image that lies in an OME-TIFF, in all files of its set.

    Raises
    ------
    ImageFileError
        If the description is damaged or does not fit the pixels, or planes are missing.
    """
    ome = ome_file(tif, path)
    image = own_image(ome)
    if len(ome.images) > 1:
        note_first_of(len(ome.images), path.name)
    if image.annotations & ome.description.divided_axes:
        raise ImageFileError(
            f"'{path.name}' keeps a further dimension, such as lifetime or angle, in its time "
            "points, channels or planes: save the wanted part alone as an OME-TIFF."
        )
    return _Planes(ome, image, tif, tables).collected()


def companion_text(path: Path) -> str:
    """Read an OME-XML that lies in a file of its own.

    Raises
    ------
    ImageFileError
        If it is too long to be one.
    """
    if path.stat().st_size > _LARGEST_COMPANION_BYTES:
        raise ImageFileError(f"'{path.name}' is too long to be the description of an image.")
    return path.read_text(encoding="utf-8-sig", errors="replace")


class _Planes:
    """Where the planes of one image lie, collected file by file."""

    def __init__(
        self, ome: OmeFile, image: OmeImage, tif: tifffile.TiffFile, tables: PageTables
    ) -> None:
        self._ome, self._image = ome, image
        self._opened = tif, tables
        self._total = 1
        for length in image.lengths:
            self._total *= length
        self._found: dict[int, tuple[StoredFile, StoredPage]] = {}

    def collected(self) -> TiffImage:
        ranges = defaultdict(list)
        for planes in self._image.planes:
            ranges[planes.file].append(planes)
        absent = set()
        for reference, wanted in ranges.items():
            path = self._ome.path_of(reference)
            if path is None or not path.is_file():
                named = reference.name if reference else self._ome.holder.name
                absent.add(named or f"the file {reference.uuid if reference else ''}")
                continue
            with self._open(path, reference) as (tif, tables):
                self._find(StoredFile.of(tif, path), tables, wanted)
        self._require_all(absent)
        return self._mapped()

    @contextmanager
    def _open(
        self, path: Path, reference: FileReference | None
    ) -> Iterator[tuple[tifffile.TiffFile, PageTables]]:
        if path == self._ome.path:
            yield self._opened
            return
        with open_tiff(path) as tif:
            self._require_the_same(tif, path, reference)
            yield tif, PageTables(tif, path.name)

    def _require_the_same(
        self, tif: tifffile.TiffFile, path: Path, reference: FileReference | None
    ) -> None:
        """Refuse a file of the set under the name of another one."""
        if reference is None or not tif.is_ome:
            return
        uuid = parse_ome(tif.ome_metadata or "", path.name).uuid
        others = {planes.file.uuid for planes in self._image.planes if planes.file is not None}
        if uuid in others - {None, reference.uuid, self._ome.uuid}:
            raise ImageFileError(
                f"'{path.name}' is another file of the set of '{self._ome.path.name}' than the one "
                "of that name: give the files their former names."
            )

    def _find(self, file: StoredFile, tables: PageTables, wanted: list[PlaneRange]) -> None:
        for planes in wanted:
            along = list(zip(self._image.axes, self._image.lengths, strict=True))
            if any(planes.first[axis] >= length for axis, length in along):
                continue  # As programs that crop an image leave behind.
            first = 0
            for axis, length in along:
                first = first * length + planes.first[axis]
            count = self._total - first if planes.count is None else planes.count
            pages = slice(planes.page, planes.page + min(count, self._total - first))
            for index, offset in enumerate(tables.offsets[pages], first):
                self._found[index] = file, tables.page(offset)

    def _require_all(self, absent: set[str]) -> None:
        missing = self._total - len(self._found)
        if not missing:
            return
        name = self._ome.path.name
        what = f"{missing} of {self._total} planes of '{name}' are missing"
        if absent:
            raise ImageFileError(f"{what}: put {listed(sorted(absent))} into the same folder.")
        raise ImageFileError(
            f"{what}: its recording was stopped, or it is incomplete; copy or export it again."
        )

    def _mapped(self) -> TiffImage:
        image = self._image
        form = self._found[0][1].form
        expected: tuple[int, ...] = image.plane_shape
        if image.samples > 1 and form.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
            expected, axes = (image.samples, *expected), image.axes + "SYX"
        elif image.samples > 1:
            expected, axes = (*expected, image.samples), image.axes + "YXS"
        else:
            axes = image.axes + "YX"
        if tuple(form.shape) != expected:
            raise does_not_fit(self._ome.path.name)
        planes = PlaneMap(image.lengths, form)
        numbers: dict[StoredFile, int] = {}
        for index, (file, page) in self._found.items():
            if file not in numbers:
                numbers[file] = planes.add_file(file)
            planes.place(_unravelled(index, image.lengths), numbers[file], page)
        sizes, names = ome_sizes(image), image.channel_names
        return TiffImage(planes, axes, form, "ome", sizes, names, image.optics)


def _unravelled(index: int, lengths: _Index) -> _Index:
    parts = []
    for length in reversed(lengths):
        index, part = divmod(index, length)
        parts.append(part)
    return tuple(reversed(parts))


def _own(references: set[FileReference], uuid: str | None, path: Path) -> frozenset[FileReference]:
    """Find which references mean a file, which may have been renamed or copied.

    The identifier in the file decides; the name does where there is none, or where other files
    have the same. A lone reference can mean nothing but the file.
    """
    by_uuid = {file for file in references if uuid is not None and file.uuid == uuid}
    names = {path.name.casefold(), path.resolve().name.casefold()}
    by_name = {file for file in references if file.name and file.name.casefold() in names}
    if by_name and by_uuid != by_name and any(_has(uuid, file, path) for file in by_uuid):
        return frozenset(by_name)
    if by_uuid:
        return frozenset(by_uuid if len({file.name for file in by_uuid}) == 1 else by_name)
    if by_name:
        return frozenset(by_name)
    return frozenset(references) if len(references) == 1 and uuid is None else frozenset()


def _has(uuid: str | None, reference: FileReference, path: Path) -> bool:
    """Whether the file that a reference names is another one with the same identifier."""
    named = _beside(path, reference.name or path.name)
    if named == path.resolve() or not named.is_file():
        return False
    with open_tiff(named) as tif:
        return tif.is_ome and parse_ome(tif.ome_metadata or "", named.name).uuid == uuid


def _beside(path: Path, name: str) -> Path:
    """Name a file in the same folder, that of the file itself if it is opened through a link."""
    return path.resolve().with_name(PureWindowsPath(name).name or path.name)


def _description_in(holder: Path, path: Path) -> str:
    if not holder.is_file():
        raise ImageFileError(
            f"'{path.name}' is one of several files, which {listed([holder.name])} describes: put "
            "that into the same folder."
        )
    if holder.suffix.lower() in (".tif", ".tiff"):
        with open_tiff(holder) as tif:
            return tif.ome_metadata or ""
    return companion_text(holder)
