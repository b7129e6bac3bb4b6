"""Simulated volumes of any objective: light is where the sample is, borders meet, kinds differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_deepz.pupil import Aberrations, Pupil
from napari_deepz.training.any_objective import textures, volumes
from napari_deepz.training.any_objective.exposure import Exposure, draw_exposure
from napari_deepz.training.any_objective.optics import STEP_WAVES, draw_optics
from napari_deepz.training.any_objective.specimens import (
    SHAPE,
    draw_specimen,
    splat_around,
)
from napari_deepz.training.any_objective.volumes import (
    expose,
    simulate_volumes,
    transfer_through_focus,
)

SMALL = (16, 48, 48)
VOXEL_UM = (0.5, 0.325, 0.325)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> tuple[int, int, int]:
    """Volumes that take milliseconds."""
    for module in ("volumes", "specimens"):
        monkeypatch.setattr(f"napari_deepz.training.any_objective.{module}.SHAPE", SMALL)
    return SMALL


def test_a_point_is_the_psf_through_focus_wherever_it_lies(small: tuple[int, int, int]) -> None:
    """In a corner too, as the borders meet; deeper points are sharp at a deeper focus."""
    pupil = Pupil(0.75, 0.45, Aberrations(0.2))
    through = transfer_through_focus(pupil)
    point = np.zeros(small, np.float32)
    point[5, 0, 0] = 1
    light = expose(point, through).astype(float)
    sharpest = light.max(axis=(1, 2)).argmax()
    assert abs(int(sharpest) - 5) <= 2
    waves = ((np.arange(16) - 5 + 8) % 16 - 8).astype(np.float64)
    planes = np.fft.irfft2(pupil.transfer(waves * np.float64(STEP_WAVES), 48), s=(48, 48))
    expected = planes.clip(0) / np.percentile(planes.max(axis=0), 99.9)
    np.testing.assert_allclose(light, expected, atol=2e-3 * expected.max())


def test_light_of_a_plane_does_not_depend_on_the_focus(small: tuple[int, int, int]) -> None:
    volume, _ = draw_specimen(np.random.default_rng(3), VOXEL_UM)
    light = expose(volume, transfer_through_focus(Pupil(0.5, 0.4)))
    sums = light.astype(float).sum(axis=(1, 2))
    np.testing.assert_allclose(sums, sums.mean(), rtol=5e-3)


def test_splatted_points_keep_their_light_and_place(small: tuple[int, int, int]) -> None:
    points = np.array([[0.0, 0.0, 0.0], [1.25, -30.0, 100.0]])
    volume = splat_around(points, np.array([1.0, 3.0]), VOXEL_UM)
    assert volume.sum() == pytest.approx(4, rel=1e-5)
    assert volume[8, 24, 24] == pytest.approx(1)


@pytest.mark.parametrize("kind", ["tissue", "membranes", "filaments"])
def test_textures_fill_the_volume_and_have_no_border(kind: str) -> None:
    inner, across = [], []
    for seed in range(8):
        volume = getattr(textures, kind)(np.random.default_rng(seed), SMALL, VOXEL_UM)
        assert volume.shape == SMALL
        assert volume.min() >= 0
        inner.append(np.abs(np.diff(volume, axis=2)).mean())
        across.append(np.abs(volume[..., 0] - volume[..., -1]).mean())
    assert np.mean(across) == pytest.approx(np.mean(inner), rel=0.7)


def test_cells_lie_within_their_layer() -> None:
    volume = textures.cells(np.random.default_rng(2), (64, 48, 48), VOXEL_UM, 2.0)
    light = volume.sum(axis=(1, 2))
    assert light[20:44].sum() < 0.05 * light.sum()


def test_a_field_has_the_scale_that_is_asked_for() -> None:
    """A Gaussian of standard deviation s leaves a correlation of exp(-d²/(4 s²)) at distance d."""
    field = textures.gaussian_field(np.random.default_rng(1), (64, 96, 96), (0.25, 0.25, 0.25), 2.0)
    assert field.std() == pytest.approx(1, abs=1e-3)
    shifted = [float((field * np.roll(field, k, axis=2)).mean()) for k in (2, 4, 8)]
    assert shifted == sorted(shifted, reverse=True)
    half = np.interp(0.5, shifted[::-1], [8 * 0.25, 4 * 0.25, 2 * 0.25])
    assert 0.5 < half < 2.5


def test_optics_are_of_all_kinds_and_possible() -> None:
    drawn = [draw_optics(np.random.default_rng([0, index])) for index in range(300)]
    assert all(0 < one.pupil.aperture < 1 for one in drawn)
    assert {one.immersion_index for one in drawn} == {1.0, 1.33, 1.406, 1.47, 1.515}
    assert all(one.pupil.vectorial == (one.na > 0.9) for one in drawn)
    spherical = np.array([one.pupil.aberrations.spherical for one in drawn])
    assert (spherical > 0.1).sum() > 20
    assert (spherical < -0.1).sum() > 20
    assert (np.abs(spherical) < 0.1).mean() > 0.5
    dry = next(one for one in drawn if one.immersion_index == 1.0)
    z_um, y_um, x_um = dry.voxel_um
    assert y_um == x_um == pytest.approx(dry.pupil.sampling * dry.wavelength_um / dry.na)
    wave_um = dry.wavelength_um / (1 - np.sqrt(1 - dry.na**2))
    assert z_um == pytest.approx(STEP_WAVES * wave_um)


def test_the_same_seed_gives_the_same_volumes_kept_or_not(
    small: tuple[int, int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = list(simulate_volumes(4, 8))
    kept = list(simulate_volumes(4, 8, tmp_path))
    monkeypatch.setattr(volumes, "draw_specimen", None)  # They are not simulated again.
    again = list(simulate_volumes(4, 8, tmp_path))
    for one, two, three in zip(plain, kept, again, strict=True):
        np.testing.assert_array_equal(one.light, two.light)
        np.testing.assert_array_equal(one.light, three.light)
        np.testing.assert_array_equal(one.told, three.told)
        assert one.kind == three.kind
    assert not np.array_equal(plain[0].light, plain[1].light)
    assert plain[0].told.tolist() == plain[2].told.tolist() != plain[3].told.tolist()


def flat_exposure(**changes: object) -> Exposure:
    fields: dict[str, object] = {
        "photons": 1000.0,
        "background": np.full((64, 64), 0.1, np.float32),
        "vignette": np.ones((64, 64), np.float32),
        "read_noise_photons": 0.0,
        "gain": 2.0,
        "offset": 100.0,
        "full_photons": 1e9,
        "noise_blur_px": 0.0,
        "hot_share": 0.0,
        "grey_levels": 65535,
        "jpeg_quality": None,
    }
    return Exposure(**(fields | changes))  # type: ignore[arg-type]


def test_counts_scatter_about_what_is_expected_as_photons_do() -> None:
    light = np.full((64, 64), 0.4, np.float32)
    exposure = flat_exposure()
    expected = exposure.expected(light)
    np.testing.assert_allclose(expected, 100 + 2 * 500, rtol=1e-5)
    counts = exposure.record(light, np.random.default_rng(0))
    assert counts.mean() == pytest.approx(1100, abs=3)
    assert counts.std() == pytest.approx(2 * np.sqrt(500), rel=0.05)


def test_files_of_8_bit_and_jpeg_have_few_grey_levels() -> None:
    light = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1))
    for change in ({"grey_levels": 255}, {"jpeg_quality": 80}):
        counts = flat_exposure(**change).record(light, np.random.default_rng(0))
        assert 20 < len(np.unique(counts)) <= 256
        assert np.corrcoef(counts.ravel(), light.ravel())[0, 1] > 0.98


def test_a_full_camera_is_full_in_the_truth_too() -> None:
    exposure = flat_exposure(full_photons=300.0)
    light = np.full((64, 64), 0.4, np.float32)
    assert exposure.expected(light).max() == pytest.approx(100 + 2 * 300)
    assert exposure.record(light, np.random.default_rng(0)).max() <= 100 + 2 * 300 + 1e-3


def test_exposures_differ() -> None:
    drawn = [draw_exposure(np.random.default_rng(k), (32, 32)) for k in range(60)]
    assert {one.grey_levels for one in drawn} == {255, 65535}
    assert any(one.jpeg_quality is not None for one in drawn)
    assert len({one.photons for one in drawn}) == 60


def test_a_volume_is_as_large_as_training_needs() -> None:
    """Both reaches of a range of 6.5 waves fit into it, and the samples beyond them."""
    assert SHAPE[0] * STEP_WAVES > 4 * 6.5
