import threading
from typing import Any

import dask.array as da
import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from napari_deepz.engine.compute import Compute
from napari_deepz.engine.planning import ResourceError
from napari_deepz.engine.refocus import Budget, EncodedImage, iter_refocus, refocus
from napari_deepz.intensity import fit_intensity
from napari_deepz.models.package import Model
from napari_deepz.surfaces import Curved, Flat, FromImage, FromPoints, Tilted
from napari_deepz.watch import Progress, Watch
from tests.engine.fake_generators import (
    PIXEL_SIZE_UM,
    AddDistance,
    BoxBlur,
    Hungry,
    model_of,
)

SLOPE = 0.01


def grey(shape: Any, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(100, 4000, shape).astype(np.uint16)


def run(image: Any, surfaces: Any, network: Any, **settings: Any) -> Any:
    return refocus(image, surfaces, model_of(network), pixel_size_um=PIXEL_SIZE_UM, **settings)


def added(image: Any, dpm_um: Any) -> Any:
    """What AddDistance makes of an image, in its units."""
    gain = fit_intensity("median-p99", image.astype(np.float32)).gain
    return image + SLOPE * gain * dpm_um


# --- units, order, shapes -----------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(32, 32), (33, 47), (64, 200), (301, 190)])
@pytest.mark.parametrize("size_multiple", [1, 8, 32])
def test_planes_have_the_images_shape_and_units(shape: tuple[int, ...], size_multiple: int) -> None:
    image = grey(shape)
    stack = run(image, Flat(-4, 4, 2), AddDistance(SLOPE, size_multiple=size_multiple))
    assert stack.data.dtype == np.float32
    assert stack.z_um == (-4, -2, 0, 2, 4)
    expected = [added(image, z_um) for z_um in stack.z_um]
    np.testing.assert_allclose(stack.data, expected, atol=2e-3)
    assert stack.notes == ()
    assert stack.device.startswith("CPU, ")


def test_surfaces_come_out_in_the_order_given() -> None:
    image = grey((60, 90))
    tilted = Tilted(5, -3, 1)
    dpm_um = np.linspace(-5, 5, 5400).reshape(60, 90)
    surfaces: list[Any] = [Flat(3), tilted, Flat(-1, 1, 1), dpm_um]
    planes = list(
        iter_refocus(image, surfaces, model_of(AddDistance(SLOPE)), pixel_size_um=PIXEL_SIZE_UM)
    )
    assert [plane.index for plane in planes] == [0, 1, 2, 3, 4, 5]
    assert [plane.z_um for plane in planes] == [3, None, -1, 0, 1, None]
    assert planes[1].surface is tilted
    assert isinstance(planes[5].surface, FromImage)
    tilted_um = tilted.dpm((60, 90), PIXEL_SIZE_UM)
    for plane, depth_um in zip(planes, [3, tilted_um, -1, 0, 1, dpm_um], strict=True):
        np.testing.assert_allclose(plane.data, added(image, depth_um), atol=2e-3)


def test_every_kind_of_input_gives_the_same_pixels() -> None:
    base = np.random.default_rng(3).integers(0, 120, (70, 50))
    expected = run(base.astype(np.float32), Flat(-2, 2, 2), BoxBlur()).data
    strided = np.zeros((140, 150), dtype=np.uint16)
    strided[::2, ::3] = base
    inputs = [base.astype(kind) for kind in ("u1", "<u2", ">u2", "<i2", ">i2", "<f8", ">f4")]
    inputs += [strided[::2, ::3], np.asfortranarray(base), da.from_array(base, chunks=32)]
    for image in inputs:
        np.testing.assert_array_equal(run(image, Flat(-2, 2, 2), BoxBlur()).data, expected)


def test_zarr_gives_the_same_pixels() -> None:
    zarr = pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    base = grey((70, 50))
    stored = zarr.array(base, chunks=(32, 32))
    np.testing.assert_array_equal(
        run(stored, Flat(1), BoxBlur()).data, run(base, Flat(1), BoxBlur()).data
    )


def test_brighter_images_give_brighter_planes_in_proportion() -> None:
    image = grey((64, 64)).astype(np.float32)
    for normalisation in ("median-p99", "signed-sqrt"):
        model = model_of(BoxBlur(), normalisation=normalisation)
        once = refocus(image, Flat(0), model, pixel_size_um=PIXEL_SIZE_UM).data
        thrice = refocus(3 * image + 50, Flat(0), model, pixel_size_um=PIXEL_SIZE_UM).data
        np.testing.assert_allclose(thrice, 3 * once + 50, rtol=1e-4)


def test_neither_input_nor_model_is_changed() -> None:
    image = grey((64, 64)).astype(np.float32)
    before = image.copy()
    model = model_of(BoxBlur())
    refocus(image, Flat(1), model, pixel_size_um=PIXEL_SIZE_UM)
    np.testing.assert_array_equal(image, before)
    assert not any(module._forward_pre_hooks for module in model.network.modules())


# --- tiles and memory ---------------------------------------------------------------------------

PLACES = {
    "hold codes": Budget(),
    "spool to memory": Budget(code_bytes=0),
    "spool to disk": Budget(code_bytes=0, memory_bytes=0),
    "memory in passes": Budget(code_bytes=0, memory_bytes=500_000, scratch_bytes=0),
    "disk in passes": Budget(code_bytes=0, memory_bytes=0, scratch_bytes=400_000),
}
MIXED = [Flat(-0.5, 0.5, 0.25), Tilted(0.5, 0.2), Curved(form="sphere", radius_um=900)]


def test_tiles_are_seen_by_a_filter_as_the_whole_image_is() -> None:
    image = grey((230, 170))
    tiled = run(image, Flat(0), BoxBlur(halo_px=5), tile_px=64).data[0]
    expected = uniform_filter(image.astype(np.float64), 11)
    np.testing.assert_allclose(tiled[6:-6, 6:-6], expected[6:-6, 6:-6], rtol=1e-5)


@pytest.mark.parametrize("place", PLACES)
def test_where_tiles_wait_does_not_change_a_pixel(place: Any) -> None:
    image = grey((230, 170))
    expected = run(image, MIXED, BoxBlur(), tile_px=64).data
    found = run(image, MIXED, BoxBlur(), tile_px=64, budget=PLACES[place]).data
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(found, run(image, MIXED, BoxBlur()).data, rtol=1e-4, atol=0.01)


@pytest.mark.parametrize("place", PLACES)
def test_progress_counts_every_tile_of_every_plane(place: Any) -> None:
    seen: list[tuple[int, int]] = []
    encoded: list[tuple[int, int]] = []

    def on_progress(progress: Progress) -> None:
        seen.append((progress.done, progress.total))
        encoded.append((progress.prepared, progress.preparing))

    run(
        grey((230, 170)),
        MIXED,
        BoxBlur(),
        tile_px=64,
        budget=PLACES[place],
        watch=Watch(on_progress=on_progress),
    )
    tiles = seen[0][1] // 7
    assert tiles > 4
    steps = [*dict.fromkeys(one for one in seen if one[0])]
    assert steps == [(step, 7 * tiles) for step in range(1, 7 * tiles + 1)]
    assert encoded[-1][0] == encoded[-1][1]
    assert encoded[-1][1] % tiles == 0


def test_each_tile_is_encoded_once_unless_passes_are_needed() -> None:
    image, surfaces = grey((256, 256)), Flat(-2, 2, 1)

    def log(**settings: Any) -> Any:
        network = AddDistance(SLOPE, **{"code_channels": 2} | settings.pop("network", {}))
        run(image, surfaces, network, tile_px=128, **settings)
        return network.log

    assert log() == ["encode"] * 4 + ["decode"] * 20
    assert log(budget=Budget(0)) == (["encode"] + ["decode"] * 5) * 4
    two_passes = log(budget=Budget(0, 0, 3 * 4 * 132**2 * 4))
    assert two_passes == (["encode"] + ["decode"] * 3) * 4 + (["encode"] + ["decode"] * 2) * 4
    assert log(network={"code_channels": 1}) == ["encode", "decode"] * 20


def test_planes_stream_out_while_later_ones_are_not_computed_yet() -> None:
    network = AddDistance(SLOPE)
    planes = iter_refocus(
        grey((64, 64)), Flat(-2, 2, 1), model_of(network), pixel_size_um=PIXEL_SIZE_UM
    )
    assert network.log == []
    next(planes)
    assert network.log == ["encode", "decode"]
    next(planes)
    assert network.log == ["encode", "decode", "decode"]


def test_too_little_disk_space_is_told_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_deepz.engine.refocus.free_scratch_bytes", lambda: 1000)
    network = AddDistance(SLOPE)
    with pytest.raises(ResourceError, match=r"GB of temporary disk space.*TMPDIR"):
        run(grey((256, 256)), Flat(1), network, budget=Budget(code_bytes=0, memory_bytes=0))
    assert network.log == []


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("start_um", [0.25, 8.0])
def test_the_planes_next_to_what_is_looked_at_come_first(place: str, start_um: float) -> None:
    image = grey((230, 170))
    encoded = EncodedImage(
        image, model_of(BoxBlur()), pixel_size_um=PIXEL_SIZE_UM, tile_px=64, budget=PLACES[place]
    )
    expected = run(image, MIXED, BoxBlur(), tile_px=64).data
    planes = [*encoded.iter_refocus(MIXED, outward_from_um=start_um)]
    distances = [abs(plane.z_um - start_um) for plane in planes if plane.z_um is not None]
    assert distances == sorted(distances)
    assert [plane.z_um for plane in planes[-2:]] == [None, None]
    assert sorted(plane.index for plane in planes) == [*range(7)]
    for plane in planes:
        np.testing.assert_array_equal(plane.data, expected[plane.index])


# --- out of memory ------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [Budget(), Budget(code_bytes=0), Budget(0, 0)])
@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError, MemoryError])
def test_when_memory_runs_out_smaller_tiles_are_used(budget: Budget, error: Any) -> None:
    image = grey((256, 256))
    stack = run(image, MIXED, Hungry(90 * 90, error=error), budget=budget)
    expected = run(image, MIXED, AddDistance(), tile_px=64)
    np.testing.assert_array_equal(stack.data, expected.data)
    assert [
        note.rpartition("ran out of memory; going on in tiles of ")[2] for note in stack.notes
    ] == [
        "128 pixels.",
        "64 pixels.",
    ]


