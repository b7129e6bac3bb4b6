"""Surfaces against analytic depths, and their files."""

from __future__ import annotations

import json
import math
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.interpolate import RBFInterpolator

from napari_deepz.provenance import Provenance
from napari_deepz.surfaces import (
    AlongPath,
    Curved,
    Flat,
    FromImage,
    FromPoints,
    Surface,
    Tilted,
    load_surface,
    out_of_range_mask,
    save_surface,
)

SHAPE = (40, 61)
PIXEL_UM = 0.325


def positions_um(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.indices(shape)
    return y * PIXEL_UM, x * PIXEL_UM


def depth_at(surface: Surface, y: int, x: int, shape: tuple[int, int] = SHAPE) -> float:
    return float(surface.dpm(shape, PIXEL_UM)[y, x])


class TestSign:
    def test_a_positive_depth_aims_at_planes_of_larger_index(self) -> None:
        plane_z_um = np.arange(21) * 0.5
        input_plane, target_plane = 6, 13
        surface = Flat(plane_z_um[target_plane] - plane_z_um[input_plane])
        target_z_um = plane_z_um[input_plane] + surface.dpm(SHAPE, PIXEL_UM)
        assert np.array_equal(target_z_um, np.full(SHAPE, plane_z_um[target_plane]))
        assert surface.dpm(SHAPE, PIXEL_UM).min() > 0

    def test_positive_tilts_and_radii_rise_along_the_axes(self) -> None:
        tilt_x = Tilted(3, 0).dpm(SHAPE, PIXEL_UM)
        tilt_y = Tilted(0, 3).dpm(SHAPE, PIXEL_UM)
        bowl = Curved(form="sphere", radius_um=100).dpm(SHAPE, PIXEL_UM)
        assert (np.diff(tilt_x, axis=1) > 0).all()
        assert (np.diff(tilt_y, axis=0) > 0).all()
        assert bowl[0, 0] > bowl[20, 30]


class TestFlat:
    def test_both_ends_and_every_step_are_exact(self) -> None:
        z_um = Flat(-10, 10, 0.1).uniform_z_um
        assert len(z_um) == 201
        assert z_um == tuple(round(-10 + 0.1 * k, 1) for k in range(201))

    def test_downwards(self) -> None:
        surface = Flat.parse("10:-10:-0.5")
        assert surface.uniform_z_um == tuple(10 - 0.5 * k for k in range(41))
        assert surface.range_um(SHAPE, PIXEL_UM) == (-10, 10)

    def test_a_step_that_does_not_divide_the_span_still_ends_at_the_stop(self) -> None:
        assert Flat(0, 1, 0.4).uniform_z_um == (0, 0.4, 0.8, 1)
        assert Flat(1, 0, -0.4).uniform_z_um == (1, 0.6, 0.2, 0)
        assert Flat(0, 1, 5).uniform_z_um == (0, 1)

    def test_a_rounded_step_does_not_add_a_sliver(self) -> None:
        assert Flat(0, 20, 0.33333).uniform_z_um == tuple(
            pytest.approx(k / 3, abs=1e-8) for k in range(61)
        )

    def test_one_plane(self) -> None:
        for surface in (Flat(3.0), Flat.parse("3"), Flat(3, 3, 0.5)):
            assert surface.uniform_z_um == (3.0,)
            assert surface.describe() == "flat, 3 µm"

    def test_the_matrix_of_each_plane_is_uniform_float32(self) -> None:
        surface = Flat(-1, 1, 0.5)
        assert len(surface) == 5
        for index, z_um in enumerate(surface.uniform_z_um):
            dpm = surface.dpm(SHAPE, PIXEL_UM, index)
            assert dpm.dtype == np.float32
            assert np.array_equal(dpm, np.full(SHAPE, z_um))
        with pytest.raises(IndexError, match="no plane 5"):
            surface.dpm(SHAPE, PIXEL_UM, 5)

    def test_description(self) -> None:
        assert Flat(-10, 10, 0.5).describe() == "flat, -10 to 10 µm in steps of 0.5 µm"
        assert Flat(10, -10, -0.5).describe() == "flat, 10 to -10 µm in steps of 0.5 µm"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((0, 10, 0), "choose a positive step"),
            ((0, 10, -1), "choose a positive step"),
            ((10, 0, 1), "choose a negative step"),
            ((0, 10), "the step is missing"),
            ((0, None, 1), "the stop is missing"),
            ((0, 10, 1e-4), "more than 10000 planes"),
            ((0, 10, 5e-324), "more than 10000 planes"),
            ((0, 0.01, -5e-324), "choose a positive step"),
            ((math.nan,), "'start_um' of a Flat surface is nan"),
            ((-math.inf, 10, 1), "'start_um' of a Flat surface is -inf"),
        ],
    )
    def test_ranges_that_make_no_sense(self, arguments: tuple, message: str) -> None:
        with pytest.raises(ValueError, match=message) as caught:
            Flat(*arguments)
        assert "\n" not in str(caught.value)

    def test_ten_thousand_planes_are_allowed(self) -> None:
        assert len(Flat(1, 10_000, 1)) == 10_000
        assert len(Flat(0.3, 1000.2, 0.1)) == 10_000
        with pytest.raises(ValueError, match="more than 10000"):
            Flat(0, 10_000, 1)

    @pytest.mark.parametrize("text", ["", "a:b:c", "1:2:3:4", "1,5", "-10 10"])
    def test_texts_that_are_no_range(self, text: str) -> None:
        with pytest.raises(ValueError, match="write START:STOP:STEP"):
            Flat.parse(text)


