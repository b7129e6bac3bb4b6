import dataclasses
from typing import Any

import numpy as np
import pytest

from napari_deepz.engine.cautions import DISTRUST, notes_on
from napari_deepz.engine.planning import Budget, RefocusPlan, ResourceError, plan_refocus
from napari_deepz.models.card import model_card
from napari_deepz.models.library import load_model
from napari_deepz.networks.deepz_unet import DeepZUNet
from napari_deepz.networks.encode_once import EncodeOnce
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces import Flat, FromImage, Tilted
from napari_deepz.tiling import RAMP_PX, ceil_to_multiple
from tests.engine.fake_generators import PIXEL_SIZE_UM, AddDistance, model_of

SAMPLING = Sampling(pixel_size_um=PIXEL_SIZE_UM)

MODEL = model_of(AddDistance(code_channels=2))
FIVE = [Flat(-2, 2, 1)]


def plan(shape: Any, surfaces: Any = FIVE, model: Any = MODEL, **settings: Any) -> RefocusPlan:
    return plan_refocus(shape, surfaces, model, **{"sampling": SAMPLING} | settings)


def test_planes_are_numbered_through_all_surfaces() -> None:
    surfaces = [Flat(-1, 1, 1), Tilted(1, 0), Flat(4)]
    planes = plan((64, 64), surfaces).planes
    assert [one.index for one in planes] == [0, 1, 2, 3, 4]
    assert [one.z_um for one in planes] == [-1, 0, 1, None, 4]
    assert [one.dpm_index for one in planes] == [0, 1, 2, 0, 0]
    assert [one.surface for one in planes] == [surfaces[0]] * 3 + surfaces[1:]


def test_a_plan_is_frozen_and_the_same_every_time() -> None:
    one: Any = plan((2000, 2000))
    assert one == plan((2000, 2000))
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.pixel_size_um = 1.0


@pytest.mark.parametrize(
    ("network", "alone_px", "largest_px"),
    [
        (DeepZUNet(base=4), 1024, 1152),
        (EncodeOnce(base=4, planes=41), 2048, 2304),
        (EncodeOnce(base=4, planes=81), 1536, 1704),
    ],
)
def test_tiles_only_where_the_image_is_large(
    network: DeepZUNet | EncodeOnce, alone_px: int, largest_px: int
) -> None:
    model = model_of(network)
    assert len(plan((alone_px, alone_px), model=model).tiles) == 1
    large = plan((5 * alone_px, 3000), model=model).tiles
    assert len(large) > 4
    assert max(max(tile.window_shape) for tile in large) <= largest_px
    assert min(tile.core_px for tile in large) >= 512


def test_a_camera_image_of_2048_pixels_stays_encoded() -> None:
    one = plan((2048, 2048), model=load_model(), sampling=Sampling(pixel_size_um=0.325))
    assert (one.strategy, len(one.tiles)) == ("hold codes", 1)


