from typing import Any

import pytest
import torch

from napari_deepz.engine.devices import (
    choose_device,
    describe_device,
    is_out_of_memory,
    network_on,
)
from tests.engine.fake_generators import AddDistance


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    def equip(*, cuda: int = 0, mps: bool = False) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"NVIDIA {device}")
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return equip


@pytest.mark.parametrize("name", ["auto", None, " Auto "])
@pytest.mark.parametrize(
    ("equipment", "expected"),
    [({"cuda": 1, "mps": True}, "cuda"), ({"mps": True}, "mps"), ({}, "cpu")],
)
def test_the_best_device_is_chosen(
    machine: Any, name: str | None, equipment: dict[str, Any], expected: str
) -> None:
    machine(**equipment)
    assert choose_device(name) == torch.device(expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("cpu", "cpu"), ("cuda", "cuda"), ("CUDA:1", "cuda:1"), ("mps", "mps"), ("cpu:0", "cpu:0")],
)
def test_a_device_can_be_named(machine: Any, name: str, expected: str) -> None:
    machine(cuda=2, mps=True)
    assert choose_device(name) == torch.device(expected)
    assert choose_device(torch.device(expected)) == torch.device(expected)


@pytest.mark.parametrize(
    ("name", "equipment", "sentence"),
    [
        ("cuda", {}, "finds no CUDA graphics card on this machine"),
        ("mps", {"cuda": 1}, "finds no Apple GPU on this machine"),
        ("cuda:2", {"cuda": 2}, "this machine has 'cuda:0' to 'cuda:1'"),
        ("cuda:1", {"cuda": 1}, "this machine has only 'cuda:0'"),
        ("gpu", {}, "The device 'gpu' is not known"),
        ("cuda:", {"cuda": 1}, "The device 'cuda:' is not known"),
        ("cuda:-1", {"cuda": 1}, "is not known"),
        ("meta", {}, "is not known"),
    ],
)
def test_a_device_that_is_not_there_is_refused_in_a_sentence(
    machine: Any, name: str, equipment: dict[str, Any], sentence: str
) -> None:
    machine(**equipment)
    with pytest.raises(ValueError, match=sentence):
        choose_device(name)


def test_devices_are_described(machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(cuda=1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert describe_device(torch.device("cpu")) == "CPU, 2 threads"
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert describe_device(torch.device("cpu")) == "CPU, 1 thread"
    assert describe_device(torch.device("cuda:0")) == "NVIDIA cuda:0"
    assert describe_device(torch.device("mps")) == "Apple GPU (MPS)"


def test_the_shared_network_is_left_as_it_was() -> None:
    network = AddDistance()
    network.layer = torch.nn.Conv2d(3, 4, 3)
    network.eval()
    assert network_on(network, torch.device("cpu")) is network
    copy = network_on(network, torch.device("meta"))
    assert copy.layer.weight.is_meta
    assert not copy.training
    assert not network.layer.weight.is_meta


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (MemoryError(), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_shortage_of_memory_is_told_from_other_errors(error: Any, expected: bool) -> None:
    assert is_out_of_memory(error) is expected