class TestTilted:
    def test_difference_across_the_image(self) -> None:
        dpm = Tilted(2.5, -1.5, 0.7).dpm(SHAPE, PIXEL_UM)
        across_x = math.tan(math.radians(2.5)) * 60 * PIXEL_UM
        across_y = math.tan(math.radians(-1.5)) * 39 * PIXEL_UM
        assert np.allclose(dpm[:, -1] - dpm[:, 0], across_x, atol=1e-6)
        assert np.allclose(dpm[-1] - dpm[0], across_y, atol=1e-6)
        assert dpm.mean() == pytest.approx(0.7, abs=1e-6)
        assert depth_at(Tilted(2.5, 0, 0.7), 7, 30) == pytest.approx(0.7)

    def test_range_is_that_of_the_corners(self) -> None:
        low, high = Tilted(4, 3).range_um(SHAPE, PIXEL_UM)
        expected = PIXEL_UM * (30 * math.tan(math.radians(4)) + 19.5 * math.tan(math.radians(3)))
        assert (low, high) == pytest.approx((-expected, expected))

    def test_through_three_points(self) -> None:
        pixels = [(0, 0), (39, 10), (5, 60)]
        z_um = [-2.0, 3.5, 1.25]
        points = [(y * PIXEL_UM, x * PIXEL_UM, z) for (y, x), z in zip(pixels, z_um, strict=True)]
        surface = Tilted.through_points(points, SHAPE, PIXEL_UM)
        for (y, x), z in zip(pixels, z_um, strict=True):
            assert depth_at(surface, y, x) == pytest.approx(z, abs=1e-6)

    def test_through_points_on_a_line(self) -> None:
        with pytest.raises(ValueError, match="on one line"):
            Tilted.through_points([(0, 0, 0), (1, 1, 1), (5, 5, 3)], SHAPE, PIXEL_UM)
        with pytest.raises(ValueError, match="three points"):
            Tilted.through_points([(0, 0, 0), (1, 1, math.nan), (5, 0, 3)], SHAPE, PIXEL_UM)

    def test_a_right_angle_is_refused(self) -> None:
        with pytest.raises(ValueError, match="'tilt_x_deg' of a Tilted surface is 90"):
            Tilted(90, 0)