def test_an_image_of_two_tiles_each_way_has_one_margin_in_each_window() -> None:
    network = EncodeOnce(base=4, planes=41)
    margin_px = ceil_to_multiple(network.halo_px + RAMP_PX // 2, network.size_multiple)
    one = plan((2 * (2304 - margin_px),) * 2, model=model_of(network))
    assert [tile.window_shape for tile in one.tiles] == [(2304, 2304)] * 4
    assert len(plan((2 * (2304 - margin_px) + 1,) * 2, model=model_of(network)).tiles) == 9


def test_an_image_of_4096_pixels_stays_encoded_where_there_is_memory() -> None:
    gib = 1 << 30
    sampling = Sampling(pixel_size_um=0.325)
    budgets = [Budget.of(None, free * gib) for free in (1, 6, 13, 100)]
    assert [budget.code_bytes / gib for budget in budgets] == [1, 1.5, 3.25, 3.25]
    all_planes, model = [Flat(-10, 10, 0.5)], load_model()
    strategies = [
        plan((4096, 4096), all_planes, model, sampling=sampling, budget=budget).strategy
        for budget in budgets
    ]
    assert strategies == ["spool to disk"] * 2 + ["hold codes"] * 2


def test_the_tile_size_can_be_set_and_halved() -> None:
    one = plan((512, 512), tile_px=256)
    assert len(one.tiles) == 4
    assert one.smaller_tile_px == 128
    assert plan((512, 512), tile_px=64).smaller_tile_px is None
    with pytest.raises(ValueError, match="tile size must be a positive number of pixels, not 0"):
        plan((512, 512), tile_px=0)


# One tile of 256 x 256: its code takes 512 KiB, a plane 256 KiB, a DPM with its mask 320 KiB.
KIB = 1024


@pytest.mark.parametrize(
    ("budget", "strategy", "passes"),
    [
        (Budget(), "hold codes", [5]),
        (Budget(512 * KIB, 0, 0), "hold codes", [5]),
        (Budget(511 * KIB, 5 * 256 * KIB, 0), "spool to memory", [5]),
        (Budget(0, 4 * 256 * KIB, 5 * 256 * KIB), "spool to disk", [5]),
        (Budget(0, 3 * 256 * KIB, 2 * 256 * KIB), "spool to memory", [3, 2]),
        (Budget(0, 0, 2 * 256 * KIB), "spool to disk", [2, 2, 1]),
        (Budget(0, 0, 256 * KIB), "spool to disk", [1] * 5),
    ],
)
def test_the_strategy_follows_from_what_fits(budget: Budget, strategy: str, passes: Any) -> None:
    one = plan((256, 256), budget=budget)
    assert one.strategy == strategy
    assert [len(group) for group in one.passes] == passes
    assert [plane.index for group in one.passes for plane in group] == [0, 1, 2, 3, 4]


def test_distances_of_every_pixel_count_as_memory() -> None:
    tilts = [Tilted(tilt, 0) for tilt in range(4)]
    disk = plan((256, 256), tilts, budget=Budget(0, 640 * KIB, 4096 * KIB))
    assert (disk.strategy, [len(group) for group in disk.passes]) == ("spool to disk", [2, 2])
    memory = plan((256, 256), tilts, budget=Budget(0, 2 * 576 * KIB, 0))
    assert (memory.strategy, [len(group) for group in memory.passes]) == ("spool to memory", [2, 2])
    mixed = plan((256, 256), [*FIVE, tilts[1]], budget=Budget(0, 320 * KIB, 4096 * KIB))
    assert [len(group) for group in mixed.passes] == [6]


def test_a_generator_that_works_while_decoding_is_encoded_anew_for_each_plane() -> None:
    model = model_of(DeepZUNet(base=4))
    one = plan((8192, 8192), model=model, budget=Budget(0, 0, 0))
    assert one.strategy == "encode again"


def test_too_little_space_is_told_with_the_space_needed() -> None:
    sentence = (
        "8192 × 8192 pixels needs 0.27 GB of temporary disk space, of which only 0.1 GB .* TMPDIR"
    )
    with pytest.raises(ResourceError, match=sentence):
        plan((8192, 8192), budget=Budget(0, 0, 100_000_000))


def test_free_space_lowers_the_limit_and_never_raises_it() -> None:
    assert Budget(scratch_bytes=100).with_free_scratch(50).scratch_bytes == 50
    assert Budget(scratch_bytes=100).with_free_scratch(500).scratch_bytes == 100


def test_the_models_pixel_size_is_assumed_and_said() -> None:
    one = plan((100, 100), sampling=None)
    assert one.pixel_size_um == PIXEL_SIZE_UM
    assert not one.resampled
    assert one.notes == (
        "The image's pixel size is not known, so that of the model 'known', 0.5 µm, is assumed.",
    )


@pytest.mark.parametrize("pixel_size_um", [0.491, 0.509])
def test_two_percent_of_the_pixel_size_do_not_matter(pixel_size_um: float) -> None:
    one = plan((100, 200), sampling=Sampling(pixel_size_um=pixel_size_um))
    assert one.working_shape == (100, 200)
    assert one.notes == ()


def test_other_pixel_sizes_are_resampled_and_said() -> None:
    one = plan((100, 200), sampling=Sampling(pixel_size_um=0.25))
    assert one.resampled
    assert one.working_shape == (50, 100)
    assert one.notes == (
        "The image has 0.25 µm pixels and the model 'known' works at 0.5 µm, so the image is "
        "resampled from 100 × 200 to 50 × 100 pixels and every plane back; the model knows "
        "20x/0.75 dry (NA 0.75), do not trust it with another objective.",
    )


def test_the_range_of_the_training_is_known_and_said_in_the_same_words_everywhere() -> None:
    breadth = {"na": [0.7, 0.8], "pixel_size_um": [0.25, 0.5]}
    spec = MODEL.spec.model_copy(
        update={
            "pixel_size_um": 0.325,
            "na": 0.75,
            "training": {"data_settings": {"breadth": breadth}},
        }
    )
    words = "20x/0.75 dry (NA 0.7 to 0.8, pixels of 0.25 to 0.5 µm)"
    assert spec.made_for == words
    assert ("Objective", words) in model_card(spec)
    known = notes_on((64, 64), FIVE, spec, sampling=Sampling(pixel_size_um=0.4, na=0.8))
    assert [DISTRUST in note for note in known] == [False]
    coarse = notes_on((64, 64), FIVE, spec, sampling=Sampling(pixel_size_um=0.65, na=0.5))
    assert all(words in note and DISTRUST in note for note in coarse)
    assert len(coarse) == 2


@pytest.mark.parametrize(
    "training", [{}, {"data_settings": 3}, {"data_settings": {"breadth": {"na": "x"}}}]
)
def test_a_card_without_ranges_says_one_objective(training: Any) -> None:
    spec = MODEL.spec.model_copy(update={"na": 0.75, "training": training})
    assert spec.made_for == "20x/0.75 dry (NA 0.75)"


@pytest.mark.parametrize(
    ("pixel_size_um", "sentence"),
    [
        (0.1, "20 × 20 pixels, too small to refocus; check the pixel size"),
        (500.0, "100000 × 100000 pixels, too large to refocus; check the pixel size"),
    ],
)
def test_impossible_pixel_sizes_are_refused(pixel_size_um: float, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        plan((100, 100), sampling=Sampling(pixel_size_um=pixel_size_um))


def test_unusable_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="too small"):
        plan((20, 100))


@pytest.mark.parametrize(
    ("surface", "start"),
    [
        (
            Flat(-12, 10, 2),
            "1 of 12 planes lies beyond the axial range of the model 'known', -10 to 10 µm",
        ),
        (Flat(-12, 12, 2), "2 of 13 planes lie beyond the axial range of the model 'known'"),
        (Flat(11), "The plane lies beyond the axial range of"),
        (Tilted(0, 0, 10.5), "The surface reaches from 10.5 to 10.5 µm, beyond the axial range of"),
        (FromImage(np.full((64, 64), -20.0)), "The surface reaches from -20 to -20 µm, beyond"),
    ],
)
def test_surfaces_that_leave_the_models_range_are_named(surface: Any, start: str) -> None:
    (note,) = plan((64, 64), [surface]).notes
    assert note.startswith(start)
    assert surface.describe() in note
    assert note.endswith("do not trust what is shown there.")


def test_surfaces_within_the_models_range_need_no_note() -> None:
    assert plan((64, 64), [Flat(-10, 10, 0.5), Flat(10.0005), Tilted(10, 0)]).notes == ()
