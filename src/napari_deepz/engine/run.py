"""The work of one run, from a checked image to planes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_deepz.engine.allocation import reused_memory
from napari_deepz.engine.devices import (
    free_device_memory,
    is_out_of_memory,
)
from napari_deepz.engine.encoding import Encoding
from napari_deepz.engine.finishing import note_of_not_finite, on_image_grid
from napari_deepz.engine.planning import PlannedPlane, RefocusPlan, ResourceError
from napari_deepz.engine.resampling import LINEAR, resample
from napari_deepz.engine.scratch import MemoryStore, ScratchFile, TileStore
from napari_deepz.engine.tile_compute import TileCompute
from napari_deepz.surfaces import Surface, out_of_range_mask
from napari_deepz.watch import Progress, Watch

Pixels = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class RefocusedPlane:
    """One virtual image.

    Attributes
    ----------
    data : ndarray
        (Y, X) float32 of the input's shape, in the input's intensity units.
    index : int
        Position among the planes of all surfaces, from 0.
    z_um : float or None
        Axial distance from the input image where it is the same for all pixels.
    surface : Surface
        The surface that the plane lies on.
    out_of_range : ndarray or None
        (Y, X) bool, true where the surface leaves the model's axial range; None where it never
        does.
    device : str
        What computed it, such as "CPU, 2 threads".
    notes : tuple of str
        What has been noticed in the run so far, a sentence each.
    """

    data: Pixels
    index: int
    z_um: float | None
    surface: Surface
    out_of_range: NDArray[np.bool_] | None
    device: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Field:
    """The DPM of a plane on the model's grid (one number where uniform), and its mask."""

    dpm_um: Pixels | float
    out_of_range: NDArray[np.bool_] | None