class TestCurved:
    @pytest.mark.parametrize("radius_um", [300.0, -300.0])
    def test_sag_of_a_sphere(self, radius_um: float) -> None:
        surface = Curved(form="sphere", radius_um=radius_um, centre_um=(0, 0), offset_um=1)
        r_um = 50 * PIXEL_UM
        sag = math.copysign(300 - math.sqrt(300**2 - r_um**2), radius_um)
        assert depth_at(surface, 0, 0) == 1
        assert depth_at(surface, 0, 50) == pytest.approx(1 + sag, abs=1e-6)
        assert depth_at(surface, 30, 40) == pytest.approx(1 + sag, abs=1e-6)

    def test_every_pixel_of_a_sphere_has_the_radius(self) -> None:
        y, x = positions_um((41, 61))
        dpm = Curved(form="sphere", radius_um=40).dpm((41, 61), PIXEL_UM).astype(float)
        distance = np.sqrt((y - 20 * PIXEL_UM) ** 2 + (x - 30 * PIXEL_UM) ** 2 + (dpm - 40) ** 2)
        assert np.allclose(distance, 40, atol=1e-5)

    def test_beyond_the_rim_the_depth_is_held(self) -> None:
        dpm = Curved(form="sphere", radius_um=5, centre_um=(0, 0)).dpm(SHAPE, PIXEL_UM)
        y, x = positions_um(SHAPE)
        outside = y**2 + x**2 >= 25
        assert outside.any()
        assert (dpm[outside] == 5).all()
        assert (dpm[~outside] < 5).all()

    def test_paraboloid(self) -> None:
        y, x = positions_um(SHAPE)
        surface = Curved(form="paraboloid", radius_um=-80, centre_um=(3, 5), offset_um=2)
        expected = 2 - ((y - 3) ** 2 + (x - 5) ** 2) / 160
        assert np.allclose(surface.dpm(SHAPE, PIXEL_UM), expected, atol=1e-5)

    def test_a_shallow_sphere_is_nearly_its_paraboloid(self) -> None:
        sphere = Curved(form="sphere", radius_um=1e6).dpm(SHAPE, PIXEL_UM)
        paraboloid = Curved(form="paraboloid", radius_um=1e6).dpm(SHAPE, PIXEL_UM)
        assert np.allclose(sphere, paraboloid, rtol=1e-6, atol=0)
        assert sphere.max() > 0

    def test_directions_of_a_cylinder(self) -> None:
        shape = (41, 41)
        along_x, along_y, diagonal = (
            Curved(form="cylinder", radius_um=50, axis_deg=angle).dpm(shape, PIXEL_UM)
            for angle in (0, 90, 45)
        )
        r_um = 20 * PIXEL_UM
        sag = 50 - math.sqrt(50**2 - r_um**2)
        assert np.allclose(along_x, along_x[:, :1], atol=1e-6)
        assert along_x[0, 7] == pytest.approx(sag, abs=1e-6)
        assert np.allclose(along_y, along_x.T, atol=1e-6)
        # The axis at 45 degrees turns from +x towards +y: down the main diagonal
        assert np.allclose(np.diagonal(diagonal), 0, atol=1e-6)
        corner_um = r_um * math.sqrt(2)
        assert diagonal[0, -1] == pytest.approx(50 - math.sqrt(50**2 - corner_um**2), abs=1e-6)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"form": "sphere", "radius_um": 0}, "The radius of a curved surface is 0"),
            ({"form": "torus", "radius_um": 10}, "'form' of a Curved surface is 'torus'"),
            ({"form": "sphere"}, "'radius_um' of a Curved surface is missing"),
            ({"form": "sphere", "radius_um": 9, "tilt": 1}, "no setting 'tilt'"),
            ({"form": "sphere", "radius_um": math.inf}, "'radius_um' of a Curved surface is inf"),
        ],
    )
    def test_wrong_settings(self, settings: dict, message: str) -> None:
        with pytest.raises(ValueError, match=message) as caught:
            Curved(**settings)
        assert "\n" not in str(caught.value)


def bumpy_points(shape: tuple[int, int], count: int = 12) -> np.ndarray:
    rng = np.random.default_rng(4)
    pixels = rng.integers((0, 0), shape, size=(count, 2))
    return np.column_stack([pixels * PIXEL_UM, rng.uniform(-6, 6, count)])