@pytest.mark.parametrize("code_channels", [1, 2])
def test_after_a_shortage_the_run_goes_on_from_the_plane_where_it_stood(code_channels: int) -> None:
    image = grey((256, 256))
    network = Hungry(150 * 150, decodes=2, code_channels=code_channels)
    planes = iter_refocus(image, Flat(-2, 2, 1), model_of(network), pixel_size_um=PIXEL_SIZE_UM)
    seen = [next(planes), next(planes)]
    seen += planes
    assert [plane.z_um for plane in seen] == [-2, -1, 0, 1, 2]
    assert [len(plane.notes) for plane in seen] == [0, 0, 1, 1, 1]
    for plane in seen:
        np.testing.assert_allclose(plane.data, added(image, plane.z_um), atol=2e-3)
    assert network.log.count("decode") == 2 + 3 * 4


@pytest.mark.parametrize("code_channels", [1, 2])
def test_a_shortage_neither_repeats_nor_forgets_a_plane_that_comes_out_of_order(
    code_channels: int,
) -> None:
    image = grey((256, 256))
    network = Hungry(150 * 150, decodes=2, code_channels=code_channels)
    encoded = EncodedImage(image, model_of(network), pixel_size_um=PIXEL_SIZE_UM)
    planes = [*encoded.iter_refocus(Flat(-2, 2, 1), outward_from_um=0)]
    assert [plane.z_um for plane in planes] == [0, -1, 1, -2, 2]
    assert [plane.index for plane in planes] == [2, 1, 3, 0, 4]
    for plane in planes:
        np.testing.assert_allclose(plane.data, added(image, plane.z_um), atol=2e-3)


