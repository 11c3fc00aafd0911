"""Parameters of every class of tied activations: fixed by a kernel, known beforehand, or observed on samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .calibrate import Array, Sample, observe
from .histogram import Histogram
from .observers import HistogramObserver, MinMax, Observer, make_observer
from .qparams import QParams, affine
from .tying import TensorClass, Tying

if TYPE_CHECKING:
    from onnx import ModelProto

    from ..progress import Progress


@dataclass(frozen=True)
class Observed:
    """Observers by class index and name; classes that need none are absent. Several names: all saw the same."""

    tying: Tying
    observers: Mapping[int, Mapping[str, Observer]]
    constants: Mapping[str, Array]

    def parameters(self, observer: str) -> tuple[QParams, ...]:
        """int8 parameters of each class under one observer; min-max for the model's outputs.

        A clipped logit or regression value is an error nothing behind it can make good, and the largest
        logits decide; so outputs, and what a final softmax reads, keep all they took on the samples.
        """
        return tuple(
            self._of_class(index, group, observer) for index, group in enumerate(self.tying.classes)
        )

    def _of_class(self, index: int, group: TensorClass, observer: str) -> QParams:
        if group.fixed is not None:
            return group.fixed
        low, high = 0.0, 0.0
        if index in self.observers:
            held = self.observers[index]
            low, high = held[MinMax.name if group.is_output else observer].range()
        for key in group.constants:  # stored under the class's parameters: they must fit
            values = self.constants[key]
            low = min(low, float(values.min(initial=0.0)))
            high = max(high, float(values.max(initial=0.0)))
        return affine(low, high)


def observe_classes(
    hub: ModelProto,
    tying: Tying,
    constants: Mapping[str, Array],
    samples: Sequence[Sample],
    names: Sequence[str],
    options: Mapping[str, Mapping[str, Any]],
    progress: Progress | None = None,
) -> Observed:
    """Run the float hub over all samples and let every class be observed.

    Args:
        hub: float hub.
        tying: its classes.
        constants: values of the constants that belong to classes, by the name the classes have them.
        samples: checked samples.
        names: observers to use; those on histograms share one per class.
        options: observer name -> options of `make_observer`.
        progress: told about every sample.
    """
    groups = {
        index: group.sources
        for index, group in enumerate(tying.classes)
        if group.fixed is None and group.sources
    }
    observers: dict[int, dict[str, Observer]] = {}
    watching: dict[int, list[Observer]] = {}
    for index in groups:
        wanted = (MinMax.name,) if tying.classes[index].is_output else tuple(names)
        observers[index], watching[index] = _observers(wanted, options)
    observe(hub, samples, groups, watching, progress)
    return Observed(tying, observers, constants)


def _observers(
    names: Sequence[str], options: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, Observer], list[Observer]]:
    """(all observers by name, those that must be shown the values: one per shared histogram)."""
    histogram = Histogram()
    made: dict[str, Observer] = {}
    watching: list[Observer] = []
    shown = False
    for name in names:
        observer = make_observer(name, **options.get(name, {}))
        made[name] = observer
        if isinstance(observer, HistogramObserver):
            observer.histogram = histogram
            if shown:
                continue
            shown = True
        watching.append(observer)
    return made, watching
