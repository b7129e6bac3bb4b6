from napari_deepz.engine.record import describe_run
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces import Flat, Tilted
from tests.engine.fake_generators import AddDistance, model_of

MODEL = model_of(AddDistance())


def record(surfaces, **more):
    settings = {
        "sampling": Sampling(pixel_size_um=0.5),
        "device": "CPU, 1 thread",
        "notes": ["Mind this."],
    }
    return describe_run(MODEL, surfaces, **settings | more)


def test_a_run_is_recorded_with_what_repeats_it():
    made = record([Flat(-4, 4, 2), Flat(7)], input_name="worm.tif", command="napari-deepz x")
    assert made.kind == "inferred"
    assert (made.model_name, made.model_version, made.model_sha256) == ("known", "1.2", "0" * 64)
    assert (made.input_name, made.command) == ("worm.tif", "napari-deepz x")
    assert made.axial_range_um == (-4, 7)
    assert made.sampling == Sampling(pixel_size_um=0.5)
    assert made.device == "CPU, 1 thread"
    assert made.notes == ("Mind this.",)
    assert [Flat(**surface) for surface in made.surfaces] == [Flat(-4, 4, 2), Flat(7)]


def test_the_range_of_other_surfaces_is_left_open():
    made = record([Flat(3), Tilted(2, 0)])
    assert made.axial_range_um is None
    assert made.surfaces[1] == {
        "kind": "tilted",
        "tilt_x_deg": 2.0,
        "tilt_y_deg": 0.0,
        "offset_um": 0.0,
    }


def test_the_record_survives_json():
    made = record([Flat(-4, 4, 2)])
    assert type(made).from_json(made.to_json()) == made