class TestFromPoints:
    def test_three_points_are_a_plane(self) -> None:
        points = [(0, 0, -2.0), (39 * PIXEL_UM, 10 * PIXEL_UM, 3.5), (0, 60 * PIXEL_UM, 1.0)]
        surface = FromPoints(points)
        tilted = Tilted.through_points(points, SHAPE, PIXEL_UM)
        assert depth_at(surface, 39, 10) == pytest.approx(3.5, abs=1e-6)
        assert np.allclose(surface.dpm(SHAPE, PIXEL_UM), tilted.dpm(SHAPE, PIXEL_UM), atol=1e-5)
        assert surface.describe() == "plane through 3 points"

    @pytest.mark.parametrize("shape", [(200, 150), (700, 500)])
    def test_a_thin_plate_passes_through_its_points(self, shape: tuple[int, int]) -> None:
        points = bumpy_points(shape)
        dpm = FromPoints(points).dpm(shape, PIXEL_UM)
        y, x = np.rint(points[:, :2] / PIXEL_UM).astype(int).T
        assert np.allclose(dpm[y, x], points[:, 2], atol=0.02)

    def test_points_on_a_plane_give_that_plane(self) -> None:
        y, x = bumpy_points((600, 600))[:, :2].T
        points = np.column_stack([y, x, 1 + 0.02 * x - 0.01 * y])
        y_um, x_um = positions_um((600, 600))
        dpm = FromPoints(points).dpm((600, 600), PIXEL_UM)
        assert np.allclose(dpm, 1 + 0.02 * x_um - 0.01 * y_um, atol=1e-4)

    @pytest.mark.parametrize("count", [12, 60])
    def test_upsampled_is_close_to_direct(self, count: int) -> None:
        shape = (1024, 1024)
        points = bumpy_points(shape, count)
        dpm = FromPoints(points).dpm(shape, PIXEL_UM)
        y_um, x_um = positions_um(shape)
        plate = RBFInterpolator(points[:, :2], points[:, 2], kernel="thin_plate_spline")
        direct = plate(np.column_stack([y_um.ravel(), x_um.ravel()])).reshape(shape)
        assert np.abs(dpm - direct).max() < 0.05

    def test_smoothing_leads_to_the_best_plane(self) -> None:
        points = bumpy_points(SHAPE)
        design = np.column_stack([np.ones(12), points[:, :2]])
        level, slope_y, slope_x = np.linalg.lstsq(design, points[:, 2])[0]
        y_um, x_um = positions_um(SHAPE)
        plane = level + slope_y * y_um + slope_x * x_um
        assert np.allclose(FromPoints(points, 1e9).dpm(SHAPE, PIXEL_UM), plane, atol=1e-3)

    def test_points_on_a_line_become_the_best_plane(self) -> None:
        x_um = np.array([0.0, 5.0, 10.0, 15.0])
        z_um = np.array([0.0, 2.0, 1.0, 3.0])
        surface = FromPoints(np.column_stack([np.full(4, 4.0), x_um, z_um]))
        (note,) = surface.notes
        assert note.startswith("The 4 points of the surface lie on one line")
        slope, level = np.polyfit(x_um, z_um, 1)
        expected = np.broadcast_to(level + slope * positions_um(SHAPE)[1], SHAPE)
        assert np.allclose(surface.dpm(SHAPE, PIXEL_UM), expected, atol=1e-5)
        assert surface.describe() == "plane fitted to 4 points on one line"

    def test_duplicates_are_averaged(self) -> None:
        triangle = [(0, 0, 0.0), (0, 13, 0.0), (6.5, 0, 0.0)]
        surface = FromPoints([*triangle, (6.5, 13, 2.0), (6.5, 13.001, 3.0)])
        (note,) = surface.notes
        assert note.startswith("5 points lie at only 4 different positions")
        assert FromPoints(triangle).notes == ()
        assert depth_at(surface, 20, 40) == pytest.approx(2.5, abs=1e-3)
        assert len(surface.points_um) == 5

    def test_too_few_points(self) -> None:
        for points in ([], [(0, 0, 0), (1, 1, 1)], [(0, 0, 0), (0, 0, 1), (5, 5, 0)]):
            with pytest.raises(ValueError, match="at least three at different positions"):
                FromPoints(points)

    def test_points_of_the_wrong_form(self) -> None:
        with pytest.raises(ValueError, match=r"'points_um\.1\.2' of a FromPoints surface is nan"):
            FromPoints([(0, 0, 0), (1, 1, math.nan), (0, 5, 0)])
        with pytest.raises(ValueError, match="FromPoints surface"):
            FromPoints(np.zeros((4, 2)))
        with pytest.raises(ValueError, match="at most 2000"):
            FromPoints(np.random.default_rng(0).uniform(0, 100, (2001, 3)))


