"""Expression features of a motion cache, without any image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cache import RecordCache
from cache.listing import Entry, entries
from mmfa_components.errors import DatasetError
from mmfa_components.records import Motion
from mmfa_components.training.features import Features


def read_features(folder: Path, weights: str, digest: str) -> Features:
    """All features that an encoder has left in a motion cache; one entry an input.

    weights, digest: name and digest of the encoder's weights file.
    Raises DatasetError when there are none.
    """
    store = RecordCache(folder, "read")
    found: dict[str, Tensor] = {}
    others = 0
    for entry in entries(folder):
        if entry.record_name != Motion.__name__ or entry.fault:
            continue
        if _digests(entry).get(weights) != digest:
            others += 1
            continue
        stored = store.open_digest(entry.digest, Motion)
        name = str(entry.hashed.get("input"))
        # the same clip with other crop options counts once
        if stored is not None and name not in found:
            found[name] = stored.read_field("expression").float()
    if not found:
        left = f"; {others} were made with other weights" if others else ""
        fix = "fill it: mmfa run decompose --set inputs.files='[\"videos/*.mp4\"]' --set cache.folder=FOLDER"
        what = f"holds no motion of these weights ({weights}){left}"
        raise DatasetError(what, where=str(folder), fix=fix)
    rows = [found[name] for name in sorted(found)]
    clip = torch.cat([torch.full((len(r),), i) for i, r in enumerate(rows)])
    return Features(torch.cat(rows), clip, others)


def _digests(entry: Entry) -> dict[str, Any]:
    """Digests of the weights the animator of an entry used, by name."""
    for component in entry.hashed.get("components", []):
        if component.get("kind") == "animator":
            return dict(component.get("weights", {}))
    return {}
