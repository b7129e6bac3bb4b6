"""The network merges planes by itself: the same numbers, tiled, in parts and as a whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_deepz import EncodedPlanes
from napari_deepz.engine.encoding import Encoding
from napari_deepz.engine.lens import Lens
from napari_deepz.engine.mending import CheckedImage
from napari_deepz.engine.refocus import Budget, EncodedImage
from napari_deepz.intensity import fit_series_intensity
from napari_deepz.models.library import load_model
from napari_deepz.models.package import Model, save_model
from napari_deepz.networks.several_planes import SeveralPlanes
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces import Flat, Tilted
from tests.engine.fake_generators import AddDistance, model_of
from tests.models.test_optical_range import any_objective

DRY = Sampling(pixel_size_um=0.325, na=0.75, immersion_index=1.0, wavelength_um=0.52)
AT_UM = (0.0, 3.2, -4.0)


@pytest.fixture
def several_model(tmp_path: Path) -> Model:
    """Random weights."""
    spec = any_objective()
    spec = spec.model_copy(
        update={
            "architecture": "several-planes",
            "parameters": spec.parameters | {"doubts": 4},
        }
    )
    network = spec.build()
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.1)
    save_model(tmp_path / "several", spec, network)
    return load_model(tmp_path / "several")


def images(shape: tuple[int, int]) -> np.ndarray:
    rng = np.random.default_rng(7)
    return rng.gamma(1.0, 300.0, (3, *shape)).astype(np.float32)


def learned(model: Model, given: np.ndarray) -> EncodedPlanes:
    return EncodedPlanes(list(given), AT_UM[: len(given)], model, merge="learned", sampling=DRY)


def test_planes_are_those_of_the_network(several_model: Model) -> None:
    given, network = images((48, 64)), several_model.network
    given = given / given.mean(axis=(1, 2), keepdims=True) * 300  # Nothing to be balanced.
    stack = learned(several_model, given).refocus(Flat(-4, 3, 1))
    placed = several_model.spec.placed(DRY)
    assert isinstance(network, SeveralPlanes)
    assert placed is not None
    intensity = fit_series_intensity(several_model.spec.normalisation, list(given))
    step_um = placed.reach_um / (network.planes // 2)
    z = torch.tensor(AT_UM) / step_um
    # Its planes are a step apart from the lowest that the lowest image reaches.
    grid = z.min() - network.planes // 2 + torch.arange(200.0)
    told = torch.tensor([[np.nan if one is None else one for one in placed.told]])
    with torch.inference_mode():
        pixels = torch.from_numpy(intensity.apply(given))[None]
        around = [grid[grid <= z_um / step_um][-1] for z_um in range(-4, 4)]
        pairs = torch.stack([torch.stack([one, one + 1]) for one in around]).flatten()
        merged = network.merge(pixels, z, told, pairs).picture[0]
    for index, z_um in enumerate(range(-4, 4)):
        below, above = merged[2 * index], merged[2 * index + 1]
        picture = torch.lerp(below, above, z_um / step_um - around[index])
        expected = intensity.invert(picture).numpy()
        np.testing.assert_allclose(stack.data[index], expected, rtol=2e-3, atol=0.5)
    assert stack.z_um == tuple(range(-4, 4))


def test_tiles_are_as_the_whole(several_model: Model) -> None:
    given = images((400, 200))
    lens = Lens(several_model).for_planes(DRY, AT_UM)
    intensity = fit_series_intensity(several_model.spec.normalisation, list(given))
    image = CheckedImage(given, None, ())
    targets = [Flat(1.3), Tilted(3, -2)]
    whole, tiled, spooled = (
        EncodedImage.of(Encoding(image, lens, tile_px, intensity), DRY, budget, AT_UM).refocus(
            targets
        )
        for tile_px, budget in (
            (None, Budget()),
            (150, Budget()),
            (150, Budget(code_bytes=1000)),
        )
    )
    for other in (tiled, spooled):
        np.testing.assert_allclose(other.data, whole.data, rtol=1e-4, atol=1e-4 * whole.data.max())


def test_a_part_is_as_the_whole(several_model: Model) -> None:
    whole = learned(several_model, images((320, 320)))
    y, x = slice(64, 256), slice(0, 200)
    part = whole.part(y, x).refocus(Flat(2)).data[0]
    expected = whole.refocus(Flat(2)).data[0][y, x]
    inner = np.s_[80:-80, :-80]
    np.testing.assert_allclose(part[inner], expected[inner], rtol=1e-4, atol=1e-3)


def test_one_plane_is_refocused_as_ever(several_model: Model) -> None:
    given = images((48, 64))[:1]
    surfaces = [Flat(-3, 3, 1.5), Tilted(4, 1)]
    one = learned(several_model, given).refocus(surfaces)
    ordinary = EncodedImage(given[0], several_model, sampling=DRY).refocus(surfaces)
    np.testing.assert_allclose(one.data, ordinary.data, rtol=1e-4, atol=1e-2)
    assert one.notes == ordinary.notes


def test_what_one_plane_did_not_measure_is_taken_from_its_neighbour(several_model: Model) -> None:
    given = images((96, 96))
    holed = given.copy()
    holed[1, :, :30] = np.nan
    filled = given.copy()
    filled[1, :, :30] = given[0, :, :30]
    found = learned(several_model, holed)
    assert found._planes.measured is not None
    expected = learned(several_model, filled).refocus(Flat(1)).data[0]
    np.testing.assert_allclose(
        found.refocus(Flat(1)).data[0], expected, rtol=0.2, atol=0.1 * expected.std()
    )


def test_a_second_surface_costs_no_second_encoding(several_model: Model) -> None:
    planes = learned(several_model, images((48, 64)))
    assert not planes.is_ready
    planes.refocus(Flat(1))
    assert planes.is_ready


def test_depths_are_judged_by_all_planes(several_model: Model) -> None:
    planes = learned(several_model, images((48, 64)))
    _, high_um = several_model.for_image(DRY).spec.axial_range_um
    farthest_um = max(AT_UM) + high_um
    stack = planes.refocus(Flat(farthest_um - 2, farthest_um + 1, 1))
    assert [mask is not None for mask in stack.out_of_range] == [False, False, False, True]
    assert any("from every input plane" in note and "1 of " in note for note in stack.notes)
    assert sum("beyond the axial range" in note for note in stack.notes) == 1


def test_models_that_have_not_learned_it_say_so() -> None:
    model = model_of(AddDistance())
    model = replace(model, spec=model.spec.model_copy(update={"name": "old"}))
    with pytest.raises(ValueError, match="'old' has not learned to merge input planes; use the"):
        EncodedPlanes(list(images((48, 64))), AT_UM, model, merge="learned", pixel_size_um=0.3)
