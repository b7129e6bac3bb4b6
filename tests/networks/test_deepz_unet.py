"""The published network against TensorFlow's own output, and the encode-once one's interface."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from napari_deepz.networks.base import Generator, without_weights
from napari_deepz.networks.deepz_unet import DeepZUNet
from napari_deepz.networks.encode_once import EncodeOnce
from napari_deepz.networks.z_basis import ZBasis
from tests.conftest import shared_file


def tensorflow_names(levels: int) -> dict[str, str]:
    """PyTorch parameter name for each TensorFlow variable name."""
    names = {}
    for level in range(levels):
        for conv in ("conv1", "conv2"):
            names[f"Generator/down{level}/{conv}/filters"] = f"down.{level}.{conv}.weight"
            names[f"Generator/down{level}/{conv}/biases"] = f"down.{level}.{conv}.bias"
    for level in range(levels - 1):
        for conv in ("conv0", "conv1", "conv2"):
            names[f"Generator/up{level}/{conv}/filters"] = f"up.{level}.{conv}.weight"
            names[f"Generator/up{level}/{conv}/biases"] = f"up.{level}.{conv}.bias"
    names["Generator/last_layer/filters"] = "last_layer.weight"
    names["Generator/last_layer/biases_1"] = "last_layer.bias"
    return names


def test_published_network_matches_tensorflow() -> None:
    folder = shared_file("fixtures/tf_saved_model")
    values = np.fromfile(folder / "variables/variables.data-00000-of-00001", "<f4")
    network = DeepZUNet(base=4, levels=6)
    state = network.state_dict()
    # The file holds the variables one after the other in the order of their names; both HWIO and
    # TensorFlow's transposed (H, W, out, in) become PyTorch's layout by the same permutation.
    position = 0
    for _, name in sorted(tensorflow_names(6).items()):
        shape = state[name].shape
        stored = (*shape[2:], shape[1], shape[0]) if len(shape) == 4 else tuple(shape)
        size = int(np.prod(stored))
        tensor = torch.from_numpy(values[position : position + size].reshape(stored).copy())
        state[name] = tensor.permute(3, 2, 0, 1) if len(shape) == 4 else tensor
        position += size
    assert position == values.size
    network.load_state_dict(state)

    parity = np.load(folder / "parity.npz")
    channels = torch.from_numpy(parity["input"])
    image, dpm_um = channels[None, None, ..., 0], channels[None, None, ..., 1] * 10
    with torch.inference_mode():
        output = network(image, dpm_um)[0, 0].numpy()
    assert np.abs(output - parity["output"]).max() / parity["output"].std() < 1e-4


def test_published_size() -> None:
    with torch.device("meta"):
        network = DeepZUNet()
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(77.8e6, rel=1e-3)
    assert network.down[0].conv1.weight.shape == (25, 2, 3, 3)


MAKERS = {
    "deepz-unet": lambda: DeepZUNet(base=2, levels=3),
    "encode-once": lambda: EncodeOnce(base=2, levels=2, planes=5),
    "z-basis": lambda: ZBasis(base=2, levels=2, functions=3, planes=5),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_network_without_weights_has_their_shapes_and_draws_no_random_number(
    make: Callable[[], Generator],
) -> None:
    torch.manual_seed(3)
    drawn = make()
    torch.manual_seed(3)
    with without_weights():
        empty = make()
    first = torch.rand(4)
    torch.manual_seed(3)
    assert torch.equal(first, torch.rand(4))
    assert all(parameter.is_meta for parameter in empty.parameters())
    shapes = {name: tensor.shape for name, tensor in drawn.state_dict().items()}
    assert {name: tensor.shape for name, tensor in empty.state_dict().items()} == shapes
    given = {name: tensor.clone() for name, tensor in drawn.state_dict().items()}
    empty.to_empty(device="cpu").load_state_dict(given)
    image, dpm_um = torch.rand(1, 1, 16, 16), torch.linspace(-3, 3, 256).reshape(1, 1, 16, 16)
    with torch.inference_mode():
        assert torch.equal(empty(image, dpm_um), drawn(image, dpm_um))


# Norm and sum of all weights that a seed has drawn since the first release.
DRAWN = {
    "deepz-unet": (10.2089660, 5.8963117),
    "encode-once": (5.6037589, -10.6137572),
    "z-basis": (6.6625382, 11.3371164),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_seed_draws_the_weights_that_it_always_drew(name: str) -> None:
    with without_weights():
        MAKERS[name]()  # type: ignore[no-untyped-call]
    torch.manual_seed(5)
    weights = torch.cat([p.detach().flatten().double() for p in MAKERS[name]().parameters()])  # type: ignore[no-untyped-call]
    assert (weights.norm().item(), weights.sum().item()) == pytest.approx(DRAWN[name], abs=1e-5)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_receptive_field_is_within_the_halo(make: Callable[[], Generator]) -> None:
    network = make()
    for parameter in network.parameters():
        torch.nn.init.uniform_(parameter, 0.01, 0.05)
    reach = network.halo_px
    size = -(-(4 * reach) // network.size_multiple) * network.size_multiple
    image = torch.rand(1, 1, size, size, requires_grad=True)
    middle = size // 2
    dpm = torch.full_like(image, 3.0)
    network(image, dpm)[0, 0, middle : middle + 8, middle : middle + 8].sum().backward()
    touched = image.grad[0, 0].abs().sum(0).nonzero().ravel()  # type: ignore[index]
    assert touched.min() >= middle - reach
    assert touched.max() < middle + 8 + reach
    assert touched.max() - touched.min() > reach


def test_untrained_encode_once_returns_the_unrefocused_image() -> None:
    image = torch.rand(1, 1, 32, 48)
    network = EncodeOnce(base=4, levels=2)
    with torch.inference_mode():
        refocused = network(image, torch.full_like(image, -7.3))
    torch.testing.assert_close(refocused, image)


def test_planes_of_the_basis_are_the_image_and_sums_of_as_many_functions() -> None:
    torch.manual_seed(1)
    network = ZBasis(base=4, levels=2, functions=3, planes=9).eval()
    image = torch.rand(1, 1, 32, 48)
    with torch.inference_mode():
        courses = (network.encode(image) - image)[0].flatten(1)
    assert torch.linalg.matrix_rank(courses.double(), rtol=1e-4) == 3


@pytest.mark.parametrize("shape", [(1, 1, 528, 64), (2, 1, 264, 48), (1, 1, 128, 64), (1, 1, 8, 8)])
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_planes_in_strips_are_those_of_the_whole(shape: tuple[int, ...], levels: int) -> None:
    network = ZBasis(base=4, levels=levels, functions=3, planes=9).eval()
    image = torch.randn(shape)
    whole = network.encode(image).detach()
    with torch.inference_mode():
        strips = network.encode(image)
    torch.testing.assert_close(strips, whole, rtol=0, atol=1e-5)


def test_widths_double_up_to_the_widest() -> None:
    network = ZBasis(base=4, widest=10, levels=4)
    assert [block[0].out_channels for block in network.down] == [4, 8, 10, 10]  # type: ignore[index]


def test_flat_and_curved_distances_are_interpolated_alike() -> None:
    network = EncodeOnce(base=2, levels=1, z_min_um=-2, z_max_um=2, planes=5)
    code = torch.rand(2, 5, 6, 6)
    for z_um in (-2.0, -0.3, 1.0, 1.9, 2.0, 7.0):
        dpm = torch.full((2, 1, 6, 6), z_um)
        flat = network.decode(code, dpm)
        dpm[0, 0, 0, 0] = -1
        torch.testing.assert_close(network.decode(code, dpm)[1], flat[1])
        assert flat.shape == (2, 1, 6, 6)


def test_decode_interpolates_per_pixel_and_holds_the_ends() -> None:
    network = EncodeOnce(base=2, levels=1, z_min_um=-2, z_max_um=2, planes=5)
    assert network.plane_z_um == (-2, -1, 0, 1, 2)
    code = (torch.tensor(network.plane_z_um) ** 2)[None, :, None, None].expand(1, 5, 4, 4)
    dpm = torch.full((1, 1, 4, 4), 0.0)
    dpm[0, 0, 0] = torch.tensor([-2.0, -1.5, 0.25, 2.0])
    dpm[0, 0, 1] = torch.tensor([-9.0, 9.0, 1.0, 1.75])
    out = network.decode(code, dpm)[0, 0]
    torch.testing.assert_close(out[0], torch.tensor([4.0, 2.5, 0.25, 4.0]))
    torch.testing.assert_close(out[1], torch.tensor([4.0, 4.0, 1.0, 3.25]))
