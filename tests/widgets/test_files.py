"""The manifest, and files and samples opened in a real viewer."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from npe2 import PluginManager, PluginManifest

from napari_deepz import samples
from napari_deepz.io.writing import write_stack
from napari_deepz.provenance import Provenance
from napari_deepz.widgets import sample_data
from napari_deepz.widgets.readers import get_reader
from napari_deepz.widgets.refocusing.dock import VirtualRefocusing
from tests.io.nd2_files import time_loop, write_nd2, z_stack
from tests.widgets.conftest import run, told, wait_idle

SAMPLES = {"worm": "Simulated worm", "tilted_beads": "Simulated tilted beads"}


def units_of(layer: Any) -> list[str]:
    return [str(unit) for unit in layer.units]


def test_the_installed_manifest() -> None:
    manifest = PluginManifest.from_distribution("napari-deepz")
    assert manifest.name == metadata.metadata("napari-deepz")["Name"]
    manifest.validate_imports()
    contributions = manifest.contributions
    assert [widget.display_name for widget in contributions.widgets] == [
        "Virtual refocusing",
        "Compare with measured stack",
        "Plan exposures",
        "Movie",
        "Neurons",
    ]
    assert {sample.key for sample in contributions.sample_data} == set(SAMPLES)
    assert "napari/layers/transform" in contributions.menus


def test_the_manifest_is_visible_at_the_top_of_the_repository() -> None:
    top = Path(__file__).parents[2] / "napari.yaml"
    if not top.exists():
        pytest.skip("not in a checkout of the repository")
    package = Path(samples.__file__).parents[1] / "napari.yaml"
    assert top.read_text() == package.read_text()


def test_files_of_microscopes_open_with_their_sizes(tmp_path: Path) -> None:
    pytest.importorskip("nd2", reason="needs the extra napari-deepz[bioio]")
    pixels = np.arange(2 * 3 * 2 * 40 * 50, dtype=np.uint16).reshape(2, 3, 2, 40, 50)
    path = write_nd2(
        tmp_path / "worm.nd2",
        pixels,
        [time_loop(2, planned_ms=500.0), z_stack(3, 0.4)],
        channels=(("GFP", 510.0), ("mCherry", 610.0)),
    )
    contributions = PluginManifest.from_distribution("napari-deepz").contributions
    patterns = [pattern for reader in contributions.readers for pattern in reader.filename_patterns]
    assert {"*.nd2", "*.czi"} <= set(patterns)
    reader = get_reader(str(path))
    assert reader is not None
    layers = reader(str(path))
    for channel, (data, arguments, kind) in enumerate(layers):
        assert kind == "image"
        assert arguments["name"] == f"worm, {('GFP', 'mCherry')[channel]}"
        assert arguments["scale"] == pytest.approx((0.5, 0.4, 0.25, 0.25))
        np.testing.assert_array_equal(np.asarray(data), pixels[:, :, channel])


def test_the_dock_is_in_the_layers_menu(make_viewer: Callable[[], Any]) -> None:
    make_viewer()
    items = PluginManager.instance().iter_menu("napari/layers/transform")
    assert "napari-deepz.refocus" in {item.command for item in items}


@pytest.fixture
def small_stacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rng: np.random.Generator) -> Any:
    """Small stand-ins for the bundled samples."""
    stack = rng.integers(100, 3000, (5, 48, 64), dtype=np.uint16)
    for name in ("WORM", "TILTED_BEADS"):
        path = tmp_path / f"{name}.ome.tif"
        provenance = Provenance(kind="simulated")
        write_stack(
            path,
            iter(stack),
            count=5,
            shape=(48, 64),
            dtype="uint16",
            pixel_size_um=0.325,
            z_step_um=1.0,
            z_start_um=-2.0,
            name="sample",
            provenance=provenance,
        )
        monkeypatch.setattr(samples, name, path)
    return stack


@pytest.mark.parametrize("key", SAMPLES)
def test_a_sample_is_a_plane_and_its_focal_stack_in_micrometres(
    make_viewer: Callable[[], Any], small_stacks: Any, key: Any
) -> None:
    viewer = make_viewer()
    stack, plane = viewer.open_sample("napari-deepz", key)

    assert (stack.name, plane.name) == (
        f"{SAMPLES[key]}, focal stack",
        f"{SAMPLES[key]}, input plane",
    )
    np.testing.assert_array_equal(stack.data, small_stacks)
    np.testing.assert_array_equal(plane.data, small_stacks[2])
    np.testing.assert_allclose(stack.scale, (1, 0.325, 0.325))
    np.testing.assert_allclose(stack.translate, (-2, 0, 0))
    np.testing.assert_allclose(plane.scale, (0.325, 0.325))
    assert units_of(stack) == ["micrometer"] * 3
    assert units_of(plane) == ["micrometer"] * 2
    assert (stack.axis_labels, plane.axis_labels) == (("z", "y", "x"), ("y", "x"))
    assert (stack.visible, plane.visible) == (False, True)


@pytest.mark.parametrize("dock_first", [True, False])
def test_a_sample_is_ready_to_be_refocused(
    open_dock: Callable[..., VirtualRefocusing],
    make_viewer: Callable[[], Any],
    small_stacks: Any,
    qtbot: Any,
    dock_first: bool,
) -> None:
    if dock_first:
        dock = open_dock()
        dock.viewer.open_sample("napari-deepz", "worm")
    else:
        viewer = make_viewer()
        viewer.open_sample("napari-deepz", "worm")
        dock = open_dock(viewer)
    dock.review()
    assert dock.image.layer.name == "Simulated worm, input plane"
    assert dock.trust.cautions.text() == ""
    layer = run(dock, qtbot)
    wait_idle(dock, qtbot)
    assert layer.data.shape == (41, 48, 64)
    assert dock.viewer.layers.units is not None


@pytest.mark.parametrize("key", SAMPLES)
def test_the_bundled_samples(key: Any) -> None:
    path = {"worm": samples.WORM, "tilted_beads": samples.TILTED_BEADS}[key]
    (stack, _, _), (plane, placing, _) = getattr(sample_data, f"open_{key}")()
    np.testing.assert_array_equal(stack, tifffile.imread(path))
    np.testing.assert_array_equal(plane, stack[len(stack) // 2])
    assert placing["units"] == ("um", "um")


def test_our_reader_keeps_what_ours_and_others_files_say(
    make_viewer: Callable[[], Any], tmp_path: Path, rng: np.random.Generator
) -> None:
    data = rng.integers(0, 999, (2, 3, 48, 64), dtype=np.uint16)
    path = tmp_path / "cells.ome.tif"
    sizes = {"PhysicalSizeX": 200, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.2}
    axes = {"axes": "CZYX", "PhysicalSizeZ": 0.7, **sizes}
    tifffile.imwrite(path, data, metadata=axes, photometric="minisblack")
    viewer = make_viewer()
    layers = viewer.open(path, plugin="napari-deepz")

    assert [layer.name for layer in layers] == ["cells, channel 1", "cells, channel 2"]
    for channel, layer in zip(data, layers, strict=True):
        np.testing.assert_array_equal(layer.data, channel)
        np.testing.assert_allclose(layer.scale, (0.7, 0.2, 0.2))
        assert units_of(layer) == ["micrometer"] * 3
        assert layer.axis_labels == ("z", "y", "x")


def test_our_own_export_comes_back_at_its_depth(
    make_viewer: Callable[[], Any], tmp_path: Path
) -> None:
    path = tmp_path / "virtual.ome.tif"
    provenance = Provenance(kind="inferred", axial_range_um=(-3, -1))
    planes = np.zeros((3, 40, 40), np.float32)
    write_stack(
        path,
        iter(planes),
        count=3,
        shape=(40, 40),
        pixel_size_um=0.325,
        z_step_um=1,
        z_start_um=-3,
        name="virtual",
        provenance=provenance,
    )
    (layer,) = make_viewer().open(path, plugin="napari-deepz")
    np.testing.assert_allclose(layer.translate, (-3, 0, 0))
    assert Provenance.from_json(layer.metadata["provenance"]) == provenance


def written_zarr(path: Path, data: Any, axes: Any, transformations: Any, **ome: Any) -> None:
    zarr = pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    kinds = {"t": ("time", "second"), "c": ("channel", None)}
    described = []
    for axis in axes:
        kind, unit = kinds.get(axis, ("space", "micrometer"))
        described.append({"name": axis, "type": kind} | ({"unit": unit} if unit else {}))
    levels = [{"path": "0", "coordinateTransformations": transformations}]
    image = {"axes": described, "datasets": levels}
    ome = {"version": "0.5", "multiscales": [image], **ome}
    zarr.create_group(path, attributes={"ome": ome}).create_array("0", data=data)


def test_an_ome_zarr_lies_where_it_says_and_its_channels_have_their_names(
    make_viewer: Callable[[], Any], tmp_path: Path, rng: np.random.Generator
) -> None:
    data = rng.integers(1, 999, (3, 2, 40, 48), dtype=np.uint16)
    written_zarr(
        tmp_path / "cells.ome.zarr",
        data,
        "czyx",
        [
            {"type": "scale", "scale": [1, 0.5, 0.2, 0.2]},
            {"type": "translation", "translation": [0, -7.5, 100, 200]},
        ],
        omero={"channels": [{"label": "DAPI"}, {"label": ""}, {"label": "GFP"}]},
    )
    layers = make_viewer().open(tmp_path / "cells.ome.zarr", plugin="napari-deepz")
    assert [layer.name for layer in layers] == ["cells, DAPI", "cells, channel 2", "cells, GFP"]
    for layer, channel in zip(layers, data, strict=True):
        np.testing.assert_allclose(layer.scale, (0.5, 0.2, 0.2))
        np.testing.assert_allclose(layer.translate, (-7.5, 100, 200))
        assert units_of(layer) == ["micrometer"] * 3
        np.testing.assert_array_equal(np.asarray(layer.data), channel)


def test_what_the_file_says_of_its_depth_counts_more_than_its_record(
    make_viewer: Callable[[], Any], tmp_path: Path
) -> None:
    pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    path = tmp_path / "moved.ome.zarr"
    write_stack(
        path,
        np.ones((3, 40, 40), np.float32),
        count=3,
        shape=(40, 40),
        pixel_size_um=0.325,
        z_step_um=1,
        z_start_um=12,
        name="moved",
        provenance=Provenance(kind="inferred", axial_range_um=(-3, -1)),
    )
    (layer,) = make_viewer().open(path, plugin="napari-deepz")
    np.testing.assert_allclose(layer.translate, (12, 0, 0))


def test_a_record_that_cannot_be_read_does_not_keep_the_image_closed(
    tmp_path: Path, notified: Callable[[], list[tuple[str, str]]]
) -> None:
    zarr = pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    planes = np.arange(2 * 40 * 40, dtype=np.float32).reshape(2, 40, 40)
    for name in ("a.ome.zarr", "a.ome.tif"):
        path = tmp_path / name
        write_stack(
            path,
            planes,
            count=2,
            shape=(40, 40),
            pixel_size_um=0.325,
            z_step_um=1,
            z_start_um=0,
            name="a",
            provenance=Provenance(kind="inferred"),
        )
        if name.endswith("zarr"):
            zarr.open_group(path, mode="r+").attrs["napari-deepz"] = {"provenance": [1, 2]}
        else:
            content = path.read_bytes()
            path.write_bytes(content.replace(b'"inferred"', b'"inferned"'))
        reader = get_reader(str(path))
        assert reader is not None
        ((data, arguments, _),) = reader(str(path))
        assert told(notified, "record of how this stack was made cannot be re")
        np.testing.assert_array_equal(np.asarray(data), planes)
        assert arguments["scale"] == (1, 0.325, 0.325)
        assert arguments["metadata"] == {}


def test_a_file_without_sizes_stays_in_pixels(
    make_viewer: Callable[[], Any], tmp_path: Path
) -> None:
    tifffile.imwrite(tmp_path / "plain.tif", np.zeros((40, 50), np.uint8))
    (layer,) = make_viewer().open(tmp_path / "plain.tif", plugin="napari-deepz")
    assert units_of(layer) == ["pixel", "pixel"]
    np.testing.assert_allclose(layer.scale, (1, 1))


def test_several_files_as_a_stack_are_left_to_others() -> None:
    assert get_reader(["a.tif", "b.tif"]) is None
