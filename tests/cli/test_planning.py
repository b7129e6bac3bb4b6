"""`napari-deepz plan`: the table, the plot and the words."""

from __future__ import annotations

from pathlib import Path

import pytest
import tifffile

from napari_deepz.io.reading import read_provenance
from napari_deepz.samples import WORM
from tests.cli.conftest import Run


def test_it_recommends_and_writes_table_and_plot(deepz: Run, tmp_path: Path) -> None:
    said = deepz("plan", WORM, cwd=tmp_path)
    assert "of the stack's detail for" in said.stdout
    assert {file.name for file in (tmp_path / "worm-plan").iterdir()} == {"plan.csv", "plan.png"}
    record = read_provenance(tmp_path / "worm-plan" / "plan.png")
    assert record is not None
    assert record.model_name == "widefield-20x"
    assert deepz("plan", WORM, cwd=tmp_path).code == 0  # Former results are replaced.


def test_a_table_of_somebody_else_is_left_alone(deepz: Run, tmp_path: Path) -> None:
    (tmp_path / "worm-plan").mkdir()
    (tmp_path / "worm-plan" / "plan.csv").write_text("my,own\n1,2\n")
    said = deepz("plan", WORM, cwd=tmp_path, check=False)
    assert said.code == 1
    assert "was not made by napari-deepz" in said.stderr
    assert (tmp_path / "worm-plan" / "plan.csv").read_text() == "my,own\n1,2\n"


@pytest.mark.parametrize(
    ("options", "words"), [((), "give it in µm with --z-step"), (("--z-step=0",), "positive")]
)
def test_a_stack_without_a_z_step_has_to_be_given_one(
    deepz: Run, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    tifffile.imwrite(tmp_path / "x.tif", tifffile.imread(WORM)[:5], metadata={"axes": "ZYX"})
    said = deepz("plan", "x.tif", *options, cwd=tmp_path, check=False)
    assert words in said.stderr


@pytest.mark.parametrize("command", [("plan",), ("evaluate", "--input-plane=2")])
def test_what_was_inferred_is_no_measured_stack(
    deepz: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    deepz("refocus", WORM, "made.ome.tif", "--plane=8", "--z=-2:2:1", cwd=tmp_path)
    name, *options = command
    said = deepz(name, "made.ome.tif", *options, cwd=tmp_path, check=False)
    assert "made.ome.tif was inferred, not measured: give the measured" in said.stderr
