"""OME-TIFF in several files: the image that lies in the opened file, with its own facts."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_deepz.images import ImageFileError
from napari_deepz.io.reading import read_image, read_provenance
from napari_deepz.io.writing import write_stack
from napari_deepz.provenance import Provenance
from tests.io.notes import noted
from tests.io.ome_sets import Image, Part, binary_only, ome_xml, write_tiff

RNG = np.random.default_rng(11)
STACKS = RNG.integers(0, 4000, (3, 3, 40, 48)).astype(np.uint16)
PIXELS_UM = (0.65, 0.325, 0.1)
NAMES = [f"pos{k}.ome.tif" for k in range(3)]
UUIDS = [f"urn:uuid:{k}" for k in range(3)]


def positions(names: Any = NAMES, uuids: Any = UUIDS) -> list[Image]:
    """Three images of one shape and different sizes, each in a file of its own."""
    return [
        Image(
            [Part(name, uuid, 3)],
            {"Z": 3},
            pixel_um,
            z_um=pixel_um * 2,
            channels=[f"channel of {k}"],
        )
        for k, (name, uuid, pixel_um) in enumerate(zip(names, uuids, PIXELS_UM, strict=True))
    ]


def write_positions(
    folder: Path, compression: Any = None, own_uuids: Any = UUIDS, **named: Any
) -> None:
    images = positions(**named)
    for name, uuid, stack in zip(NAMES, own_uuids, STACKS, strict=True):
        write_tiff(folder / name, stack, ome_xml(images, uuid), compression)


def assert_is(series: Any, k: Any) -> None:
    np.testing.assert_array_equal(series.stack(), STACKS[k])
    assert series.pixel_size_um == PIXELS_UM[k]
    assert series.z_step_um == pytest.approx(PIXELS_UM[k] * 2)
    assert series.channel_names == (f"channel of {k}",)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("k", [0, 1, 2])
def test_each_file_gives_its_own_image(tmp_path: Path, compression: str | None, k: int) -> None:
    write_positions(tmp_path, compression)
    assert_is(read_image(tmp_path / NAMES[k]), k)


def test_a_single_plane_in_each_file(tmp_path: Path) -> None:
    images = [Image([Part(NAMES[k], UUIDS[k])], {}, PIXELS_UM[k]) for k in range(3)]
    for k in range(3):
        write_tiff(tmp_path / NAMES[k], STACKS[k, :1], ome_xml(images, UUIDS[k]))
    for k in range(3):
        series = read_image(tmp_path / NAMES[k])
        np.testing.assert_array_equal(series.plane(), STACKS[k, 0])
        assert series.pixel_size_um == PIXELS_UM[k]


def test_files_without_identifiers_are_known_by_their_names(tmp_path: Path) -> None:
    write_positions(tmp_path, own_uuids=[None] * 3, uuids=[None] * 3)
    assert_is(read_image(tmp_path / NAMES[2]), 2)


def test_names_may_differ_in_case(tmp_path: Path) -> None:
    upper = [name.upper() for name in NAMES]
    write_positions(tmp_path, own_uuids=[None] * 3, names=upper)
    assert_is(read_image(tmp_path / NAMES[1]), 1)


def test_a_renamed_file_is_known_by_its_identifier(tmp_path: Path) -> None:
    write_positions(tmp_path)
    (tmp_path / NAMES[1]).rename(tmp_path / "treated worm.ome.tif")
    assert_is(read_image(tmp_path / "treated worm.ome.tif"), 1)


def test_identifiers_may_differ_in_case(tmp_path: Path) -> None:
    write_positions(tmp_path, own_uuids=[uuid.upper() for uuid in UUIDS])
    (tmp_path / NAMES[1]).rename(tmp_path / "worm.ome.tif")
    assert_is(read_image(tmp_path / "worm.ome.tif"), 1)


def test_files_that_changed_names_are_known_by_their_identifiers(tmp_path: Path) -> None:
    write_positions(tmp_path)
    (tmp_path / NAMES[0]).rename(tmp_path / "a")
    (tmp_path / NAMES[1]).rename(tmp_path / NAMES[0])
    (tmp_path / "a").rename(tmp_path / NAMES[1])
    assert_is(read_image(tmp_path / NAMES[0]), 1)
    assert_is(read_image(tmp_path / NAMES[1]), 0)


@pytest.mark.parametrize("k", [0, 1, 2])
def test_one_identifier_in_all_files_leaves_it_to_the_names(tmp_path: Path, k: int) -> None:
    write_positions(tmp_path, own_uuids=[UUIDS[0]] * 3)
    assert_is(read_image(tmp_path / NAMES[k]), k)


@pytest.mark.parametrize("k", [0, 1, 2])
def test_one_identifier_for_all_names_leaves_it_to_the_names(tmp_path: Path, k: int) -> None:
    write_positions(tmp_path, own_uuids=[UUIDS[0]] * 3, uuids=[UUIDS[0]] * 3)
    assert_is(read_image(tmp_path / NAMES[k]), k)


def test_a_file_alone_that_was_renamed_and_has_no_identifier(tmp_path: Path) -> None:
    image = Image([Part("before.ome.tif", None, 3)], {"Z": 3})
    write_tiff(tmp_path / "after.ome.tif", STACKS[0], ome_xml([image]))
    np.testing.assert_array_equal(read_image(tmp_path / "after.ome.tif").stack(), STACKS[0])


def test_a_file_opened_through_a_link_in_another_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "links").mkdir()
    parts = [Part(NAMES[z], UUIDS[z], first={"Z": z}) for z in range(3)]
    for z in range(3):
        xml = ome_xml([Image(parts, {"Z": 3})], UUIDS[z])
        write_tiff(tmp_path / "data" / NAMES[z], STACKS[0, z : z + 1], xml)
    (tmp_path / "links/worm.tif").symlink_to(tmp_path / "data" / NAMES[1])
    np.testing.assert_array_equal(read_image(tmp_path / "links/worm.tif").stack(), STACKS[0])


def test_an_image_in_another_file_is_named(tmp_path: Path) -> None:
    write_tiff(tmp_path / "x.ome.tif", STACKS[0], ome_xml(positions(), "urn:uuid:9"))
    with pytest.raises(
        ImageFileError, match=r"'x.ome.tif' .*: open 'pos0.ome.tif', 'pos1.ome.tif'"
    ):
        read_image(tmp_path / "x.ome.tif")


@pytest.mark.parametrize(
    "part",
    [[], [Part("gone.ome.tif", "urn:uuid:9")], [Part("gone.ome.tif", None)]],
    ids=["without pixels", "elsewhere", "elsewhere by name"],
)
def test_sizes_are_not_those_of_an_image_that_lies_elsewhere(
    tmp_path: Path, part: list[Any] | list[Part]
) -> None:
    overview = Image(part, {}, 1.3, extra="" if part else "<MetadataOnly/>", channels=["overview"])
    measured = Image([Part(None, None)], {}, 0.325, channels=["GFP"])
    xml = ome_xml([overview, measured], "urn:uuid:1")
    write_tiff(tmp_path / "m.ome.tif", STACKS[0, :1], xml)
    series = read_image(tmp_path / "m.ome.tif")
    assert (series.pixel_size_um, series.channel_names) == (0.325, ("GFP",))
    np.testing.assert_array_equal(series.plane(), STACKS[0, 0])


def test_images_in_another_order_than_their_pages(tmp_path: Path) -> None:
    """The second image of the description has the first page; both have one size."""
    first = Image([Part(None, None, page=1)], {}, 0.1)
    second = Image([Part(None, None, page=0)], {}, 0.9)
    write_tiff(tmp_path / "a.ome.tif", STACKS[0, :2], ome_xml([first, second]))
    with noted("'a.ome.tif' holds 2 images of which only the first"):
        series = read_image(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(series.plane(), STACKS[0, 1])
    assert series.pixel_size_um == 0.1


def test_images_of_different_sizes_in_one_file(tmp_path: Path) -> None:
    thumbnail = Image([Part(None, None, page=1)], {}, 5.0, shape=(20, 24))
    measured = Image([Part(None, None, page=0)], {}, 0.325)
    planes = [STACKS[0, 0], STACKS[0, 0, ::2, ::2]]
    write_tiff(tmp_path / "a.ome.tif", planes, ome_xml([measured, thumbnail]))
    with noted("holds 2 images"):
        series = read_image(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(series.plane(), STACKS[0, 0])
    assert series.pixel_size_um == 0.325


@pytest.mark.parametrize("axis", ["Z", "C", "T"])
@pytest.mark.parametrize("opened", [0, 2])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_an_image_spread_over_files_is_opened_whole(
    tmp_path: Path, axis: str, opened: int, compression: str | None
) -> None:
    parts = [Part(NAMES[k], UUIDS[k], first={axis: k}) for k in range(3)]
    for k in range(3):
        xml = ome_xml([Image(parts, {axis: 3})], UUIDS[k])
        write_tiff(tmp_path / NAMES[k], STACKS[0, k : k + 1], xml, compression)
    series = read_image(tmp_path / NAMES[opened])
    assert series.axes == f"{axis}YX"
    np.testing.assert_array_equal(series.data, STACKS[0])


def test_missing_files_of_an_image_are_named(tmp_path: Path) -> None:
    parts = [Part(NAMES[z], UUIDS[z], first={"Z": z}) for z in range(3)]
    xml = ome_xml([Image(parts, {"Z": 3})], UUIDS[1])
    write_tiff(tmp_path / NAMES[1], STACKS[0, 1:2], xml)
    sentence = r"2 of 3 planes of 'pos1.ome.tif' are missing: put 'pos0.ome.tif', 'pos2.ome.tif'"
    with pytest.raises(ImageFileError, match=f"{sentence} into the same folder"):
        read_image(tmp_path / NAMES[1])


def test_a_file_of_the_set_under_the_name_of_another_is_refused(tmp_path: Path) -> None:
    parts = [Part(NAMES[z], UUIDS[z], first={"Z": z}) for z in range(3)]
    for z in range(3):
        xml = ome_xml([Image(parts, {"Z": 3})], UUIDS[z])
        write_tiff(tmp_path / NAMES[z], STACKS[0, z : z + 1], xml)
    shutil.copy(tmp_path / NAMES[2], tmp_path / NAMES[1])
    with pytest.raises(ImageFileError, match=r"'pos1.ome.tif' is another file of the set"):
        read_image(tmp_path / NAMES[0])


def test_two_images_spread_over_the_same_files(tmp_path: Path) -> None:
    """A channel in each file, and two positions in both."""
    images = [
        Image([Part(NAMES[c], UUIDS[c], page=p, first={"C": c}) for c in range(2)], {"C": 2}, um)
        for p, um in enumerate((0.2, 0.4))
    ]
    for c in range(2):
        planes = [STACKS[0, c], STACKS[1, c]]
        write_tiff(tmp_path / NAMES[c], planes, ome_xml(images, UUIDS[c]))
    with noted(r"'pos1.ome.tif' holds 2 images"):
        series = read_image(tmp_path / NAMES[1])
    np.testing.assert_array_equal(series.data, STACKS[0, :2])
    assert series.pixel_size_um == 0.2


@pytest.mark.parametrize("companion", ["set.companion.ome", "master.ome.tif"])
@pytest.mark.parametrize("k", [0, 1, 2])
def test_a_description_in_a_companion_file(tmp_path: Path, companion: str, k: int) -> None:
    xml = ome_xml(positions(), "urn:uuid:companion")
    if companion.endswith(".tif"):
        write_tiff(tmp_path / companion, STACKS[0, :1], xml)
    else:
        (tmp_path / companion).write_text(xml, encoding="utf-8")
    for name, uuid, stack in zip(NAMES, UUIDS, STACKS, strict=True):
        write_tiff(tmp_path / name, stack, binary_only(companion, uuid))
    assert_is(read_image(tmp_path / NAMES[k]), k)


def test_a_companion_that_is_not_there_is_named(tmp_path: Path) -> None:
    xml = binary_only("../set.companion.ome", "urn:uuid:0")
    write_tiff(tmp_path / "a.ome.tif", STACKS[0], xml)
    (tmp_path.parent / "set.companion.ome").write_text(ome_xml(positions()))
    with pytest.raises(ImageFileError, match=r"'a.ome.tif' is .* 'set.companion.ome' describes"):
        read_image(tmp_path / "a.ome.tif")


def test_tiff_data_without_attributes_is_the_whole_file(tmp_path: Path) -> None:
    image = Image([Part(None, None, count=None, page=None)], {"C": 3})
    write_tiff(tmp_path / "a.ome.tif", STACKS[0], ome_xml([image]))
    series = read_image(tmp_path / "a.ome.tif")
    assert series.axes == "CYX"
    np.testing.assert_array_equal(series.data, STACKS[0])


def test_planes_in_any_order_of_pages(tmp_path: Path) -> None:
    parts = [Part(None, None, page=2 - z, first={"Z": z}) for z in range(3)]
    write_tiff(tmp_path / "a.ome.tif", STACKS[0], ome_xml([Image(parts, {"Z": 3})]))
    np.testing.assert_array_equal(read_image(tmp_path / "a.ome.tif").stack(), STACKS[0, ::-1])


def test_pages_of_another_size_than_the_description(tmp_path: Path) -> None:
    image = Image([Part(None, None, 3)], {"Z": 3}, shape=(40, 50))
    write_tiff(tmp_path / "a.ome.tif", STACKS[0], ome_xml([image]))
    with pytest.raises(ImageFileError, match=r"The description in 'a.ome.tif' does not fit its"):
        read_image(tmp_path / "a.ome.tif")


def test_pages_that_differ_cannot_be_the_planes_of_one_image(tmp_path: Path) -> None:
    planes = [STACKS[0, 0], STACKS[0, 1].astype(np.float32), STACKS[0, 2]]
    write_tiff(tmp_path / "a.ome.tif", planes, ome_xml([Image([Part(None, None, 3)], {"Z": 3})]))
    with pytest.raises(ImageFileError, match=r"'a.ome.tif' has pages of different sizes or kinds"):
        read_image(tmp_path / "a.ome.tif")


def test_pages_may_be_stored_differently(tmp_path: Path) -> None:
    """The first page uncompressed, the second not: both are decoded as they are."""
    xml = ome_xml([Image([Part(None, None, 3)], {"Z": 3})])
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=False) as tif:
        for z, compression in enumerate((None, "zlib", None)):
            description = xml if z == 0 else None
            tif.write(
                STACKS[0, z], description=description, metadata=None, compression=compression,
                photometric="minisblack", rowsperstrip=7 if z == 2 else None,
            )  # fmt: skip
    np.testing.assert_array_equal(read_image(tmp_path / "a.ome.tif").stack(), STACKS[0])


def test_a_divided_axis_is_refused(tmp_path: Path) -> None:
    note = (
        '<StructuredAnnotations><XMLAnnotation ID="Annotation:3" '
        'Namespace="openmicroscopy.org/omero/dimension/modulo"><Value><Modulo>'
        '<ModuloAlongT Type="lifetime" Start="0" Step="1" End="2"/></Modulo></Value>'
        "</XMLAnnotation></StructuredAnnotations>"
    )
    xml = ome_xml([Image([Part(None, None, 3)], {"T": 3})], before=note)
    xml = xml.replace("</Pixels>", '</Pixels><AnnotationRef ID="Annotation:3"/>')
    write_tiff(tmp_path / "a.ome.tif", STACKS[0], xml)
    with pytest.raises(ImageFileError, match=r"'a.ome.tif' keeps a further dimension"):
        read_image(tmp_path / "a.ome.tif")


def test_the_record_is_that_of_the_image_in_the_file(tmp_path: Path) -> None:
    """Two stacks of this package joined into one set by another program."""
    records = [Provenance(kind="inferred", input_name=f"input {k}") for k in range(2)]
    notes = "".join(
        f'<MapAnnotation ID="Annotation:{k}" Namespace="napari-deepz/provenance"><Value>'
        f'<M K="provenance">{record.to_json().replace(chr(34), "&quot;")}</M></Value>'
        "</MapAnnotation>"
        for k, record in enumerate(records)
    )
    images = positions()[:2]
    for k in range(2):
        xml = ome_xml(images, UUIDS[k], f"<StructuredAnnotations>{notes}</StructuredAnnotations>")
        for number in range(2):
            xml = xml.replace(
                "</Pixels></Image>",
                f'</Pixels><AnnotationRef ID="Annotation:{number}"/></Image >',
                1,
            )
        write_tiff(tmp_path / NAMES[k], STACKS[k], xml)
    for k in range(2):
        assert read_provenance(tmp_path / NAMES[k]) == records[k]


def test_channel_names_of_a_single_file(tmp_path: Path) -> None:
    metadata = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP", "Cy5"]}}
    tifffile.imwrite(tmp_path / "a.ome.tif", STACKS[0], metadata=metadata)
    assert read_image(tmp_path / "a.ome.tif").channel_names == ("DAPI", "GFP", "Cy5")


def test_our_own_files_are_read_as_before(tmp_path: Path) -> None:
    path = tmp_path / "ours.ome.tif"
    write_stack(
        path, iter(STACKS[0].astype(np.float32)), count=3, shape=(40, 48), pixel_size_um=0.1,
        z_step_um=0.5, z_start_um=0.0, name="ours", provenance=Provenance(kind="simulated"),
    )  # fmt: skip
    shutil.move(path, tmp_path / "renamed.ome.tif")
    series = read_image(tmp_path / "renamed.ome.tif")
    np.testing.assert_array_equal(series.stack(), STACKS[0])
    assert (series.pixel_size_um, series.z_step_um) == (0.1, 0.5)
