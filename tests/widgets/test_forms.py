"""The dock's forms in a real viewer: what is offered, what is said about it."""

from __future__ import annotations

import zipfile

import numpy as np
from qtpy.QtWidgets import QFileDialog

from napari_deepz.widgets.session import model_facts
from tests.conftest import tiny_spec, write_tiny_model
from tests.widgets.conftest import PIXEL_UM, add_image, run


def test_an_empty_viewer_says_what_to_do(open_dock):
    dock = open_dock()
    assert "File > Open Sample" in dock.image_facts.text()
    assert not dock.panel.refocus.isEnabled()
    assert not dock.panel.export.isEnabled()


def test_without_a_model_the_dock_says_what_to_do(make_viewer, monkeypatch, pixels):
    monkeypatch.setattr("napari_deepz.widgets.model_form.list_models", dict)
    viewer = make_viewer()
    viewer.add_image(pixels, units=("um", "um"), axis_labels=("y", "x"), scale=(0.3, 0.3))
    _, dock = viewer.window.add_plugin_dock_widget("napari-deepz", "Virtual refocusing")
    assert "Open model" in dock.model_facts.text()
    assert not dock.panel.refocus.isEnabled()


def test_the_menu_of_images_follows_the_layers(dock):
    first = dock.viewer.layers["cells"]
    assert dock.image.layer == first
    add_image(dock, np.zeros((40, 40)), "other")
    assert dock.image.layer == first
    first.name = "nuclei"
    assert "nuclei" in [dock.image.choice.native.itemText(i) for i in range(3)]
    dock.viewer.layers.remove("nuclei")
    assert dock.image.layer != first
    dock.viewer.layers.clear()
    assert dock.image.layer is None
    add_image(dock, np.zeros((40, 40)), "late")
    assert dock.image.layer == dock.viewer.layers["late"]


def test_what_a_model_was_made_for(dock, model):
    assert dock.model_facts.text() == model_facts(model.spec)
    for fact in ("20x/0.75 dry", "NA 0.75", "0.325 µm", "-10 to 10 µm", "a test"):
        assert fact in dock.model_facts.text()


def test_another_pixel_size_than_the_models(dock, pixels, qtbot, notified):
    dock.viewer.layers["cells"].scale = (0.5, 0.5)
    dock.review()
    assert "pixels of 0.5 µm" in dock.cautions.text()
    layer = run(dock, qtbot)
    np.testing.assert_allclose(layer.scale, (1, 0.5, 0.5))
    assert any("resampled" in text for _, text in notified())


def test_units_other_than_micrometres(dock):
    layer = dock.viewer.layers["cells"]
    layer.units = ("mm", "nm")
    layer.scale = (PIXEL_UM / 1000, PIXEL_UM * 1000)
    dock.review()
    assert dock.image_facts.text() == "80 × 64 pixels of 0.325 µm"
    assert dock.cautions.text() == ""


def test_pixels_that_are_not_square(dock):
    dock.viewer.layers["cells"].scale = (0.3, 0.4)
    dock.review()
    assert "square" in dock.cautions.text()


def test_an_unknown_pixel_size_is_asked_for_and_written_to_the_layer(open_dock, pixels, qtbot):
    dock = open_dock()
    image = dock.viewer.add_image(pixels, name="bare", translate=(10, 20))
    dock.review()
    assert dock.image.pixel_size.native.isVisibleTo(dock)
    assert dock.image.pixel_size.value == PIXEL_UM
    assert "does not say its pixel size" in dock.cautions.text()
    dock.image.pixel_size.value = 0.3201
    dock.surface.stop.value = dock.surface.start.value

    layer = run(dock, qtbot)
    assert [str(unit) for unit in image.units] == ["micrometer"] * 2
    np.testing.assert_allclose(image.scale, (0.3201, 0.3201))
    np.testing.assert_allclose(image.translate, (3.201, 6.402))
    np.testing.assert_allclose(layer.scale[1:], (0.3201, 0.3201))
    assert not dock.image.pixel_size.native.isVisibleTo(dock)
    notes = layer.metadata["napari-deepz"].provenance.notes
    assert "The image does not say its pixel size; 0.3201 µm was entered by hand." in notes


def test_a_scale_without_units_suggests_the_pixel_size(open_dock, pixels):
    dock = open_dock()
    dock.viewer.add_image(pixels, scale=(0.11, 0.11))
    assert dock.image.pixel_size.value == 0.11
    dock.image.write.native.click()
    dock.review()
    assert dock.image_facts.text() == "80 × 64 pixels of 0.11 µm"


def test_open_model(dock, tmp_path, monkeypatch, notified):
    package = write_tiny_model(tmp_path / "package", name="second", na=0.5)
    archive = tmp_path / "second.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for file in package.iterdir():
            zipped.write(file, file.name)
    for chosen in (archive, package / "model.json"):
        monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_, c=chosen: (str(c), ""))
        dock.model.open.native.click()
        dock.review()
        assert dock.model_facts.text() == model_facts(tiny_spec(name="second", na=0.5))
        assert dock.model.package == (archive if chosen == archive else package)

    (tmp_path / "bad.zip").write_bytes(b"no archive")
    bad = str(tmp_path / "bad.zip")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (bad, ""))
    dock.model.open.native.click()
    assert notified()[-1][0] == "error"
    assert dock.model.package == package


def test_points_need_depth_and_company(dock):
    dock.surface.kind.value = "From a layer"
    dock.review()
    assert "Choose a layer" in dock.cautions.text()
    flat = dock.viewer.add_points(np.zeros((3, 2)), units=("um",) * 2)
    dock.surface.layer.value = flat
    dock.review()
    assert "have no depth" in dock.cautions.text()
    few = dock.viewer.add_points(np.zeros((2, 3)), units=("um",) * 3)
    dock.surface.layer.value = few
    dock.review()
    assert "at least three" in dock.cautions.text()


def test_depths_must_be_as_large_as_the_image(dock):
    depths = add_image(dock, np.zeros((10, 10), np.float32), "depths")
    dock.image.choice.value = dock.viewer.layers["cells"]
    dock.surface.kind.value = "From a layer"
    dock.surface.layer.value = depths
    dock.review()
    assert "same size" in dock.cautions.text()


def test_the_dock_fits_a_small_screen(dock):
    assert dock.minimumSizeHint().height() < 300
    assert dock.minimumSizeHint().width() < 400
