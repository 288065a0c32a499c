"""The report on the kernels of a target: its parts, those that are kept on the disk, and its pages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.pages.output import write
from cnnaudit.report.paths import folder_name
from cnnaudit.report.words import listed, plural
from cnnaudit.topology.dense import BINS, EPS, OVERLAP, SAMPLES, SHARE, MapperSettings
from cnnaudit.units._kind_subject import OptimizedUnits, Subject
from cnnaudit.units.kinds import (
    KINDS,
    Counted,
    Kind,
    count,
    kinds_from_disk,
    kinds_on_disk,
)

if TYPE_CHECKING:
    from cnnaudit.pages.kernels.layer_page import Facts
    from cnnaudit.target import AuditTarget
    from cnnaudit.units import LayerKernels

EXTRA = ("ripser", "umap")  # modules of the extra `topology`


@dataclass(frozen=True)
class Options:
    """What `kernels` is asked for; the names are those of the command's options."""

    layers: tuple[str, ...] = ()
    images: int = 48
    jobs: int = -1
    seed: int = 0
    output: Path = Path("reports")
    clusters: int | None = None
    bins: int = BINS
    overlap: float = OVERLAP
    eps: float = EPS
    min_samples: int = SAMPLES
    crop: float = SHARE
    mapper: Literal["cnnaudit", "kmapper"] = "cnnaudit"

    @property
    def graph(self) -> MapperSettings:
        """How the Mapper graph is made."""
        return MapperSettings(self.bins, self.overlap, self.eps, self.min_samples, self.crop, self.mapper)


def write_kernels(target: AuditTarget, options: Options) -> list[Path]:
    """Write `<output>/<target>/kernels/index.html` and two pages for each layer; returns the paths, the index first.

    What is finished is kept in `work` beside them, a file for each kind of unit and for each layer; a report that is
    asked for again continues from there and comes out the same.

    Raises:
        LayerError: the model has no such convolution.
        UnsupportedError: no convolution has spatial kernels, the model hides its calls, or a library is missing.
        ModelError: kernels with NaN.
        DataError: the target has no images.
    """
    from cnnaudit.core.progress import progress
    from cnnaudit.pages.kernels.index import index_page
    from cnnaudit.pages.kernels.layer_page import page_names

    _require()
    if not target.inside:
        raise UnsupportedError(target.inside_reason or "the model's inside cannot be observed")
    subject, chosen, left_out = _subject(target, options)
    work = _Work(_folder(target, options), target, subject, options)
    counted: list[Counted] = []
    layers: dict[str, Facts] = {}
    for done in progress(work.all(chosen), f"kernels of {target.name}", total=len(KINDS) + len(chosen)):
        if isinstance(done, Counted):
            counted.append(done.only([kernels.layer for kernels in chosen]))
        else:
            layers[done.layer] = done
    ordered = [layers[kernels.layer] for kernels in chosen]
    index = work.folder / "index.html"
    write({index: index_page(target.name, ordered, counted, left_out, len(subject.images))})
    names = [name for kernels in chosen for name in page_names(kernels.layer)]
    return [index, *(path for name in names if (path := work.folder / name).exists())]


def _folder(target: AuditTarget, options: Options) -> Path:
    return options.output / folder_name(target.name) / "kernels"


def _require() -> None:
    import importlib.util

    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise UnsupportedError(f'the report needs {" and ".join(missing)}: pip install "cnnaudit[topology]"')


def _subject(target: AuditTarget, options: Options) -> tuple[Subject, list[LayerKernels], str]:
    """What is asked, the layers of it, and which are left out."""
    from cnnaudit.units import kernels

    split = "validation" if "validation" in target.splits or not target.splits else "train"
    images = target.sample(split, options.images, options.seed)[0].to(target.device)
    every = kernels(target.model, images[:1])
    chosen = _chosen(every, options.layers)
    spatial = [one for one in chosen if one.spatial]
    if not spatial:
        raise UnsupportedError(f"{_flat(chosen)}; there is no other convolution to report on")
    names = tuple(one.layer for one in every if one.spatial)
    subject = Subject(target.model, images, names, options.seed, _optima(target, names, options))
    lines = [one for one in spatial if min(one.size) == 1]
    left_out = [_flat(chosen)] if len(spatial) < len(chosen) else []
    if lines and len(lines) < len(spatial) and not options.layers:
        spatial = [one for one in spatial if min(one.size) > 1]
        left_out.append(f"{plural(len(lines), 'layer')} of one row or column left out; name them with --layers")
    return subject, spatial, "".join(f"{said}. " for said in left_out).strip()


def _flat(layers: Sequence[LayerKernels]) -> str:
    flat = [one.layer for one in layers if not one.spatial]
    said = f"such as {listed(flat[:3])}" if len(flat) > 3 else listed(flat)
    return f"{plural(len(flat), 'layer')} of 1x1 kernels left out, which have no shape: {said}"


