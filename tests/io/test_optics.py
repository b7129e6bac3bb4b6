"""The optics that files state, in OME-XML made by ome-types or written out by hand."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from ome_types import model

from napari_deepz.images import ImageReadWarning, ImageSeries
from napari_deepz.io.reading import read_image
from napari_deepz.sampling import Sampling
from tests.conftest import shared_file
from tests.io.stacks import write

PIXELS = np.arange(2 * 8 * 9, dtype=np.uint16).reshape(2, 8, 9)
OIL = {"id": "Objective:0", "lens_na": 1.4, "immersion": "Oil"}
DRY = {"id": "Objective:1", "lens_na": 0.75, "immersion": "Air"}


def saved(path: Path, ome: model.OME | str) -> Path:
    xml = ome if isinstance(ome, str) else ome.to_xml()
    tifffile.imwrite(
        path, PIXELS, photometric="minisblack", description=xml.encode(), metadata=None
    )
    return path


def described(
    objectives: list[dict[str, Any]],
    settings: dict[str, Any] | None = None,
    channels: list[dict[str, Any]] | None = None,
) -> model.OME:
    """Two channels of one image, and an instrument."""
    pixels = model.Pixels(
        size_x=9, size_y=8, size_z=1, size_c=2, size_t=1, dimension_order="XYCZT", type="uint16",
        physical_size_x=0.1, physical_size_y=0.1,
        channels=[model.Channel(**about) for about in channels or [{}, {}]],
        tiff_data_blocks=[model.TiffData(ifd=0, plane_count=2)],
    )  # fmt: skip
    instrument = model.Instrument(
        id="Instrument:0", objectives=[model.Objective(**about) for about in objectives]
    )
    image = model.Image(
        pixels=pixels,
        instrument_ref=model.InstrumentRef(id="Instrument:0"),
        objective_settings=None if settings is None else model.ObjectiveSettings(**settings),
    )
    return model.OME(images=[image], instruments=[instrument])


def objective_of(series: ImageSeries) -> tuple[float | None, float | None]:
    return series.na, series.immersion_index


@pytest.mark.filterwarnings("ignore:Reference to unknown ID")
@pytest.mark.parametrize(
    ("objectives", "settings", "expected"),
    [
        ([OIL], None, (1.4, 1.515)),
        ([DRY], None, (0.75, 1.0)),
        ([OIL, DRY], {"id": "Objective:0"}, (1.4, 1.515)),
        ([OIL, DRY], {"id": "Objective:1"}, (0.75, 1.0)),
        ([OIL, DRY], None, (None, None)),
        ([OIL], {"id": "Objective:7"}, (None, None)),
        ([OIL], {"id": "Objective:7", "refractive_index": 1.33}, (None, 1.33)),
        ([OIL], {"id": "Objective:0", "refractive_index": 1.518}, (1.4, 1.518)),
        ([DRY | {"immersion": "Water"}], None, (0.75, 1.33)),
        ([DRY | {"immersion": "WaterDipping"}], None, (0.75, 1.33)),
        ([DRY | {"immersion": "Glycerol"}], None, (0.75, 1.47)),
        ([DRY | {"immersion": "Multi"}], None, (0.75, None)),
        ([DRY | {"immersion": "Other"}], None, (0.75, None)),
        ([{"id": "Objective:0", "lens_na": 0.3}], None, (0.3, None)),
        ([{"id": "Objective:0"}], None, (None, None)),
        ([], None, (None, None)),
    ],
)
def test_the_objective_of_an_image(
    tmp_path: Path,
    objectives: list[dict[str, Any]],
    settings: dict[str, Any] | None,
    expected: tuple[float | None, float | None],
) -> None:
    path = saved(tmp_path / "a.ome.tif", described(objectives, settings))
    assert objective_of(read_image(path)) == expected


def test_the_instrument_that_an_image_names_decides(tmp_path: Path) -> None:
    ome = described([OIL])
    other = model.Instrument(id="Instrument:1", objectives=[model.Objective(**DRY)])
    ome.instruments.append(other)
    assert objective_of(read_image(saved(tmp_path / "a.ome.tif", ome))) == (1.4, 1.515)
    ome.images[0].instrument_ref = model.InstrumentRef(id="Instrument:1")
    assert objective_of(read_image(saved(tmp_path / "b.ome.tif", ome))) == (0.75, 1.0)
    ome.images[0].instrument_ref = None
    assert objective_of(read_image(saved(tmp_path / "c.ome.tif", ome))) == (None, None)


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        ([{"emission_wavelength": 461}, {"emission_wavelength": 520}], (0.461, 0.52)),
        ([{"emission_wavelength": 5145, "emission_wavelength_unit": "Å"}, {}], (0.5145, None)),
        ([{}, {"emission_wavelength": 0.6, "emission_wavelength_unit": "µm"}], (None, 0.6)),
        ([{"excitation_wavelength": 488}, {}], ()),
    ],
)
def test_every_channel_has_its_wavelength(
    tmp_path: Path, channels: list[dict[str, Any]], expected: tuple[float | None, ...]
) -> None:
    series = read_image(saved(tmp_path / "a.ome.tif", described([DRY], channels=channels)))
    assert series.wavelengths_um == expected
    for c in range(2):
        assert series.sampling(c) == Sampling(
            pixel_size_um=0.1,
            na=0.75,
            immersion_index=1,
            wavelength_um=expected[c] if expected else None,
        )


@pytest.mark.parametrize(
    ("objective", "settings", "sentence", "expected"),
    [
        (
            OIL | {"immersion": "Air"},
            None,
            "'a.ome.tif' states a numerical aperture of 1.4 in an immersion of index 1, which is "
            "not possible, so the immersion counts as unknown.",
            (1.4, None),
        ),
        (
            OIL,
            {"id": "Objective:0", "refractive_index": 1.0},
            "in an immersion of index 1, which is not possible",
            (1.4, None),
        ),
        (
            OIL | {"lens_na": 63.0},
            None,
            "The numerical aperture stored in 'a.ome.tif', 63, is none that an objective has, so "
            "it counts as unknown.",
            (None, 1.515),
        ),
        (
            OIL,
            {"id": "Objective:0", "refractive_index": 15.18},
            "The refractive index stored in 'a.ome.tif', 15.18, is none of an immersion, so it "
            "counts as unknown.",
            (1.4, None),
        ),
    ],
)
def test_what_no_objective_has_is_said_and_unknown(
    tmp_path: Path,
    objective: dict[str, Any],
    settings: dict[str, Any] | None,
    sentence: str,
    expected: tuple[float | None, float | None],
) -> None:
    path = saved(tmp_path / "a.ome.tif", described([objective], settings))
    with pytest.warns(ImageReadWarning) as caught:
        series = read_image(path)
    (note,) = [str(warning.message) for warning in caught]
    assert sentence in note
    assert objective_of(series) == expected
    assert series.sampling() is not None


def test_a_wavelength_that_no_microscope_shows_is_said_and_unknown(tmp_path: Path) -> None:
    channels = [{"emission_wavelength": 52000}, {"emission_wavelength": 520}]
    path = saved(tmp_path / "a.ome.tif", described([DRY], channels=channels))
    with pytest.warns(ImageReadWarning, match=r"stored in 'a.ome.tif', 52 µm, is none that"):
        series = read_image(path)
    assert series.wavelengths_um == (None, 0.52)


HAND_WRITTEN = """<?xml version="1.0" encoding="UTF-8"?>
<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2012-06">
<Instrument ID="Instrument:0"><Objective ID="Objective:0:0" LensNA="{na}" Immersion="{immersion}"/>
</Instrument><Image ID="Image:0"><InstrumentRef ID="Instrument:0"/>
<ObjectiveSettings ID="Objective:0:0" RefractiveIndex="{index}"/>
<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="9" SizeY="8" SizeZ="1" SizeC="2"
SizeT="1">{channels}<TiffData IFD="0" PlaneCount="2"/></Pixels></Image></OME>"""
CHANNELS = (
    '<Channel ID="Channel:0:0" EmissionWavelength="509"/>'
    '<Channel ID="Channel:0:1" EmissionWavelength="{second}"/>'
)


def test_an_older_schema(tmp_path: Path) -> None:
    xml = HAND_WRITTEN.format(
        na="1.3", immersion="Oil", index="1.451", channels=CHANNELS.format(second="610")
    )
    series = read_image(saved(tmp_path / "a.ome.tif", xml))
    assert (series.na, series.immersion_index) == (1.3, 1.451)
    assert series.wavelengths_um == (0.509, 0.61)
    assert series.sampling() is None


@pytest.mark.parametrize("nothing", ["", "0", "0.0", "-1", "NaN", "INF", "unknown"])
def test_numbers_that_say_nothing_are_unknown_without_a_note(tmp_path: Path, nothing: str) -> None:
    xml = HAND_WRITTEN.format(
        na=nothing, immersion=nothing, index=nothing, channels=CHANNELS.format(second=nothing)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        series = read_image(saved(tmp_path / "a.ome.tif", xml))
    assert (series.na, series.immersion_index) == (None, None)
    assert series.wavelengths_um == (0.509, None)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_wavelengths_of_too_few_or_many_channels_are_unknown(tmp_path: Path, count: int) -> None:
    channels = '<Channel ID="Channel:0" EmissionWavelength="509"/>' * count
    xml = HAND_WRITTEN.format(na="0.8", immersion="Air", index="1", channels=channels)
    series = read_image(saved(tmp_path / "a.ome.tif", xml))
    assert (series.axes, series.na, series.wavelengths_um) == ("CYX", 0.8, ())


@pytest.mark.parametrize(
    "name", ["celegans_embryo_cy3.ome.tif", "bead_na085.ome.tif", "worm_motion.ome.tif"]
)
def test_measured_files_without_optics_have_none(name: str) -> None:
    series = read_image(shared_file(f"data/{name}"))
    assert (series.na, series.immersion_index, series.wavelengths_um) == (None, None, ())
    sampling = series.sampling()
    known = series.pixel_size_um
    assert sampling == (None if known is None else Sampling(pixel_size_um=known))


@pytest.mark.parametrize("xml", [None, "<OME", "<OME/>"])
def test_zarr_of_bioformats2raw_has_the_optics_of_its_ome_xml(
    tmp_path: Path, xml: str | None
) -> None:
    zarr = pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    path = tmp_path / "a.zarr"
    zarr.create_group(path, zarr_format=2, attributes={"bioformats2raw.layout": 3})
    multiscale = {
        "version": "0.4",
        "axes": [{"name": "c", "type": "channel"}, *({"name": a, "type": "space"} for a in "yx")],
        "datasets": [{"path": "0", "coordinateTransformations": []}],
    }
    image = zarr.create_group(path / "0", zarr_format=2, attributes={"multiscales": [multiscale]})
    image.create_array("0", data=PIXELS)
    (path / "OME").mkdir()
    channels = [{"emission_wavelength": 461}, {"emission_wavelength": 520}]
    text = described([OIL], channels=channels).to_xml() if xml is None else xml
    (path / "OME" / "METADATA.ome.xml").write_text(text)
    series = read_image(path)
    np.testing.assert_array_equal(series.plane(c=1), PIXELS[1])
    found = series.na, series.immersion_index, series.wavelengths_um
    assert found == ((1.4, 1.515, (0.461, 0.52)) if xml is None else (None, None, ()))


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"na": 0.8, "immersion_index": 1.0, "wavelengths_um": [0.52]}, (0.8, 1.0, (0.52,))),
        ({"na": "x", "immersion_index": None, "wavelengths_um": [[]]}, (None, None, ())),
        ({"na": -1, "immersion_index": [1], "wavelengths_um": 0.5}, (None, None, ())),
        ({"wavelengths_um": [0.5, 0.6]}, (None, None, ())),
        ([0.8], (None, None, ())),
        (None, (None, None, ())),
    ],
)
def test_a_record_of_optics_in_a_zarr_is_not_trusted(
    tmp_path: Path, record: Any, expected: tuple[Any, ...]
) -> None:
    zarr = pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    path = tmp_path / "a.ome.zarr"
    write(path)
    group = zarr.open_group(path)
    group.attrs["napari-deepz"] = {"optics": record}
    series = read_image(path)
    assert (series.na, series.immersion_index, series.wavelengths_um) == expected


def test_impossible_optics_in_a_zarr_are_said(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    path = tmp_path / "a.ome.zarr"
    write(path)
    zarr.open_group(path).attrs["napari-deepz"] = {"optics": {"na": 1.4, "immersion_index": 1}}
    with pytest.warns(ImageReadWarning, match="1.4 in an immersion of index 1, which is not poss"):
        series = read_image(path)
    assert (series.na, series.immersion_index) == (1.4, None)
