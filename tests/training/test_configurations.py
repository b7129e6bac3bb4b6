"""Training configurations as they come from people, editors and accidents: a run or a sentence."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from napari_deepz.training.checks import check_run
from napari_deepz.training.config import TrainConfig, read_config
from napari_deepz.training.dataset import Batch
from napari_deepz.training.focal import train
from napari_deepz.training.run import run_training
from napari_deepz.training.simulated import simulated_stacks, stack_settings
from tests.training.test_training import CONFIG, DEEPZ, ENCODE_ONCE, blurred_stacks, config

OURS = sorted((Path(__file__).parents[2] / "training").glob("*.toml"))
SETTING = re.compile(r"^(\w+) *= *(.*)$", re.MULTILINE)
VALUES = (
    *("0", "-1", "1e400", "nan", "-inf", "1e-320", "9" * 30, "9" * 5000, str(2**63), "0.5"),
    *('""', '"x"', r'"\u0000"', r'"\u001b[2J"', '"../../.."', '"/"', f'"{"a" * 5000}"', "'''\n'''"),
    *("[]", "[[]]", "{}", "{ a = 1 }", "[0]", "[1, 2, 3]", "[nan, nan]", "[inf, inf]", '["*"]'),
    *("[1e308, 1e308]", "true", "1979-05-27", "25:61:00", '"torchscript"', '["a", "b"]', "[0, 0]"),
)
LINES = (
    *("[model]", "[[model]]", "[schedule.steps]", "[a.b.c]", "]", "[", "x", "= 3", "'''"),
    *("a = " + "[" * 20_000, "a = " + "{ a = " * 5000, ".".join("a" * 5000) + " = 1"),
)


def damaged(text: str, rng: random.Random) -> bytes:
    """A configuration with one thing wrong."""
    setting = rng.choice(list(SETTING.finditer(text)))
    start, end = setting.span()
    other = rng.choice(list(SETTING.finditer(text)))[2]
    data = text.encode()
    position = rng.randrange(len(data))
    return rng.choice(
        [
            *[(text[:start] + f"{setting[1]} = {rng.choice(VALUES)}" + text[end:]).encode()] * 6,
            (text[:start] + f"{setting[1]} = {other}" + text[end:]).encode(),
            (text[:start] + text[end:]).encode(),
            (text[:start] + setting[0] + "\n" + text[start:]).encode(),
            (text[:start] + rng.choice(LINES) + text[end:]).encode(),
            data[:position],
            data[:position] + bytes(rng.randrange(256) for _ in range(3)) + data[position + 3 :],
            rng.choice(
                [b"", bytes(100), text.encode("utf-16"), data * 2, data.replace(b"\n", b"\r")]
            ),
        ]
    )


@pytest.mark.parametrize("source", OURS, ids=lambda path: path.stem)
def test_a_damaged_configuration_is_read_or_refused_in_a_sentence(
    tmp_path: Path, source: Path
) -> None:
    rng = random.Random(source.stem)
    path = tmp_path / "run.toml"
    text = source.read_text(encoding="utf-8")
    refused = 0
    for _ in range(60):
        path.write_bytes(damaged(text, rng))
        try:
            settings = read_config(path)
        except ValueError as error:
            refused += 1
            sentence = str(error)
            assert "run.toml" in sentence
            assert sentence.isprintable()
            assert sentence.endswith(".")
            assert len(sentence) < 700
        else:
            assert isinstance(settings, TrainConfig)
    assert 10 < refused < 60


def test_what_editors_add_does_not_matter(tmp_path: Path) -> None:
    plain = CONFIG.format(steps=3, **ENCODE_ONCE).encode()
    path = tmp_path / "run.toml"
    path.write_bytes(plain)
    expected = read_config(path)
    for text in (b"\xef\xbb\xbf" + plain, plain.replace(b"\n", b"\r\n"), plain.rstrip()):
        path.write_bytes(text)
        assert read_config(path) == expected


def too_large(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(100 << 30)


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.skipif(os.name == "nt", reason="Windows has none of these files")
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (too_large, "it is larger than any configuration"),
        (a_pipe, "it is no file"),
        (endless, "it is no file"),
        (Path.mkdir, "it is no file"),
        (lambda path: path.symlink_to(path), "it is not there"),
        (lambda path: path.write_bytes(b"\xff"), "it is not text in UTF-8"),
    ],
)
def test_a_file_that_is_no_configuration(
    tmp_path: Path, make: Callable[[Path], object], reason: str
) -> None:
    path = tmp_path / "run.toml"
    make(path)
    with pytest.raises(ValueError, match="cannot be read") as caught:
        read_config(path)
    assert str(caught.value) == f"The training configuration {path} cannot be read: {reason}."


def simulation(folder: Path, model: str = "", data: str = "") -> TrainConfig:
    text = CONFIG.format(steps=3, **ENCODE_ONCE).replace("[schedule]", f"{model}\n[schedule]")
    for name in re.findall(r"^\w+", model):
        text = re.sub(rf"^{name} = .*$", "", text, count=1, flags=re.MULTILINE)
    path = folder / "run.toml"
    path.write_text(text + f"[data]\n{data}\n")
    return read_config(path)


@pytest.mark.parametrize(
    ("model", "data", "sentence"),
    [
        ("pixel_size_um = 1e-6", "", "a 'pixel_size_um' from 0.03 to 5, not for 1e-06"),
        ("pixel_size_um = 60.0", "", "a 'pixel_size_um' from 0.03 to 5, not for 60"),
        ("axial_range_um = [-1e9, 1.0]", "", "'axial_range_um' within 100 µm of .* for 1e\\+09 µm"),
        ("", "breadth = { pixel_size_um = [1e-9, 0.5] }", "of 1e-09 cannot be drawn for a model"),
        ("", "breadth = { pixel_size_um = [0.3, 99] }", "of 99 cannot be drawn .* 4 times smaller"),
        ("", "count = 1_000_000", r"1000010 simulated stacks take \d+ GB, more than this machine"),
    ],
)
def test_what_no_machine_can_simulate_is_refused_at_once(
    tmp_path: Path, model: str, data: str, sentence: str
) -> None:
    settings = simulation(tmp_path, model, data)
    with pytest.raises(ValueError, match=sentence):
        next(simulated_stacks(settings.model, settings.data))


@pytest.mark.parametrize(
    "setting", ["depth_um", "photons", "background_photons", "gain_adu_per_photon"]
)
def test_ranges_beyond_any_microscope_are_refused(tmp_path: Path, setting: str) -> None:
    with pytest.raises(ValueError, match=f"'{setting}' must not go beyond "):
        simulation(tmp_path, data=f"breadth = {{ {setting} = [1, 1e9] }}")


def test_all_configurations_here_can_be_simulated(tmp_path: Path) -> None:
    for path in OURS:
        settings = read_config(path)
        if not settings.data.stacks:
            stack_settings(settings.model, settings.data.breadth)


def test_a_network_that_no_machine_can_train_is_refused_at_once(tmp_path: Path) -> None:
    settings = config(tmp_path, **DEEPZ | {"parameters": "{ base = 256, levels = 8 }"})
    needed = r"parameters takes [\d,]+ GB of memory to train, more than this machine has"
    with pytest.MonkeyPatch.context() as patch:
        memory = psutil.virtual_memory()
        patch.setattr(psutil, "virtual_memory", lambda: memory._replace(total=16_000_000_000))
        with pytest.raises(ValueError, match=needed):
            check_run(settings, resume=False)


@pytest.mark.parametrize("patterns", ['["a\\u0000b"]', '["\\u001b[2J*"]'])
def test_names_with_control_characters_are_refused(tmp_path: Path, patterns: str) -> None:
    with pytest.raises(ValueError, match="no path can have control characters in it"):
        simulation(tmp_path, data=f"stacks = {patterns}\nvalidation_stacks = ['b.tif']")


@pytest.mark.parametrize("pattern", ["", "**a", "a" * 5000])
def test_patterns_that_are_none(tmp_path: Path, pattern: str) -> None:
    settings = simulation(tmp_path, data=f"stacks = ['{pattern}']\nvalidation_stacks = ['b.tif']")
    with pytest.raises(ValueError, match=r"is no pattern for|No focal stack in .* matches"):
        run_training(settings, tmp_path)


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: tried")]
)
def test_too_little_memory_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def full(*_: object) -> Batch:
        raise error

    monkeypatch.setattr("napari_deepz.training.focal.predict", full)
    with pytest.raises(
        ValueError, match="There is too little free memory to train with a batch of 2"
    ):
        train(config(tmp_path), blurred_stacks(1), [])
