"""Feature vectors of clips to learn from, such as expressions of a motion cache."""

from __future__ import annotations

import attrs
import torch
from torch import Tensor

from mmfa_components.errors import DatasetError

WHERE, FIX = "data.cache", "decompose more clips into the cache"


@attrs.frozen(eq=False)
class Features:
    """Rows of clips.

    feature: (T, E).  clip: (T,) number of the clip each row is of.
    others: entries left out as another encoder made them.
    """

    feature: Tensor
    clip: Tensor
    others: int = 0

    def __len__(self) -> int:
        return len(self.feature)

    @property
    def clips(self) -> int:
        """Number of clips."""
        return len(self.clip.unique())


@attrs.frozen(eq=False)
class FeatureRows:
    """Batches of rows. feature: (T, E).  weight: (T,) how often each is drawn."""

    feature: Tensor
    weight: Tensor

    @classmethod
    def of(cls, features: Features, device: torch.device) -> FeatureRows:
        """Every clip counts as the square root of its length."""
        return cls(features.feature.to(device), clip_weights(features.clip))

    def __len__(self) -> int:
        return len(self.feature)

    def batch(self, count: int, generator: torch.Generator, rank: int, world: int, device: torch.device) -> Tensor:
        """See ``training.recipe.Material``: rows (B, E)."""
        index = torch.multinomial(self.weight, count, replacement=True, generator=generator)
        return self.feature[index[rank::world].to(self.feature.device)].to(device)


def split_clips(features: Features, share: float, seed: int, batch: int) -> tuple[Features, Features]:
    """Rows to learn from, and rows of the clips that are held out: ``share`` of them, one at least.

    Whole clips, the same ones for one seed. Raises DatasetError for features that cannot be learnt
    from, or fewer rows than ``batch``.
    """
    feature, clip = features.feature, features.clip
    if not bool(torch.isfinite(feature).all()):
        what, fix = "some features are no finite numbers", "check the animator's weights"
        raise DatasetError(what, where=WHERE, fix=fix)
    clips = clip.unique()
    if len(clips) < 2:
        what = f"features of {len(clips)} clip are there, 2 are needed to hold one out"
        raise DatasetError(what, where=WHERE, fix=FIX)
    if not bool((feature.std(0) > 0).any()):
        what, fix = (
            "all features are the same: there is nothing to learn",
            "check the animator's weights",
        )
        raise DatasetError(what, where=WHERE, fix=fix)
    order = clips[torch.randperm(len(clips), generator=torch.Generator().manual_seed(seed))]
    count = min(len(clips) - 1, max(1, round(share * len(clips))))
    held = torch.isin(clip, order[:count])
    rows = int((~held).sum())
    if rows < batch:
        what = f"{rows} rows are there to learn from, run.batch is {batch}"
        raise DatasetError(what, where=WHERE, fix=FIX)
    return Features(feature[~held], clip[~held]), Features(feature[held], clip[held])


def clip_weights(clip: Tensor) -> Tensor:
    """Weights (T,) to draw rows with: every clip as the square root of its length."""
    _, inverse, counts = clip.unique(return_inverse=True, return_counts=True)
    weights: Tensor = counts[inverse].float().rsqrt()
    return weights