def test_a_device_too_small_for_the_smallest_tiles_is_told_in_a_sentence() -> None:
    with pytest.raises(ResourceError, match="too little memory for the model 'known'"):
        run(grey((128, 128)), Flat(1), Hungry(100))


def test_a_device_too_small_for_the_weights_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def network_on(network: Any, device: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("napari_deepz.engine.lens.network_on", network_on)
    with pytest.raises(ResourceError, match="choose the device 'cpu'"):
        run(grey((64, 64)), Flat(1), AddDistance())


def test_other_errors_of_a_generator_are_not_mistaken_for_a_shortage() -> None:
    class Broken(AddDistance):
        def encode(self, image: Any) -> Any:
            raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        run(grey((64, 64)), Flat(1), Broken())


# --- threads ------------------------------------------------------------------------------------


def test_inference_mode_stays_inside_the_engine(tiny_model: Model) -> None:
    image = grey((64, 64))
    for plane in iter_refocus(image, Flat(-1, 1, 1), tiny_model, pixel_size_um=0.325):
        assert plane.data.flags.writeable
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
    assert all(parameter.requires_grad for parameter in tiny_model.network.parameters())


def test_threads_can_share_a_model(tiny_model: Model) -> None:
    images = [grey((64, 80), seed) for seed in range(3)]
    expected = [refocus(image, MIXED, tiny_model, pixel_size_um=0.325).data for image in images]
    found = [None] * 3

    def work(number: Any) -> None:
        found[number] = refocus(images[number], MIXED, tiny_model, pixel_size_um=0.325).data

    threads = [threading.Thread(target=work, args=[number]) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(found, expected)


# --- what the user must know --------------------------------------------------------------------


def test_planes_beyond_the_models_range_are_marked_and_said() -> None:
    image = grey((64, 80))
    tilted = Tilted(20, 0, 5)
    stack = run(image, [Flat(8, 12, 2), tilted], AddDistance())
    assert [note[:12] for note in stack.notes] == ["1 of 3 plane", "The surface "]
    inside, edge, outside, partly = stack.out_of_range
    assert inside is None
    assert edge is None
    assert outside.shape == (64, 80)
    assert outside.all()
    np.testing.assert_array_equal(partly, tilted.dpm((64, 80), PIXEL_SIZE_UM) > 10)
    assert 0 < partly.mean() < 1


def test_each_note_is_said_once_and_no_warning_is_given() -> None:
    image = grey((64, 64)).astype(np.float32)
    image[0, 0] = np.nan
    line = FromPoints([(0, x_um, 0.5) for x_um in (0, 5, 10)])
    stack = refocus(image, [Flat(11), Flat(11), line, line], model_of(AddDistance()))
    starts = [
        "1 pixel is NaN",
        "The image's pixel size is not known",
        "The 3 points of the surface lie on one line",
        "The plane lies beyond",
    ]
    assert len(stack.notes) == len(starts)
    for note, start in zip(stack.notes, starts, strict=True):
        assert note.startswith(start)


def test_a_constant_image_is_constant_on_every_plane() -> None:
    network = AddDistance(SLOPE)
    stack = run(np.full((40, 50), 7, dtype=np.uint8), [Flat(-1, 1, 1), Tilted(1, 1)], network)
    assert "the same value, 7" in stack.notes[0]
    assert stack.data.shape == (4, 40, 50)
    assert (stack.data == 7).all()
    assert network.log == []


def test_broken_pixels_count_as_the_median() -> None:
    image = grey((64, 64)).astype(np.float32)
    mended = image.copy()
    image[5, 5] = np.inf
    mended[5, 5] = np.median(image[np.isfinite(image)])
    stack = run(image, Flat(1), BoxBlur())
    assert "1 pixel is NaN or infinite" in stack.notes[0]
    np.testing.assert_array_equal(stack.data, run(mended, Flat(1), BoxBlur()).data)


GPU = Compute(device="gpu")


@pytest.mark.parametrize(
    ("image", "surfaces", "settings", "sentence"),
    [
        (np.zeros((3, 64, 64)), Flat(1), {}, "The image is 3D"),
        (grey((64, 64)), [], {}, "No surface"),
        (grey((64, 64)), np.zeros((64, 63)), {}, "64"),
        (
            grey((64, 64)),
            Flat(1),
            {"compute": Compute(device="gpu")},
            "The device 'gpu' is not known",
        ),
        (grey((64, 64)), Flat(1), {"tile_px": -1}, "tile size"),
    ],
)
def test_mistakes_are_told_at_the_call_not_at_the_first_plane(
    image: np.ndarray, surfaces: Any, settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        iter_refocus(
            image, surfaces, model_of(AddDistance()), pixel_size_um=PIXEL_SIZE_UM, **settings
        )


# --- other pixel sizes --------------------------------------------------------------------------


def smooth(shape: Any, pixel_size_um: Any) -> np.ndarray:
    y_um, x_um = ((np.arange(size) + 0.5) * pixel_size_um for size in shape)
    wave = np.sin(y_um[:, None] / 5) * np.cos(x_um[None, :] / 4)
    return (1000 + 400 * wave).astype(np.float32)


@pytest.mark.parametrize(("pixel_size_um", "shape"), [(0.25, (220, 161)), (0.8, (120, 91))])
def test_images_of_other_pixel_sizes_come_back_on_their_own_grid(
    pixel_size_um: float, shape: tuple[int, int]
) -> None:
    image = smooth(shape, pixel_size_um)
    tilted = Tilted(5, -4, 1)
    model = model_of(AddDistance(SLOPE))
    surfaces = [Flat(0), Flat(1), tilted]
    at_zero, at_one, on_tilt = refocus(image, surfaces, model, pixel_size_um=pixel_size_um).data
    inner = (slice(8, -8), slice(8, -8))
    np.testing.assert_allclose(at_zero[inner], image[inner], atol=8)
    found_um = (on_tilt - at_zero) / (at_one - at_zero)
    np.testing.assert_allclose(found_um[inner], tilted.dpm(shape, pixel_size_um)[inner], atol=0.02)


def test_the_model_sees_its_own_pixel_size() -> None:
    shapes = []

    class Watching(AddDistance):
        def encode(self, image: Any) -> Any:
            shapes.append(tuple(image.shape[2:]))
            return super().encode(image)

    stack = refocus(grey((100, 200)), Flat(1), model_of(Watching()), pixel_size_um=1.0)
    assert "resampled from 100 × 200 to 200 × 400" in stack.notes[0]
    assert shapes == [(200, 400)]