class RefocusRun:
    """One run: its plan, which gets smaller tiles when memory runs out, and its notes.

    Parameters
    ----------
    source : Encoding
        What is refocused.
    watch : Watch
        Asked between tiles and between the operations of the network, and told the progress,
        counted in tiles of planes, after each.
    make_plan : callable
        Plan for a tile size; None for the default.
    """

    def __init__(
        self,
        source: Encoding,
        watch: Watch,
        make_plan: Callable[[int | None], RefocusPlan],
    ) -> None:
        self.source = source
        self.device_name = source.lens.name
        self.watch = watch
        self.make_plan = make_plan
        self.plan = make_plan(source.tile_px)
        self._said_not_finite = False
        self.notes = list(dict.fromkeys((*source.image.notes, *self.plan.notes)))

    def planes(self) -> Generator[RefocusedPlane, None, None]:
        """Yield every plane; goes on with smaller tiles when memory runs out."""
        if self.source.image.constant is not None:
            yield from self._constant_planes(self.source.image.constant)
            return
        done = 0
        self._progress = self._new_progress(0)
        while done < len(self.plan.planes):
            compute = self.source.compute(self.plan.working_shape)
            spool = self.plan.strategy.startswith("spool")
            planes = self._spooled(compute, done) if spool else self._streamed(compute, done)
            # A generator that does all its work for each plane anew gets the same memory each time.
            again = self.plan.strategy == "encode again"
            try:
                with closing(planes), reused_memory() if again else nullcontext():
                    for plane in planes:
                        yield plane
                        done += 1
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            else:
                return
            # Outside the except clause, where the traceback no longer keeps tensors alive.
            compute.forget()
            self.source.is_complete = False
            free_device_memory(self.source.lens.device)
            self._shrink_tiles()
            self._progress = self._new_progress(done)

    def _new_progress(self, done: int) -> Progress:
        """Progress in tiles of planes, of which some are done, and in tiles to be encoded."""
        tiles, plan = len(self.plan.tiles), self.plan
        preparing = 0
        if plan.strategy == "hold codes" and not self.source.is_complete:
            preparing = tiles
        elif plan.strategy.startswith("spool"):
            left = plan.planes[done:]
            preparing = tiles * sum(group[-1] in left for group in plan.passes)
        return Progress(tiles * len(plan.planes), done=tiles * done, preparing=preparing)

    def _shrink_tiles(self) -> None:
        tile_px = self.plan.smaller_tile_px
        if tile_px is None:
            raise self._too_little_memory()
        self.plan = self.make_plan(tile_px)
        self.source.tile_px = tile_px
        self.notes.append(
            f"{self.device_name} ran out of memory; going on in tiles of {tile_px} pixels."
        )

    def _too_little_memory(self) -> ResourceError:
        name = self.source.lens.model.spec.name
        return ResourceError(
            f"{self.device_name} has too little memory for the model '{name}', even in the "
            "smallest tiles; close other programs that use it, or choose the device 'cpu'."
        )

    def _constant_planes(self, value: float) -> Generator[RefocusedPlane, None, None]:
        for target in self.plan.planes:
            self.watch.check()
            data = np.full(self.plan.image_shape, value, dtype=np.float32)
            yield self._finished(target, self._field(target).out_of_range, data)

    def _streamed(self, compute: TileCompute, first: int) -> Generator[RefocusedPlane, None, None]:
        tiles = self.plan.tiles
        alone, keep = len(tiles) == 1, self.plan.strategy == "hold codes"
        if keep:
            for tile in tiles:
                self.watch.check()
                compute.code(tile, self.watch, alone=alone)
                self._progress.prepare()
                self.watch.on_progress(self._progress)
            self.source.is_complete = True
        for target in self.plan.planes[first:]:
            field = self._field(target)
            data = self._assembled(self._decoded(compute, field, keep))
            yield self._finished(target, field.out_of_range, data)

    def _decoded(self, compute: TileCompute, field: _Field, keep: bool) -> Iterator[Pixels]:
        tiles = self.plan.tiles
        for tile in tiles:
            self.watch.check()
            if keep:
                code = compute.code(tile, self.watch, alone=len(tiles) == 1)
            else:
                code = compute.encode(tile, self.watch)
            yield compute.decode(code, tile, field.dpm_um, self.watch)
            self._advance()

    def _spooled(self, compute: TileCompute, first: int) -> Generator[RefocusedPlane, None, None]:
        tiles, left = self.plan.tiles, self.plan.planes[first:]
        for together in self.plan.passes:
            targets = [target for target in together if target in left]
            if not targets:
                continue
            fields = [self._field(target) for target in targets]
            with self._store() as store:
                for number in range(len(tiles)):
                    self._fill(store, number, compute, fields)
                for row, target in enumerate(targets):
                    self.watch.check()
                    outputs = (store.read(row, number) for number in range(len(tiles)))
                    data = self._assembled(outputs)
                    yield self._finished(target, fields[row].out_of_range, data)

    def _fill(
        self, store: TileStore, number: int, compute: TileCompute, fields: list[_Field]
    ) -> None:
        tile = self.plan.tiles[number]
        self.watch.check()
        code = compute.encode(tile, self.watch)
        self._progress.prepare()
        self.watch.on_progress(self._progress)
        for row, field in enumerate(fields):
            self.watch.check()
            store.write(row, number, compute.decode(code, tile, field.dpm_um, self.watch))
            self._advance()

    def _advance(self) -> None:
        self._progress.advance()
        self.watch.on_progress(self._progress)

    def _store(self) -> TileStore:
        if self.plan.strategy == "spool to memory":
            return MemoryStore()
        return ScratchFile([tile.output_shape for tile in self.plan.tiles])

    def _assembled(self, outputs: Iterable[Pixels]) -> Pixels:
        """Put tiles together; one that is alone is the plane."""
        if len(self.plan.tiles) == 1:
            (alone,) = outputs
            return alone
        canvas = np.zeros(self.plan.working_shape, dtype=np.float32)
        for tile, output in zip(self.plan.tiles, outputs, strict=True):
            tile.add_to(canvas, output)
        return canvas

    def _field(self, target: PlannedPlane) -> _Field:
        shape, axial_range_um = self.plan.image_shape, self.source.lens.model.spec.axial_range_um
        if target.z_um is not None:
            outside = out_of_range_mask(np.array([[target.z_um]]), axial_range_um)
            return _Field(
                target.z_um, None if outside is None else np.broadcast_to(np.True_, shape)
            )
        dpm_um = target.surface.dpm(shape, self.plan.pixel_size_um, target.dpm_index)
        outside = out_of_range_mask(dpm_um, axial_range_um)
        return _Field(resample(dpm_um, self.plan.working_shape, order=LINEAR), outside)

    def _finished(
        self, target: PlannedPlane, out_of_range: NDArray[np.bool_] | None, canvas: Pixels
    ) -> RefocusedPlane:
        data = on_image_grid(canvas, self.plan.image_shape)
        note = note_of_not_finite(
            data,
            f"plane {target.index + 1} of {len(self.plan.planes)}",
            self.source.lens.model.spec.name,
            self.source.lens.compute.precision,
        )
        if note is not None and not self._said_not_finite:
            self._said_not_finite = True
            self.notes.append(note)
        self.source.image.give_back(data)
        return RefocusedPlane(
            data=data,
            index=target.index,
            z_um=target.z_um,
            surface=target.surface,
            out_of_range=out_of_range,
            device=self.device_name,
            notes=tuple(self.notes),
        )
