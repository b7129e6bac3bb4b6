"""What the report measures and decides, on stacks whose truth is a formula."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile

from benchmarks.fidelity import goals, measures
from benchmarks.fidelity.measures import STACK_Z_UM, Tilted
from benchmarks.fidelity.methods import Network
from benchmarks.fidelity.real import TUNED_PLANES, RealScores, tuned_scores
from benchmarks.fidelity.sections import limits_verdict, real_verdict, tuned_section
from benchmarks.fidelity.sets import PIXEL_UM, TILT_RISE_UM, HeldOut, limits
from benchmarks.fidelity.text import table, wrapped
from napari_deepz.analysis.bead_size import FWHM_OF_SIGMA
from napari_deepz.analysis.metrics import correlation
from napari_deepz.models.package import Model
from napari_deepz.optics import Optics
from napari_deepz.pupil import Aberrations

SIGMA_PX, SIGMA_UM = 1.4, 0.9
SHAPE = (128, 128)


def beads(centres: np.ndarray, z_um: np.ndarray = STACK_Z_UM) -> np.ndarray:
    """Gaussian beads, (Z, Y, X); centres are z in µm, y and x in pixels."""
    y, x = np.indices(SHAPE)
    stack = np.full((len(z_um), *SHAPE), 100.0)
    for depth_um, row, column in centres:
        spot = np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * SIGMA_PX**2))
        stack += 900 * np.exp(-((z_um - depth_um) ** 2) / (2 * SIGMA_UM**2))[:, None, None] * spot
    return stack.astype(np.float32)


def held_out(centres: np.ndarray, noise: float = 0.0) -> HeldOut:
    stack = beads(centres)
    measured = stack + np.random.default_rng(0).normal(0, noise, stack.shape)
    return HeldOut(
        measured=measured.astype(np.uint16),
        target=stack,
        z_um=STACK_Z_UM,
        centres=centres,
        optics=Optics(na=0.75, wavelength_um=0.52, pixel_size_um=PIXEL_UM),
        aberrations=Aberrations(),
    )


class Shifted:
    """The true stack, as seen by a method that is wrong about z by a constant."""

    def __init__(self, by_um: float) -> None:
        self.name, self.by_um = f"shifted {by_um:g}", by_um

    def planes(self, stack: HeldOut, z_um: Sequence[float] | np.ndarray) -> np.ndarray:
        return beads(stack.centres, np.asarray(z_um) - self.by_um)


CENTRES = np.array([[-6.0, 30.2, 31.0], [0.0, 90.0, 40.3], [3.3, 60.4, 95.7]])


def test_the_truth_itself_scores_best() -> None:
    found = measures.mean_scores([held_out(CENTRES)], [Shifted(0), Shifted(1)], (-6.0, 3.0))
    assert found["correlation"]["shifted 0"] == pytest.approx([1, 1])
    assert found["SSIM"]["shifted 0"] == pytest.approx([1, 1])
    assert (found["PSNR"]["shifted 1"] < 40).all()
    assert (found["correlation"]["shifted 1"] < found["correlation"]["shifted 0"]).all()


def test_scores_are_means_over_stacks_against_planes_without_noise() -> None:
    stacks = [held_out(CENTRES, noise=5), held_out(CENTRES[:1], noise=5)]
    each = [measures.mean_scores([stack], [Shifted(1)], (-6.0,)) for stack in stacks]
    both = measures.mean_scores(stacks, [Shifted(1)], (-6.0,))
    for measure, values in both.items():
        mean = np.mean([scores[measure]["shifted 1"] for scores in each], axis=0)
        assert values["shifted 1"] == pytest.approx(mean)


def test_from_the_other_side_z_is_reversed() -> None:
    class Reversed(Shifted):
        def planes(self, stack: HeldOut, z_um: Sequence[float] | np.ndarray) -> np.ndarray:
            return super().planes(stack, -np.asarray(z_um))

    scores = measures.mean_scores([held_out(CENTRES)], [Reversed(0)], (-6.0, 3.5), other_side=True)
    assert scores["correlation"]["shifted 0"] == pytest.approx([1, 1])


def test_isolated_beads() -> None:
    centres = np.array(
        [
            [0, 60, 60],
            [0, 60, 70],  # Too near to the first
            [0, 60, 100],
            [10.5, 100, 60],  # Too deep
            [0, 5, 60],  # At the border
        ],
        float,
    )
    assert measures.apart(centres, SHAPE).tolist() == [[0, 60, 100]]
    assert len(measures.apart(centres[:0], SHAPE)) == 0
    assert len(measures.apart(centres[:1], SHAPE)) == 1


def test_sizes_of_beads() -> None:
    found = measures.bead_sizes([held_out(CENTRES)], [Shifted(0.5)])
    true_um = FWHM_OF_SIGMA * np.array([SIGMA_PX * PIXEL_UM, SIGMA_UM])
    for name in ("truth", "shifted 0.5"):
        assert found.widths_um[name] == pytest.approx(np.tile(true_um, (3, 1)), rel=0.02)
    assert found.left_out == 0
    # In the input only the bead at 0 µm is in focus, and that at -6 µm cannot be seen.
    lateral_um = found.widths_um["unrefocused"][:, 0]
    assert lateral_um[1] == pytest.approx(true_um[0], rel=0.02)
    assert math.isinf(lateral_um[0])


def test_a_bead_that_cannot_be_measured_counts_as_infinitely_wide() -> None:
    beyond = Shifted(8)  # The bead at 3.3 µm leaves the stack.
    found = measures.bead_sizes([held_out(CENTRES)], [beyond])
    assert np.isinf(found.widths_um["shifted 8"][2]).all()
    deep = np.array([[9.9, 60.0, 60.0]])
    assert measures.bead_sizes([held_out(deep)], []).left_out == 1


def tilted_field() -> HeldOut:
    places = [(y, x) for y in (20, 50, 80, 107) for x in (18, 45, 77, 108)]
    depth = [(x - (SHAPE[1] - 1) / 2) * TILT_RISE_UM / SHAPE[1] for _, x in places]
    return held_out(np.column_stack([depth, places]))


def test_depth_and_light_on_tilted_planes() -> None:
    stack = tilted_field()
    found = measures.tilted([stack], [Shifted(0.3)])
    assert measures.rms(found["truth"].from_plane_um) < 0.03
    assert measures.rms(found["truth"].from_best_um) == 0
    assert measures.rms(found["shifted 0.3"].from_plane_um) == pytest.approx(0.3, abs=0.03)
    half_light_um = FWHM_OF_SIGMA * SIGMA_PX * PIXEL_UM
    assert np.median(found["truth"].half_light_um) == pytest.approx(half_light_um, rel=0.03)


def test_the_cut_follows_the_plane() -> None:
    ramp = np.broadcast_to(STACK_Z_UM[:, None, None], (len(STACK_Z_UM), 8, 64))
    cut = measures.on_tilted_plane(ramp)
    depth_um = (np.arange(64) - 31.5) * TILT_RISE_UM / 64
    np.testing.assert_allclose(cut, np.tile(depth_um, (8, 1)), atol=1e-6)


def test_rms_leaves_out_what_was_not_found() -> None:
    assert measures.rms(np.array([3.0, math.nan, -4.0])) == pytest.approx(math.sqrt(12.5))
    assert math.isnan(measures.rms(np.array([math.nan])))


class TestVerdicts:
    Z_UM = (-4.0, -1.0, 1.0, 4.0)

    def test_equal_as_printed(self) -> None:
        one, other = np.array([0.5, 0.5004, 0.6, 0.7]), np.array([0.5004, 0.5, 0.6, 0.7])
        assert measures.fails_at(one, other, self.Z_UM, 3, or_equal=True) == []
        assert measures.fails_at(one, other, self.Z_UM, 3, or_equal=False) == list(self.Z_UM)

    def test_where_it_fails(self) -> None:
        one, other = np.array([0.4, 0.4, 0.6, 0.4]), np.full(4, 0.5)
        assert measures.fails_at(one, other, self.Z_UM, 3, or_equal=True) == [-4, -1, 4]
        assert measures.fails_at(one, other, self.Z_UM, 3, or_equal=False, beyond_um=2) == [-4, 4]
        assert goals.verdict([-4, 4]) == "no, not at -4, +4 µm"
        assert goals.verdict([]) == "yes"

    def test_nothing_is_better_than_nan(self) -> None:
        one, other = np.array([math.nan, 1, 1, 1]), np.array([0, math.nan, 0, 0])
        assert measures.fails_at(one, other, self.Z_UM, 3, or_equal=True) == [-4, -1]

    def scores(self, **changes: float) -> goals.Scores:
        flat = {"`new`": 0.8, "`unet`": 0.8, "Richardson-Lucy": 0.5, "unrefocused": 0.4}
        values = {name: np.full(len(measures.Z_UM), value) for name, value in flat.items()}
        table = {measure: dict(values) for measure in measures.DECIMALS}
        for measure, value in changes.items():
            table[measure]["`new`"] = np.array([value, *values["`new`"][1:]])
        return table

    def tilted(self, depth_um: float, light_um: float) -> Tilted:
        return Tilted(np.full(4, depth_um), np.full(4, depth_um), np.full(4, light_um))

    def test_conclusions(self) -> None:
        sets = {"beads": self.scores(), "worm": self.scores(SSIM=0.45)}
        found = {"truth": self.tilted(0.02, 0.6), "`new`": self.tilted(0.05, 0.64)}
        unet, input_, deconvolution, depth, light = goals.conclusions(
            sets, found, "`new`", ["`unet`"]
        )
        assert unet.endswith("beads yes; worm no (SSIM).")
        assert input_.endswith("beads yes; worm yes.")
        assert deconvolution.endswith("beads yes; worm no (SSIM).")
        assert "**yes**; 0.05 µm about the plane" in depth
        assert light.count("**yes**") == 2
        found["`new`"] = self.tilted(0.3, 0.7)
        *_, depth, light = goals.conclusions(sets, found, "`new`", [])
        assert "**no**; 0.30 µm" in depth
        assert light.index("**no**") < light.index("**yes**")

    def test_limits(self) -> None:
        good = {"`new`": np.full(4, 0.5), "unrefocused": np.full(4, 0.4)}
        bad = {"`new`": np.array([0.5, 0.5, 0.5, 0.4]), "unrefocused": np.full(4, 0.4)}
        easy, hard, *_ = limits()
        assert "looked at: everywhere." in limits_verdict([(easy, good), (hard, good)], "`new`")
        said = limits_verdict([(easy, good), (hard, bad)], "`new`")
        assert f"not for {hard.what.lower()}." in said

    def test_measured_stacks(self) -> None:
        rows = [
            RealScores(
                what, "0 µm", 0, 2, 3, {"`new`": np.array([new, 0, 0]), "unrefocused": np.zeros(3)}
            )
            for what, new in (("bead", 0.1), ("bead", 0.0004), ("embryo", -0.1))
        ]
        assert real_verdict(rows, "`new`").endswith("bead: 1 of 2; embryo: 0 of 1.")

    def test_a_part_of_a_measured_stack(
        self, tmp_path: Path, tiny_model: Model, rng: np.random.Generator
    ) -> None:
        stack = rng.poisson(100, (40, 48, 56)).astype(np.uint16)
        sizes = {"PhysicalSizeX": 0.325, "PhysicalSizeY": 0.325, "PhysicalSizeZ": 0.5}
        for name in ("learn_cy3", "test_cy3"):
            path = tmp_path / f"{name}.ome.tif"
            tifffile.imwrite(path, stack, metadata={"axes": "ZYX", **sizes})
        rows = list(tuned_scores(tmp_path, Network(tiny_model)))
        assert {row.what for row in rows} == {"CY3"}
        assert list(dict.fromkeys(row.input_um for row in rows)) == list(TUNED_PLANES)
        low, high = tiny_model.spec.axial_range_um
        for row in rows:
            at = TUNED_PLANES[row.input_um]
            planes = [
                plane
                for plane in range(len(stack))
                if row.from_um < abs(z := (plane - at) * 0.5) <= row.to_um and low <= z <= high
            ]
            assert row.planes == len(planes)
            scores = [correlation(stack[at], stack[plane]) for plane in planes]
            assert row.means["unrefocused"][0] == pytest.approx(np.mean(scores))
        assert "no model that was tuned" in tuned_section([]).lower()
        text = tuned_section(rows)
        assert text.count("| CY3 |") == 3 * len(rows)


def test_tables_have_as_many_cells_in_each_line() -> None:
    lines = table(["a", "b"], [["1", "2"], ["3", "4"]]).splitlines()
    assert lines == ["| a | b |", "| --- | --- |", "| 1 | 2 |", "| 3 | 4 |"]


def test_paragraphs_keep_their_words_and_fit_the_page() -> None:
    text = " ".join(f"word-{number}" for number in range(60))
    lines = wrapped(text).splitlines()
    assert max(map(len, lines)) <= 100
    assert " ".join(lines) == text
