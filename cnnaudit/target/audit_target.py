"""A target: a model together with its data, as every check sees it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from cnnaudit.core.errors import AuditError, DataError, ModelError
from cnnaudit.core.expectations import Expectation
from cnnaudit.core.memory import CPU_BATCH_PIXELS, out_of_memory
from cnnaudit.core.statistics import generator

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

LABELED = ("train", "validation")
PRODUCTION = "production"  # the split whose images may have no labels


@dataclass(frozen=True, slots=True)
class InputSpec:
    """How an image file becomes the pixels in [0, 1] that `AuditTarget.model` takes.

    Attributes:
        channels: 1 (gray) or 3 (RGB) where images are pictures; up to 64 where they come as arrays.
        size: height and width in pixels.
        resize: shorter side after resizing, before the crop; None: resize straight to `size`.
        interpolation: `nearest`, `bilinear`, `bicubic` or `lanczos`.
        order, scale, mean, std: what the user's network wants; applied inside `AuditTarget.model`.
        already: `normalized` where a callable's tensors are as the network wants them; they are turned back to [0, 1].
        white: the value of white in stored pixels of more than 8 bits; `file`: each file's own largest; `auto`: the
            full scale of 8, 10, 12, 14 or 16 bits that the split's files need; None: that of their type.
    """

    channels: int
    size: tuple[int, int]
    resize: int | None = None
    interpolation: str = "bilinear"
    order: str = "RGB"
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    already: str | None = None
    white: float | str | None = None


@dataclass(frozen=True, slots=True)
class Claims:
    """What the classifier promises; None and False: nothing claimed.

    Attributes:
        accuracy: share of right predictions, in (0, 1].
        rotation_degrees: predictions hold while an image is turned by up to that angle, either way.
        translation_pixels: they hold while it is shifted by up to that many pixels, in each axis and either way.
        scale: a factor above 1; they hold while it is shown up to that many times larger or smaller.
        noise: they hold under Gaussian noise of up to that standard deviation, for pixels in [0, 1].
        polarity: they hold when black and white are exchanged.
        independent_of: they rest on none of these cues: `color`, `tone`, `spectrum`, `noise`, `compression`, `file`.
        calibrated: mean confidence and accuracy differ by at most so much.
        corruption_accuracy: accuracy, on average over the common corruptions at all severities.
        pipeline_changes: at most this share of predictions changes where images are decoded or resized otherwise.
        negative_flips: at most this share of images is right under the previous model and wrong under this one.
    """

    accuracy: float | None = None
    rotation_degrees: float | None = None
    translation_pixels: int | None = None
    scale: float | None = None
    noise: float | None = None
    polarity: bool = False
    independent_of: tuple[str, ...] = ()
    calibrated: float | None = None
    corruption_accuracy: float | None = None
    pipeline_changes: float | None = None
    negative_flips: float | None = None


class Split(Protocol):
    """Labelled images, read when they are asked for."""

    @property
    def labels(self) -> np.ndarray:
        """int64 labels of shape (N,), in 0..K-1; all -1 in a production split without labels."""

    @property
    def metadata(self) -> Mapping[str, np.ndarray]:
        """Columns that describe the images (scanner, site …), each of shape (N,); empty without a metadata file."""

    def read(self, indices: np.ndarray) -> torch.Tensor:
        """The images at those positions: float32 (n, C, H, W) in [0, 1]."""

    def name(self, index: int) -> str:
        """The file of that image, or a name such as `train[17]`."""

    def properties(self, indices: np.ndarray) -> Mapping[str, np.ndarray]:
        """Facts about the files that are not pixels (`file_size`, `format`), each (n,); empty for arrays."""


@dataclass(frozen=True, eq=False)
class AuditTarget:
    """A model and its data; the model takes pixels in [0, 1] and answers logits (N, K).

    Attributes:
        splits: `train`, `validation` and `production`, whichever exist.
        inside: whether the model's calls can be observed (not so for TorchScript and ONNX); see `inside_reason`.
        check_modules: somebody else's modules of checks that the target's file names.
        ignore: patterns of check ids that the target's file leaves out.
        overrides: per check id, the file's `tolerance` and `gate`.
        previous: the model that this one replaces, with the same data and classes; None: the file names none.

    Example:
        >>> import torch
        >>> images, labels = torch.rand(6, 1, 4, 4), torch.arange(6) % 2
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
        >>> target = AuditTarget.from_arrays("demo", net, {"validation": (images, labels)}, classes=("a", "b"))
        >>> target.logits(images).shape
        torch.Size([6, 2])
    """

    name: str
    model: torch.nn.Module
    classes: tuple[str, ...]
    input: InputSpec
    splits: Mapping[str, Split]
    claims: Claims = Claims()
    device: str = "cpu"
    batch_size: int = 64
    seed: int = 0
    inside: bool = True
    inside_reason: str = ""
    check_modules: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    expected: tuple[Expectation, ...] = ()
    source: str = ""
    previous: AuditTarget | None = None
    _cache: dict[Any, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_arrays(
        cls,
        name: str,
        model: torch.nn.Module,
        splits: Mapping[str, tuple[Any, Any]],
        classes: Sequence[str],
        metadata: Mapping[str, Mapping[str, np.ndarray]] | None = None,
        **settings: Any,
    ) -> AuditTarget:
        """A target from a module and arrays in memory: `splits` maps a split's name to (images, labels).

        Images are float (N, C, H, W) in [0, 1] or uint8; the module is put into `eval()` mode and asked about two of
        them. Where it answers more than logits, such as `ImageClassifierOutput`, only they are kept.

        Raises:
            DataError: images and labels do not fit each other, the classes, `input`, or the other split's images.
            ModelError: the module does not answer logits of the classes.
        """
        from cnnaudit.target.arrays import ArraySplit
        from cnnaudit.target.probe import ready

        if not splits or not all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in splits.values()):
            raise DataError(f"{name}: expected splits such as {{'validation': (images, labels)}}")
        if unknown := sorted(set(metadata or {}) - set(splits)):
            raise DataError(f"{name}: metadata for {unknown}, but the splits are {sorted(splits)}")
        read = {
            key: ArraySplit(key, images, labels, len(classes), (metadata or {}).get(key, {}))
            for key, (images, labels) in splits.items()
        }
        first = next(iter(read.values()))
        shape = first.shape
        spec = settings.pop("input", InputSpec(channels=shape[0], size=(shape[1], shape[2])))
        for key, split in read.items():
            if split.shape != (expected := (spec.channels, *spec.size)):
                raise DataError(f"{key}: expected images of {expected} (channels, height, width), got {split.shape}")
        model = ready(
            name, model, first.read(np.array([0, len(first.labels) - 1])), classes, settings.get("device", "cpu")
        )
        return cls(name=name, model=model, classes=tuple(classes), input=spec, splits=read, **settings)

    def remember(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make()` returns, computed once for this target; a target that is replaced remembers nothing."""
        if key not in self._cache:
            self._cache[key] = make()
        result: T = self._cache[key]
        return result

    def split(self, name: str) -> Split:
        """The split of that name.

        Raises:
            DataError: the target has no such split.
        """
        if name not in self.splits:
            raise DataError(
                f"{self.name}: no {name!r} split; it has {sorted(self.splits)}. Set data.{name} in the audit file"
            )
        return self.splits[name]

    def draw(self, split: str, n: int | None, seed: int = 0) -> np.ndarray:
        """Positions of a stratified sample without replacement, ascending, shape (at most n,); None: all.

        Each class gets its proportional share, and at least one image while `n` allows. The draw depends on the seed,
        the split and its labels, not on the target's name or the order of the classes: two versions of a model are
        asked about the same images.
        """
        labels = np.asarray(self.split(split).labels)
        if n is None or n >= len(labels):
            return np.arange(len(labels))
        rng = generator(seed, "sample", split, len(labels))
        shuffled = rng.permutation(len(labels))
        rank = np.empty(len(labels))
        for label in np.unique(labels):
            members = shuffled[labels[shuffled] == label]
            rank[members] = np.arange(len(members)) / len(members)
        return np.sort(np.lexsort((rng.random(len(labels)), rank))[:n])

    def sample(self, split: str, n: int | None = None, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        """A stratified sample: images float32 (n, C, H, W) in [0, 1] and labels int64 (n,).

        The last sample of each split is kept, so checks that share a seed read the files once.
        """
        import torch

        key = ("sample", split)
        if self._cache.get(key, (None,))[0] != (n, seed):
            indices = self.draw(split, n, seed)
            labels = torch.as_tensor(np.asarray(self.split(split).labels)[indices])
            self._cache[key] = ((n, seed), (self.split(split).read(indices), labels))
        images, labels = self._cache[key][1]
        return images, labels

    def predictions(self, split: str, n: int | None = None, seed: int = 0) -> torch.Tensor:
        """The logits (n, K) of `sample(split, n, seed)`, computed once."""
        return self.remember(("logits", split, n, seed), lambda: self.logits(self.sample(split, n, seed)[0]))

    def predicted(self, split: str, n: int | None = None, seed: int = 0) -> bool:
        """Whether `predictions(split, n, seed)` were computed already."""
        return ("logits", split, n, seed) in self._cache

    def logits(self, images: torch.Tensor, description: str = "") -> torch.Tensor:
        """The model's logits, float32 (N, K) on the CPU, in batches that halve when memory runs out.

        `description` names a progress bar for long work.

        Raises:
            ModelError: the model raises, its answer holds NaN or infinity, or has another shape than (N, K).
        """
        import torch

        from cnnaudit.core.progress import progress

        answers: list[torch.Tensor] = []
        size, start = self.batch_size, 0
        if self.device == "cpu" and images.ndim == 4:
            size = max(1, min(size, CPU_BATCH_PIXELS // (images.shape[2] * images.shape[3])))
        steps = progress(range(0, len(images), size), description) if description else None
        with torch.inference_mode(False), torch.no_grad():  # what a model keeps of a pass is for later ones too
            while start < len(images):
                batch = images[start : start + size]
                try:
                    answer = self.model(batch.to(self.device, copy=True))  # it may write into them
                except AuditError:
                    raise
                except Exception as error:
                    if size == 1 or not out_of_memory(error):
                        raise ModelError(
                            f"{self.name}: the model raised {type(error).__name__} on a batch of shape "
                            f"{tuple(batch.shape)}: {error}"
                        ) from error
                    size //= 2
                    continue
                answers.append(self._checked(answer, len(batch)))
                start += len(batch)
                if steps is not None:
                    next(steps, None)
        return torch.cat(answers) if answers else torch.empty(0, len(self.classes))

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from cnnaudit.core.notebook import facts_html

        size = " x ".join(map(str, self.input.size))
        facts = [
            ("model", type(self.model).__name__),
            ("classes", ", ".join(self.classes[:12]) + (", …" if len(self.classes) > 12 else "")),
            ("input", f"{size} pixels, {self.input.channels} channel(s)"),
            *((name, f"{len(split.labels):,} images") for name, split in self.splits.items()),
            ("device", self.device),
            ("audit file", self.source),
        ]
        return facts_html(self.name, facts)

    def _checked(self, answer: Any, n: int) -> torch.Tensor:
        """The answer as float32 on the CPU, refused where it is not finite logits of shape (n, K)."""
        import torch

        expected = (n, len(self.classes))
        if not isinstance(answer, torch.Tensor) or tuple(answer.shape) != expected:
            got = tuple(answer.shape) if isinstance(answer, torch.Tensor) else type(answer).__name__
            raise ModelError(f"{self.name}: expected logits of shape {expected}, the model returned {got}")
        logits: torch.Tensor = answer.detach().to("cpu", torch.float32)
        if not torch.isfinite(logits).all():
            raise ModelError(f"{self.name}: the model returned NaN or infinite logits for {n} images in [0, 1]")
        return logits