class TestFromImage:
    def test_an_array_is_copied_and_kept(self) -> None:
        depths = np.linspace(-3, 3, 40 * 61).reshape(SHAPE)
        surface = FromImage(depths)
        expected = depths.astype(np.float32)
        depths[:] = 0
        dpm = surface.dpm(SHAPE, PIXEL_UM)
        dpm[:] = 9
        assert np.array_equal(surface.dpm(SHAPE, PIXEL_UM), expected)
        assert surface.range_um(SHAPE, PIXEL_UM) == (-3, 3)
        with pytest.raises(ValueError, match="read-only"):
            surface.depths_um[0, 0] = 1

    def test_files_of_every_kind(self, tmp_path: Path) -> None:
        depths = np.arange(12, dtype=np.uint16).reshape(3, 4) * 100
        tifffile.imwrite(tmp_path / "a.tif", depths.astype(">f4"))
        tifffile.imwrite(
            tmp_path / "b.ome.tif", depths[np.newaxis].astype("f8"), photometric="minisblack"
        )
        np.save(tmp_path / "c.npy", np.asfortranarray(depths))
        Image.fromarray(depths).save(tmp_path / "d.png")
        for path in sorted(tmp_path.iterdir()):
            surface = load_surface(path)
            assert np.array_equal(surface.dpm((3, 4), PIXEL_UM), depths)
            assert surface.describe() == f"depths from the surface image {path.name}"

    def test_size_differs_from_the_image(self) -> None:
        with pytest.raises(ValueError, match=r"3 x 4 pixels .* 40 x 61"):
            FromImage(np.zeros((3, 4))).dpm(SHAPE, PIXEL_UM)

    @pytest.mark.parametrize("value", [math.nan, math.inf, 1e300])
    def test_depths_that_are_not_finite(self, value: float) -> None:
        depths = np.zeros((3, 4))
        depths[1, 2] = value
        with pytest.raises(ValueError, match=r"1 pixel\(s\) without a finite depth"):
            FromImage(depths)

    @pytest.mark.parametrize(
        "array",
        [np.zeros((2, 3, 4)), np.zeros(5), np.zeros((0, 4)), np.zeros((3, 4), complex), [["a"]]],
    )
    def test_arrays_that_are_no_depth_image(self, array: Any) -> None:
        with pytest.raises(ValueError, match="give one 2D image of depths"):
            FromImage(array)

    def test_files_that_cannot_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "broken.tif").write_bytes(b"II*\x00 not a tiff")
        (tmp_path / "empty.npy").write_bytes(b"")
        np.save(tmp_path / "objects.npy", np.array([[{}]]), allow_pickle=True)
        tifffile.imwrite(
            tmp_path / "stack.tif", np.zeros((3, 8, 8), np.float32), photometric="minisblack"
        )
        Image.new("RGB", (4, 4)).save(tmp_path / "colour.png")
        Image.new("P", (4, 4)).save(tmp_path / "palette.png")
        for path in sorted(tmp_path.iterdir()):
            with pytest.raises(ValueError, match=f"surface image {path.name} cannot be read"):
                FromImage(path)
        with pytest.raises(ValueError, match=r"sheet\.xlsx is not of a known kind"):
            FromImage("sheet.xlsx")
        with pytest.raises(FileNotFoundError, match="There is no surface image"):
            FromImage(tmp_path / "nowhere.tif")


