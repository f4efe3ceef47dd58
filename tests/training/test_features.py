"""Features come from the cache alone: entries of the right weights, every clip once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cache import CacheKey, RecordCache
from mmfa_components.errors import DatasetError
from mmfa_components.records import FaceFrames, Motion
from pipelines.training.features import read_features


def motion(frames: int, value: float) -> Motion:
    feature = torch.full((frames, 8), value) + torch.arange(frames)[:, None]
    return Motion(torch.eye(3).expand(frames, 3, 3), torch.ones(frames), torch.zeros(frames, 3), feature)


def put(folder: Path, clip: str, record: Motion, weights: str = "good", ratio: float = 0.5) -> None:
    animator = {"kind": "animator", "name": "mmfa", "version": "1", "options": {}, "weights": {"mmfa_tiny": weights}}
    RecordCache(folder).put(CacheKey.of(Motion, [animator], {"crop_ratio": ratio}, clip, clip), record)


def test_each_clip_counts_once_and_other_weights_do_not(tmp_path: Path) -> None:
    put(tmp_path, "b", motion(3, 10.0))
    put(tmp_path, "a", motion(2, 0.0))
    put(tmp_path, "a", motion(2, 0.0), ratio=0.7)
    put(tmp_path, "c", motion(5, 70.0), weights="other")
    rgb, points = torch.zeros(1, 3, 8, 8, dtype=torch.uint8), torch.zeros(1, 478, 3)
    frames = FaceFrames(rgb, torch.eye(3)[None], points, torch.zeros(1, 4), torch.zeros(1).long())
    RecordCache(tmp_path).put(CacheKey.of(FaceFrames, [], {}, "d", "d"), frames)
    found = read_features(tmp_path, "mmfa_tiny", "good")
    assert found.others == 1
    assert found.feature[:, 0].tolist() == [0, 1, 10, 11, 12]
    assert found.clip.tolist() == [0, 0, 1, 1, 1]


def test_a_cache_without_any_says_how_to_fill_it(tmp_path: Path) -> None:
    put(tmp_path, "c", motion(5, 70.0), weights="other")
    with pytest.raises(DatasetError, match=r"no motion of these weights \(mmfa_tiny\); 1 were made with other weights[^$]*decompose"):
        read_features(tmp_path, "mmfa_tiny", "good")
    with pytest.raises(DatasetError, match="decompose"):
        read_features(tmp_path / "empty", "mmfa_tiny", "good")
