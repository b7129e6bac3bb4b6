"""A forked process ends in a sentence instead of hanging; spawned ones compute what all do."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_deepz.engine.refocus import refocus
from napari_deepz.models.library import load_model
from napari_deepz.surfaces import Flat
from tests.conftest import write_tiny_model

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")

SCRIPT = """
import os, signal, sys, warnings
warnings.simplefilter("ignore")
import numpy as np, torch
import napari_deepz as dz
torch.set_num_threads(2)
image = np.random.default_rng(0).normal(100, 5, (256, 256)).astype("f4")
def load():
    return dz.load_model(sys.argv[1])
def use():
    return dz.refocus(image, dz.Flat(1), model, pixel_size_um=0.325)
def check():
    from napari_deepz.engine.model_check import check_model
    return check_model(model, "cpu")
BEFORE
if os.fork() == 0:
    signal.alarm(30)
    try:
        IN_CHILD
        print("computed", flush=True)
    except OSError as error:
        print(type(error).__name__, error, flush=True)
    finally:
        os._exit(0)
os.wait()
AFTER
"""


def forked(package: Path, before: str, in_child: str, after: str = "") -> str:
    code = SCRIPT.replace("BEFORE", before).replace("IN_CHILD", in_child).replace("AFTER", after)
    run = subprocess.run(
        [sys.executable, "-c", code, str(package)],
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    return run.stdout.strip()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    parameters = {"base": 16, "levels": 2, "planes": 9}
    return write_tiny_model(tmp_path / "tiny", parameters=parameters)


@needs_fork
@pytest.mark.parametrize("in_child", ["use()", "load()", "check()", "encoded.refocus(dz.Flat(2))"])
def test_a_process_forked_after_use_ends_in_a_sentence(package: Path, in_child: str) -> None:
    before = (
        "model = load(); use(); encoded = dz.EncodedImage(image, model, pixel_size_um=0.325); "
        "encoded.refocus(dz.Flat(1))"
    )
    said = forked(package, before, in_child)
    assert said.startswith("ForkedProcessError This process was forked from one that has loaded or")
    assert "multiprocessing.get_context('spawn') or 'forkserver'" in said
    assert "\n" not in said


@needs_fork
def test_one_forked_after_loading_does_too(package: Path) -> None:
    assert forked(package, "model = load()", "use()").startswith("ForkedProcessError")


@needs_fork
def test_one_forked_before_computes_and_the_parent_goes_on(package: Path) -> None:
    said = forked(
        package, "", "model = load(); use()", "model = load(); use(); print('so does he')"
    )
    assert said.split("\n") == ["computed", "so does he"]


def mean(path: str, image: np.ndarray) -> float:
    plane = refocus(image, Flat(1), load_model(path), pixel_size_um=0.325)
    return float(plane.data.mean())


@pytest.mark.parametrize(
    "method", [m for m in multiprocessing.get_all_start_methods() if m != "fork"]
)
def test_processes_that_were_not_forked_compute(package: Path, method: str) -> None:
    image = np.random.default_rng(0).normal(100, 5, (64, 64)).astype(np.float32)
    here = mean(str(package), image)
    with multiprocessing.get_context(method).Pool(1) as pool:
        there = pool.apply_async(mean, (str(package), image)).get(timeout=100)
    assert there == pytest.approx(here, rel=1e-6)