SURFACES = [
    Flat(3),
    Flat(-10, 10, 0.3),
    Tilted(1 / 3, -2.2, 0.1),
    Curved(form="cylinder", radius_um=-123.4, axis_deg=12.5),
    Curved(form="sphere", radius_um=500, centre_um=(1, 2), offset_um=-1),
    Curved(form="paraboloid", radius_um=500),
    FromPoints(bumpy_points(SHAPE), smoothing=0.5),
    AlongPath([(1, 2, -1.5), (8, 14, 2), (9, 30, 0.25)]),
    FromImage(np.random.default_rng(1).normal(size=SHAPE)),
]


class TestFiles:
    @pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.describe())
    def test_a_saved_surface_comes_back_the_same(self, surface: Surface, tmp_path: Path) -> None:
        save_surface(surface, tmp_path / "saved.json")
        loaded = load_surface(str(tmp_path / "saved.json"))
        assert type(loaded) is type(surface)
        assert len(loaded) == len(surface)
        assert loaded.uniform_z_um == surface.uniform_z_um
        for index in range(len(surface)):
            assert np.array_equal(
                loaded.dpm(SHAPE, PIXEL_UM, index), surface.dpm(SHAPE, PIXEL_UM, index)
            )

    @pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.describe())
    def test_surfaces_are_values(self, surface: Any) -> None:
        copy = pickle.loads(pickle.dumps(surface))
        assert copy == surface
        assert hash(copy) == hash(surface)
        assert sum(surface == other for other in SURFACES) == 1
        json.dumps(surface.model_dump(mode="json"), allow_nan=False)
        with pytest.raises(ValueError, match="frozen"):
            surface.kind = "other"

    def test_an_array_is_written_beside_the_json(self, tmp_path: Path) -> None:
        depths = np.arange(12, dtype=np.float32).reshape(3, 4)
        save_surface(FromImage(depths), tmp_path / "worm.json")
        assert json.loads((tmp_path / "worm.json").read_text())["source"] == "worm.dpm.tif"
        assert np.array_equal(tifffile.imread(tmp_path / "worm.dpm.tif"), depths)
        moved = tmp_path.rename(tmp_path.with_name("moved"))
        assert np.array_equal(load_surface(moved / "worm.json").dpm((3, 4), 1.0), depths)

    @pytest.mark.parametrize("surface", [FromPoints(np.eye(3) * 1000), FromImage(np.eye(99))])
    def test_a_full_disk_leaves_the_former_surface(self, tmp_path: Path, surface: Surface) -> None:
        resource = pytest.importorskip("resource", reason="Unix alone limits a process")
        save_surface(surface, tmp_path / "worm.json")
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (40, limits[1]))
            with pytest.raises(OSError, match=r"^'worm.* could not be written, nothing is left of"):
                save_surface(surface, tmp_path / "worm.json")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

    def test_a_file_is_referred_to(self, tmp_path: Path) -> None:
        (tmp_path / "json").mkdir()
        inside, outside = tmp_path / "json" / "in.npy", tmp_path / "out.npy"
        for path, stored in ((inside, "in.npy"), (outside, str(outside.resolve()))):
            np.save(path, np.ones((2, 3)))
            save_surface(FromImage(path), tmp_path / "json" / "a.json")
            assert json.loads((tmp_path / "json" / "a.json").read_text())["source"] == stored
            assert load_surface(tmp_path / "json" / "a.json").dpm((2, 3), 1.0).all()

    @pytest.mark.skipif(sys.platform != "linux", reason="Other systems have no such names")
    @pytest.mark.parametrize(
        "name", [b"w\xfcrmer.npy", b"\xff\xfe.npy", b"a\xc3.npy", b"\xed\xa0\x80.npy"]
    )
    def test_a_name_that_is_not_utf8_comes_back(self, tmp_path: Path, name: bytes) -> None:
        image = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))
        np.save(image, np.full((2, 3), 4.5))
        surface = FromImage(image)
        save_surface(surface, tmp_path / "worm.json")
        assert (tmp_path / "worm.json").read_bytes().decode("utf-8").count("\\udc") == (
            len(name) - len(name.decode("ascii", "ignore"))
        )
        loaded = load_surface(tmp_path / "worm.json")
        assert isinstance(loaded, FromImage)
        assert loaded.source == image
        assert (loaded.dpm((2, 3), 1.0) == 4.5).all()
        record = Provenance(kind="inferred", surfaces=[surface.model_dump(mode="json")])
        assert Provenance.from_json(record.to_json()) == record

    def test_a_file_written_by_hand(self, tmp_path: Path) -> None:
        path = tmp_path / "range.json"
        text = '{"kind": "flat", "start_um": -1, "stop_um": 1, "step_um": 1}'
        path.write_text(text, encoding="utf-8-sig")
        assert load_surface(path) == Flat(-1, 1, 1)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "is not valid JSON"),
            ("", "is not valid JSON"),
            ("[" * 100_000, "is not valid JSON"),
            ("[1, 2]", "does not describe a surface"),
            ('{"kind": "helix"}', "unknown kind 'helix'"),
            ('{"kind": ["flat"]}', "unknown kind"),
            ("{}", "unknown kind None"),
            ('{"kind": "flat"}', "lacks the setting 'start_um'"),
            ('{"kind": "curved", "form": "sphere"}', "lacks the setting 'radius_um'"),
            ('{"kind": "flat", "start_um": "deep"}', "'start_um' of a Flat surface is 'deep'"),
            ('{"kind": "flat", "start_um": 1, "self": 1}', "no setting 'self'"),
            ('{"kind": "flat", "start_um": 0, "stop_um": 1, "step_um": 0}', "positive step"),
            ('{"kind": "tilted", "tilt_x_deg": NaN, "tilt_y_deg": 0}', "'tilt_x_deg'"),
            ('{"kind": "flat", "start_um": 1e999}', "'start_um' of a Flat surface is inf"),
            ('{"kind": "flat", "start_um": 1' + "0" * 400 + "}", "'start_um' of a Flat surface"),
            ('{"kind": "points", "points_um": 3}', "'points_um' of a FromPoints surface is 3"),
            ('{"kind": "image"}', "does not name its image"),
            ('{"kind": "image", "source": 5}', "does not name its image"),
        ],
    )
    def test_broken_files(self, text: str, message: str, tmp_path: Path) -> None:
        path = tmp_path / "broken.json"
        path.write_text(text)
        with pytest.raises(ValueError, match=message) as caught:
            load_surface(path)
        assert "broken.json" in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_files_that_are_not_there_or_not_ours(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match="There is no surface file"):
            load_surface(tmp_path / "nowhere.json")
        (tmp_path / "lost.json").write_text('{"kind": "image", "source": "gone.tif"}')
        with pytest.raises(FileNotFoundError, match=r"There is no surface image .*gone\.tif"):
            load_surface(tmp_path / "lost.json")
        with pytest.raises(ValueError, match=r"surface\.txt is not of a known kind"):
            load_surface(tmp_path / "surface.txt")
        with pytest.raises(ValueError, match=r"ends in \.json"):
            save_surface(Flat(1), tmp_path / "surface.txt")
        (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00\x01")
        with pytest.raises(ValueError, match="is not valid JSON"):
            load_surface(tmp_path / "bytes.json")

    def test_a_huge_file_is_not_read(self, tmp_path: Path) -> None:
        with (tmp_path / "huge.json").open("wb") as file:
            file.truncate(10_000_001)
        with pytest.raises(ValueError, match="larger than 10 MB"):
            load_surface(tmp_path / "huge.json")


class TestRange:
    def test_mask_of_what_leaves_the_range(self) -> None:
        dpm = np.array([[-10.0005, -10.002, 0], [10.0005, 10.002, 3]], np.float32)
        mask = out_of_range_mask(dpm, (-10, 10))
        assert mask is not None
        assert mask.tolist() == [[False, True, False], [False, True, False]]

    def test_nothing_outside(self) -> None:
        assert out_of_range_mask(Flat(10).dpm(SHAPE, PIXEL_UM), (-10, 10)) is None

    @pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.describe())
    def test_the_range_is_that_of_all_matrices(self, surface: Surface) -> None:
        every = np.stack([surface.dpm(SHAPE, PIXEL_UM, k) for k in range(len(surface))])
        assert surface.range_um(SHAPE, PIXEL_UM) == pytest.approx((every.min(), every.max()))

    @pytest.mark.parametrize("shape", [(10,), (3, 10, 10), (0, 10)])
    def test_images_that_no_surface_fits(self, shape: Any) -> None:
        with pytest.raises(ValueError, match="2D image of at least one pixel"):
            Flat(1).dpm(shape, PIXEL_UM)

    @pytest.mark.parametrize("pixel_size_um", [0, -1, math.nan, math.inf])
    def test_pixel_sizes_that_make_no_sense(self, pixel_size_um: float) -> None:
        with pytest.raises(ValueError, match="give a positive number of micrometres"):
            Tilted(1, 1).dpm(SHAPE, pixel_size_um)