def _optima(target: AuditTarget, layers: Sequence[str], options: Options) -> dict[str, OptimizedUnits]:
    """The optimized images that `cnnaudit atlas` has left beside the report, by its own settings."""
    from cnnaudit.pages.atlas import kept_maxima
    from cnnaudit.pages.atlas.files import settings_of

    folder = options.output / folder_name(target.name) / "atlas" / "work"
    if not folder.is_dir():
        return {}
    kept = kept_maxima(target, settings_of(target), layers, folder)
    return {layer: OptimizedUnits(one.units[~one.dead], one.images[~one.dead]) for layer, one in kept.items()}


def _chosen(every: Sequence[LayerKernels], asked: Sequence[str]) -> list[LayerKernels]:
    """The layers that are asked for, in the order of the network."""
    import difflib

    from cnnaudit.interventions import LayerError

    names = [one.layer for one in every]
    for name in asked:
        if name not in names:
            near = difflib.get_close_matches(name, names, 3, 0.4) or names[:8]
            raise LayerError(f"--layers: no convolution is called {name!r}; there is {', '.join(near)}")
    return [one for one in every if not asked or one.layer in asked]


class _Work:
    """The parts of a report: kinds of units, then layers; what is on the disk under the same settings is read."""

    def __init__(self, folder: Path, target: AuditTarget, subject: Subject, options: Options) -> None:
        self.folder, self._target, self._subject, self._options = folder, target.name, subject, options
        self._digest = _digest(target, subject)

    def all(self, chosen: Sequence[LayerKernels]) -> Iterator[Counted | Facts]:
        """Every part, as it is finished."""
        counted = []
        for kind in KINDS:
            counted.append(self._kind(kind))
            yield counted[-1]
        yield from self._layers(chosen, counted)

    def _kind(self, kind: Kind) -> Counted:
        path = self._path(kind.name, self._digest)
        if (stored := _read(path)) is not None:
            return kinds_from_disk(kind, stored)
        found = count(kind, self._subject)
        _write({path: kinds_on_disk(found)})
        return found

    def _layers(self, chosen: Sequence[LayerKernels], counted: Sequence[Counted]) -> Iterator[Facts]:
        import joblib

        waiting = []
        for kernels in chosen:
            facts = self._finished(kernels.layer)
            if facts is None:
                waiting.append(kernels)
            else:
                yield facts
        waiting.sort(key=lambda kernels: -kernels.weights.size)  # the longest first, so that no core waits at the end
        jobs = max(1, min(joblib.cpu_count() if self._options.jobs == -1 else self._options.jobs, len(waiting)))
        yield from joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(
            joblib.delayed(_layer)(
                self._target, kernels, counted, self._options, self.folder, self._facts(kernels.layer)
            )
            for kernels in waiting
        )

    def _finished(self, layer: str) -> Facts | None:
        from cnnaudit.pages.kernels.layer_page import Facts, page_names

        stored = _read(self._facts(layer))
        if stored is None or not (self.folder / page_names(layer)[0]).exists():
            return None
        return Facts(**{**stored, "size": tuple(stored["size"])})

    def _facts(self, layer: str) -> Path:
        return self._path(folder_name(layer), f"{self._digest} {layer} {self._options.clusters} {self._options.graph}")

    def _path(self, name: str, said: str) -> Path:
        return self.folder / "work" / f"{name}-{hashlib.sha256(said.encode()).hexdigest()[:12]}.json"


def _layer(
    target: str, kernels: LayerKernels, counted: Sequence[Counted], options: Options, folder: Path, stored: Path
) -> Facts:
    """One layer, examined and written: its pages and its facts at once, so that none is without the others."""
    from cnnaudit.pages.kernels.layer import examine
    from cnnaudit.pages.kernels.layer_page import facts, graph_page, layer_page, page_names

    found = examine(kernels, options.seed, options.clusters, options.graph)
    page, graph = (folder / name for name in page_names(kernels.layer))
    files = {page: layer_page(target, found, counted)}
    if found.dense is not None:
        files[graph] = graph_page(target, found)
    known = facts(found)
    _write({**files, stored: asdict(known)})
    return known


def _digest(target: AuditTarget, subject: Subject) -> str:
    """All that the report depends on, as text."""
    import torch

    from cnnaudit import __version__

    digest = hashlib.sha256(f"{__version__} {target.name} {subject.seed}".encode())
    state: dict[str, torch.Tensor] = {**target.model.state_dict(), "images": subject.images}
    for layer, optima in subject.optima.items():
        digest.update(f"{layer} {optima.units.tolist()}".encode())
    for name, value in state.items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _read(path: Path) -> dict[str, Any] | None:
    """What is kept; None where it is missing or damaged, so that it is made again."""
    try:
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return kept


def _write(files: dict[Path, Any]) -> None:
    write({path: content if isinstance(content, str) else json.dumps(content) for path, content in files.items()})
