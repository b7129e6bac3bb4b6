"""Evaluation: the measures are those of the planes named, and the baseline is the input itself."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_deepz import Flat, evaluate, refocus
from napari_deepz.analysis.detail import detail
from napari_deepz.analysis.metrics import correlation, psnr, rmse, ssim
from napari_deepz.io.reading import read_provenance
from napari_deepz.models.package import Model
from napari_deepz.pictures.figures import plot_evaluation, plot_overview
from napari_deepz.provenance import Provenance
from napari_deepz.watch import Cancelled, Watch


@pytest.fixture
def stack(rng: np.random.Generator) -> np.ndarray:
    return rng.poisson(rng.gamma(2, 40, (7, 40, 48))).astype(np.uint16)


def test_every_plane_is_scored_against_its_own_truth(stack: np.ndarray, tiny_model: Model) -> None:
    result = evaluate(stack, 2, tiny_model, pixel_size_um=0.325, z_step_um=0.5)
    assert [depth.plane for depth in result.depths] == [0, 1, 3, 4, 5, 6]
    assert [depth.z_um for depth in result.depths] == [-1.0, -0.5, 0.5, 1.0, 1.5, 2.0]
    low, high = np.percentile(stack, [0.1, 99.9])
    assert result.data_range == pytest.approx(high - low)
    depth = result.depths[4]
    at_zero, virtual = refocus(stack[2], [Flat(0), Flat(1.5)], tiny_model, pixel_size_um=0.325).data
    for scores, image in (
        (depth.refocused, virtual),
        (depth.at_zero, at_zero),
        (depth.unrefocused, stack[2]),
    ):
        truth = stack[5]
        assert scores.rmse == pytest.approx(rmse(image, truth))
        assert scores.psnr == pytest.approx(psnr(image, truth, data_range=high - low))
        assert scores.ssim == pytest.approx(ssim(image, truth, data_range=high - low))
        assert scores.correlation == pytest.approx(correlation(image, truth))
        assert scores.detail == pytest.approx(detail(image, truth))


def test_planes_outside_the_models_range_are_marked(stack: np.ndarray, tiny_model: Model) -> None:
    result = evaluate(stack, 0, tiny_model, pixel_size_um=0.325, z_step_um=2.5)
    assert [depth.in_range for depth in result.depths] == [True] * 4 + [False] * 2
    assert any("range" in note for note in result.notes)


def test_table_and_plot_are_written(stack: np.ndarray, tiny_model: Model, tmp_path: Path) -> None:
    result = evaluate(stack, 3, tiny_model, pixel_size_um=0.325, z_step_um=5)
    result.write_csv(tmp_path / "scores.csv")
    plot_evaluation(result, tmp_path / "scores.png")
    with (tmp_path / "scores.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["model"] for row in rows} == {"tiny"}
    assert {row["model_version"] for row in rows} == {tiny_model.spec.version}
    assert {row["model_sha256"] for row in rows} == {tiny_model.sha256}
    assert [float(row["z_um"]) for row in rows] == [depth.z_um for depth in result.depths]
    assert float(rows[0]["psnr_unrefocused"]) == pytest.approx(
        result.depths[0].unrefocused.psnr, rel=1e-4
    )
    with Image.open(tmp_path / "scores.png") as picture:
        colours = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    assert len(np.unique(colours, axis=0)) > 50


def test_a_full_disk_leaves_the_former_table_and_plot(
    stack: np.ndarray, tiny_model: Model, tmp_path: Path
) -> None:
    resource = pytest.importorskip("resource", reason="Unix alone limits a process")
    result = evaluate(stack, 3, tiny_model, pixel_size_um=0.325, z_step_um=5)
    (tmp_path / "scores.csv").write_text("former")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        for name, write in (
            ("scores.csv", result.write_csv),
            ("scores.png", lambda path: plot_evaluation(result, path)),
        ):
            with pytest.raises(OSError, match=f"^'{name}' could not be written, nothing is left"):
                write(tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name for path in tmp_path.iterdir()} == {"scores.csv", "tiny"}
    assert (tmp_path / "scores.csv").read_text() == "former"


def test_overview_shows_what_it_is_given(tmp_path: Path, rng: np.random.Generator) -> None:
    stack = rng.gamma(2, 40, (9, 40, 48)).astype(np.float32)
    plot_overview(
        stack[4],
        stack,
        stack,
        list(range(-4, 5)),
        stack[4],
        stack[4],
        pixel_size_um=0.325,
        title="test",
        path=tmp_path / "overview.png",
        provenance=Provenance(kind="inferred", model_name="tiny"),
    )
    record = read_provenance(tmp_path / "overview.png")
    assert record is not None
    assert record.model_name == "tiny"
    with Image.open(tmp_path / "overview.png") as picture:
        assert picture.width > 1000
        assert np.asarray(picture.convert("L")).std() > 10


def test_evaluation_can_be_stopped(stack: np.ndarray, tiny_model: Model) -> None:
    with pytest.raises(Cancelled):
        evaluate(stack, 3, tiny_model, pixel_size_um=0.325, z_step_um=1, watch=Watch(lambda: True))


def test_broken_pixels(stack: np.ndarray, tiny_model: Model) -> None:
    broken = stack.astype(np.float32)
    broken[1, 3, 3] = np.nan
    with pytest.raises(ValueError, match="not finite numbers"):
        evaluate(broken, 3, tiny_model, pixel_size_um=0.325, z_step_um=1)


@pytest.mark.parametrize(
    ("shape", "plane", "z_step_um", "sentence"),
    [
        ((40, 40), 0, 1, "needs a focal stack"),
        ((1, 40, 40), 0, 1, "needs a focal stack"),
        ((3, 40, 40), 3, 1, "planes 0 to 2; there is no input plane 3"),
        ((3, 40, 40), -1, 1, "no input plane -1"),
        ((3, 40, 40), 1, 0, "z step is 0"),
        ((3, 40, 40), 1, 1, "no contrast"),
    ],
)
def test_unusable_stacks(
    tiny_model: Model, shape: tuple[int, ...], plane: int, z_step_um: float, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        evaluate(np.zeros(shape), plane, tiny_model, pixel_size_um=0.325, z_step_um=z_step_um)