@pytest.mark.parametrize("tilts_deg", [(3, -2), (0, 4), (-5, -1), (0, 0)])
@pytest.mark.parametrize("shape", [(40, 60), (33, 1)])
def test_the_range_of_a_tilted_plane_is_that_of_its_matrix(
    tilts_deg: tuple[int, int], shape: tuple[int, int]
) -> None:
    surface = Tilted(*tilts_deg, offset_um=1.5)
    matrix = surface.dpm(shape, 0.3)
    np.testing.assert_allclose(
        surface.range_um(shape, 0.3), (matrix.min(), matrix.max()), rtol=1e-6
    )


class TestAlongPath:
    def test_depth_is_that_of_the_nearest_point_of_the_line(self) -> None:
        surface = AlongPath([(10, 0, -2), (10, 40, 6)])
        matrix = surface.dpm((60, 81), 0.5)
        x_um = np.arange(81) * 0.5
        # On the line and to its side alike: it is level across.
        for row in (0, 20, 59):
            np.testing.assert_allclose(matrix[row], -2 + 8 * x_um / 40, atol=0.06)

    def test_beyond_the_ends_the_depth_stays(self) -> None:
        matrix = AlongPath([(5, 10, 1), (5, 20, 3)]).dpm((21, 61), 0.5)
        np.testing.assert_allclose(matrix[10, :16], 1, atol=1e-6)
        np.testing.assert_allclose(matrix[10, 45:], 3, atol=1e-6)

    def test_depths_between_vertices_do_not_overshoot(self) -> None:
        z_um = [0, 0, 4, 4, 0.0]
        surface = AlongPath([(5, 10.0 * k, z) for k, z in enumerate(z_um)])
        matrix = surface.dpm((21, 81), 0.5)
        assert matrix.min() == pytest.approx(0, abs=1e-6)
        assert matrix.max() == pytest.approx(4, abs=1e-6)
        for k, z in enumerate(z_um):
            assert matrix[10, 20 * k] == pytest.approx(z, abs=0.1)

    def test_a_bent_line_is_followed(self) -> None:
        angle = np.linspace(0, np.pi, 60)
        line = np.column_stack([30 - 20 * np.cos(angle), 5 + 20 * np.sin(angle), angle])
        matrix = AlongPath(line).dpm((120, 120), 0.5)
        y, x = np.rint(line[:, :2] / 0.5).astype(int).T
        np.testing.assert_allclose(matrix[y, x], angle, atol=0.05)

    def test_a_vertex_given_twice_counts_once(self) -> None:
        twice = AlongPath([(0, 0, 1), (0, 0, 1), (9, 9, 2)])
        assert np.array_equal(
            twice.dpm(SHAPE, PIXEL_UM), AlongPath([(0, 0, 1), (9, 9, 2)]).dpm(SHAPE, PIXEL_UM)
        )
        assert twice.describe() == "along a line of 2 vertices, 12.7 µm long"

    @pytest.mark.parametrize(
        ("points", "sentence"),
        [
            ([], "at least two vertices"),
            ([(1, 1, 1)], "at least two vertices"),
            ([(1, 1, 1), (1, 1, 5)], "at least two vertices"),
            (np.zeros((2001, 3)), "2001 vertices is too long"),
            ([(0, 0, 0), (1, 1, math.inf)], "AlongPath surface"),
        ],
    )
    def test_what_is_no_line_is_refused(self, points: Any, sentence: str) -> None:
        with pytest.raises(ValueError, match=sentence):
            AlongPath(points)
