"""What is shown at once agrees with what a run makes, and nothing that takes long is done twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_deepz.engine import preview as module
from napari_deepz.engine.last_encoding import LastEncoding
from napari_deepz.engine.plane_cache import PlaneCache
from napari_deepz.engine.preview import Previewer, PreviewRequest, Stage
from napari_deepz.engine.refocus import refocus
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces import Flat, Tilted
from napari_deepz.surfaces.base import Surface
from napari_deepz.watch import UNWATCHED, Cancelled, Watch
from tests.engine.fake_generators import PIXEL_SIZE_UM, AddDistance, model_of
from tests.engine.test_architectures import random_model, spots

SHAPE = (500, 600)
VIEW = (slice(100, 300), slice(400, 600))


@pytest.fixture
def image(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0, 1, SHAPE).astype(np.float32)


SAMPLING = Sampling(pixel_size_um=PIXEL_SIZE_UM)


class Setting:
    """An image, a model and what a user wants of them."""

    def __init__(self, image: Any, model: Any) -> None:
        self.image, self.model = image, model
        self.planes = PlaneCache()
        self.previewer = Previewer(self.planes)
        self.key, self.encoded = LastEncoding().encode(image, model, SAMPLING)

    def show(
        self, surface: Surface, *, is_stale: Any = lambda: False, watch: Watch = UNWATCHED
    ) -> Any:
        request = PreviewRequest(self.encoded, self.key, self.model, surface, SHAPE, SAMPLING, VIEW)
        return self.previewer.iter_preview(request, is_stale=is_stale, watch=watch)

    def truth(self, surface: Surface) -> Any:
        return refocus(self.image, surface, self.model, pixel_size_um=PIXEL_SIZE_UM).data[0]


def test_first_the_middle_of_the_view_then_everything_then_at_once(image: np.ndarray) -> None:
    network = AddDistance()
    setting = Setting(image, model_of(network))
    part, exact = setting.show(Tilted(1, 2))
    assert (part.stage, exact.stage) == (Stage.PART, Stage.EXACT)
    assert part.at == (slice(8, 392), slice(216, 600))
    truth = setting.truth(Tilted(1, 2))
    np.testing.assert_allclose(part.data, truth[part.at], atol=1e-5)
    np.testing.assert_array_equal(exact.data, truth)
    (at_once,) = setting.show(Flat(2))
    assert at_once.stage is Stage.EXACT
    np.testing.assert_array_equal(at_once.data, setting.truth(Flat(2)))
    assert len(setting.planes) == 0


def test_the_part_is_encoded_once_while_the_hand_moves(image: np.ndarray) -> None:
    network = AddDistance()
    setting = Setting(image, model_of(network))
    for z_um in (1, 2, 3):
        (part,) = setting.show(Flat(z_um), is_stale=lambda: True)
        assert part.stage is Stage.PART
    assert network.log.count("encode") == 1


def test_a_slow_model_leaves_its_planes_for_surfaces_between_them(image: np.ndarray) -> None:
    network = AddDistance(code_channels=1)
    setting = Setting(image, model_of(network))
    for z_um in (-1, 0, 1):
        assert [shown.stage for shown in setting.show(Flat(z_um))] == [Stage.PART, Stage.EXACT]
    (again,) = setting.show(Flat(1))
    np.testing.assert_array_equal(again.data, setting.truth(Flat(1)))
    surface = Tilted(0.2, 0.1)
    blended, part, exact = setting.show(surface)
    assert (blended.stage, part.stage) == (Stage.BLENDED, Stage.PART)
    assert part.data.shape == (160, 160)
    # The fake generator is linear in z, so that planes blend without error.
    np.testing.assert_allclose(blended.data, exact.data, atol=1e-5)
    np.testing.assert_array_equal(exact.data, setting.truth(surface))


def test_what_takes_long_is_given_up_when_stale(
    image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REST_S", 0)
    setting = Setting(image, model_of(AddDistance(code_channels=1)))
    shown = setting.show(Flat(1), is_stale=lambda: True)
    assert next(shown).stage is Stage.PART
    with pytest.raises(Cancelled):
        next(shown)
    assert len(setting.planes) == 0


def test_a_stop_is_heard_at_once(image: np.ndarray) -> None:
    setting = Setting(image, model_of(AddDistance()))
    with pytest.raises(Cancelled):
        next(setting.show(Flat(1), watch=Watch(lambda: True)))


def test_a_part_has_the_pixels_of_the_whole_away_from_its_edges() -> None:
    model, image = random_model("z basis"), spots(SHAPE)
    encoded = LastEncoding().encode(image, model, SAMPLING)[1]
    whole = encoded.refocus(Flat(2)).data[0]
    at = slice(64, 384), slice(96, 480)
    part = encoded.part(*at).refocus(Flat(2)).data[0]
    halo = model.network.halo_px
    inner = (slice(halo, -halo),) * 2
    assert part[inner].size > 1000
    np.testing.assert_allclose(part[inner], whole[at][inner], atol=1e-5 * np.ptp(whole))
