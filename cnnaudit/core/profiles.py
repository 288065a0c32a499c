"""How many images and resamples a number rests on."""

from __future__ import annotations

from dataclasses import dataclass

from cnnaudit.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Profile:
    """A fixed effort: at most `images` per sample (None: all of them) and `resamples` per resampling test.

    `megapixels` bounds how much of a split is read where a check looks through all of it (None: no bound): 500 are
    10,000 photographs of 224 x 224, or every image of MNIST.
    """

    name: str
    images: int | None
    resamples: int
    megapixels: int | None = None


PROFILES = {
    "quick": Profile("quick", 500, 1_000, megapixels=500),
    "standard": Profile("standard", 2_000, 2_000, megapixels=5_000),
    "deep": Profile("deep", None, 10_000),
}


def profile_named(name: str | Profile) -> Profile:
    """The profile of that name.

    Raises:
        ConfigError: the name is none of `quick`, `standard`, `deep`.
    """
    if isinstance(name, Profile):
        return name
    if name not in PROFILES:
        raise ConfigError(f"profile must be one of {', '.join(PROFILES)}, got {name!r}")
    return PROFILES[name]
