from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_deepz.engine.cautions import notes_on
from napari_deepz.engine.lens import Lens
from napari_deepz.engine.refocus import EncodedImage, refocus
from napari_deepz.models.library import load_model
from napari_deepz.models.package import Model, save_model
from napari_deepz.networks.told_z_basis import ToldZBasis
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces import Flat
from tests.conftest import tiny_spec
from tests.models.test_optical_range import any_objective

DRY = Sampling(pixel_size_um=0.325, na=0.75, immersion_index=1.0, wavelength_um=0.52)
OIL = Sampling(pixel_size_um=0.1, na=1.4, immersion_index=1.515, wavelength_um=0.52)


@pytest.fixture
def any_model(tmp_path: Path) -> Model:
    """Random weights that listen to what they are told."""
    spec = any_objective()
    network = spec.build()
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.1)
    save_model(tmp_path / "any", spec, network)
    return load_model(tmp_path / "any")


@pytest.fixture
def image(rng: np.random.Generator) -> np.ndarray:
    return rng.gamma(1.0, 300.0, (48, 64)).astype(np.float32)


def test_the_plain_network_of_an_image_is_the_told_one(any_model: Model) -> None:
    """For one image the modulation is in the weights."""
    network = any_model.network
    assert isinstance(network, ToldZBasis)
    pixels = torch.randn(2, 1, 32, 48, generator=torch.Generator().manual_seed(0))
    told = torch.tensor([[0.75, 0.47, 0.1], [0.9, float("nan"), float("nan")]])
    with torch.inference_mode():
        both = network.encode_told(pixels, told)
        first = network.for_optics((0.75, 0.47, 0.1), 10.0).encode(pixels[:1])
        second = network.for_optics((0.9, None, None), 3.6).encode(pixels[1:])
        nothing = network.for_optics((None, None, None), 10.0).encode(pixels[:1])
        some = network.encode_told(pixels, told, torch.tensor([3, 0]))
    torch.testing.assert_close(both, torch.cat([first, second]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(nothing, network.encode(pixels[:1]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(some, both[:, [3, 0]])
    assert (both[:1] - nothing).abs().max() > 1e-3


def test_fitting_a_model_draws_no_random_number(any_model: Model) -> None:
    """Whoever has set a seed keeps it."""
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    any_model.for_image(DRY)
    assert torch.equal(torch.rand(3), expected)


def test_a_wave_of_defocus_is_the_distance_of_the_objective(
    any_model: Model, image: np.ndarray
) -> None:
    """Planes at the ends of both ranges come from the same channel, told apart by optics only."""
    for sampling, end_um in ((DRY, 10.0), (OIL, 3.61)):
        fitted = any_model.for_image(sampling)
        assert fitted.spec.axial_range_um[1] == pytest.approx(end_um, abs=0.02)
        assert fitted.network.plane_z_um is not None
        assert fitted.network.plane_z_um[-1] == pytest.approx(
            fitted.spec.axial_range_um[1], rel=5e-3
        )
        at_end = refocus(image, Flat(fitted.spec.axial_range_um[1]), any_model, sampling=sampling)
        beyond = refocus(image, Flat(2 * end_um), any_model, sampling=sampling)
        assert np.abs(at_end.data - beyond.data).mean() < 0.01 * beyond.data.std()
        assert not [note for note in at_end.notes if "beyond" in note]
        assert [note for note in beyond.notes if "beyond" in note]


def test_optics_change_the_picture_and_a_lens_keeps_them(
    any_model: Model, image: np.ndarray
) -> None:
    lens = Lens(any_model)
    dry = EncodedImage(image, lens, sampling=DRY).refocus(Flat(0)).data
    again = EncodedImage(image, any_model, sampling=DRY).refocus(Flat(0)).data
    oil = EncodedImage(image, lens, sampling=OIL).refocus(Flat(0)).data
    np.testing.assert_array_equal(dry, again)
    assert np.abs(dry - oil).max() > 1
    assert lens.for_image(DRY) is lens.for_image(DRY)
    assert lens.for_image(DRY) is not lens.for_image(OIL)


def test_it_says_what_it_had_to_assume(any_model: Model) -> None:
    def notes(sampling: Sampling | None) -> str:
        said = notes_on((48, 64), [Flat(1)], any_model.spec, sampling=sampling)
        fitted = any_model.spec.for_image(sampling)
        assert notes_on((48, 64), [Flat(1)], fitted, sampling=sampling) == said
        return " ".join(said)

    assert notes(DRY) == ""
    assert notes(OIL) == ""
    assert "does not say its numerical aperture, immersion, emission" in notes(
        Sampling(pixel_size_um=0.325)
    )
    assert "pixel size is not known" in notes(None)
    assert "so the image is resampled" in notes(OIL.model_copy(update={"pixel_size_um": 0.06}))
    low = Sampling(pixel_size_um=2.0, na=0.1, immersion_index=1.0, wavelength_um=0.5)
    assert "not trained on objectives of NA 0.1" in notes(low)


@pytest.mark.parametrize(("index", "said"), [(1.515, True), (1.0, False), (None, False)])
def test_the_immersion_of_another_objective_is_said(index: float | None, said: bool) -> None:
    optics = Sampling(pixel_size_um=0.325, na=0.75, immersion_index=index, wavelength_um=0.52)
    notes = notes_on((48, 64), [Flat(1)], tiny_spec(objective="20x/0.75 dry"), sampling=optics)
    assert any("immersion of index 1.515" in note for note in notes) == said
