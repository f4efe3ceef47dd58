"""The frames of a data set as training reads them: held in memory or on the device, or read from disk as needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor

from cache import RecordCache
from mmfa_components.errors import DatasetError
from mmfa_components.geometry.shape import shape_of
from mmfa_components.geometry.squares import square_of_landmarks
from mmfa_components.losses.guide import CANONICAL_UNITS, GUIDE
from mmfa_components.records import FaceFrames, MeshLandmarks
from mmfa_components.registry import load_registry
from pipelines.datasets.index import STORE, ClipEntry, DatasetIndex

REGION_RATIO = 2 / 3
"""Height of the landmarks over the side of the region the landmark network looks at."""
ROOM = 0.5
"""Share of the free memory that frames may take for hold = "auto"."""
READERS = 4

Images = Callable[[Tensor], Tensor]
"""Frame numbers (B,) -> images (B, 3, S, S) uint8."""


@attrs.frozen(eq=False)
class Varied:
    """Frames with all that changes when they are mirrored or moved, in pixels.

    rgb: (B, 3, S, S), uint8 as stored or float in [0, 1].  rotation: (B, 3, 3).  region: (B, 4).  guide: (B, G, 2).  place: (B, 3).
    shape: (B, 107, 3), which nothing moves.
    """

    rgb: Tensor
    rotation: Tensor
    region: Tensor
    guide: Tensor
    place: Tensor
    shape: Tensor

    def to(self, device: torch.device) -> Varied:
        """The same on ``device``."""
        return Varied(*(t.to(device, non_blocking=True) for t in attrs.astuple(self, recurse=False)))


@attrs.frozen(eq=False)
class FaceClips:
    """All frames of one split of a data set, numbered through.

    images: reads frames by number.  rotation: (T, 3, 3).  region: (T, 4) landmark squares in pixels of the crops.
    guide: (T, G, 2) the landmarks of losses.guide, in pixels of the crops.
    place: (T, 3) where the canonical face is: x, y and the length of one unit of canonical keypoints, in pixels of the crops.
    shape: (T, 107, 3) shapes of geometry.shape.
    starts, lengths: (C,) first frame and length of every clip, on the CPU; clips of one frame are single portraits.
    """

    images: Images
    rotation: Tensor
    region: Tensor
    guide: Tensor
    place: Tensor
    shape: Tensor
    starts: Tensor
    lengths: Tensor

    def __len__(self) -> int:
        return len(self.rotation)

    def frames(self, index: Tensor) -> Varied:
        """The frames of numbers (B,)."""
        at = index.to(self.rotation.device)
        return Varied(self.images(index), self.rotation[at], self.region[at], self.guide[at], self.place[at], self.shape[at])

    @classmethod
    def join(cls, parts: Iterable[dict[str, Tensor]], device: torch.device | str = "cpu") -> FaceClips:
        """Join clips in memory, each given as ``rgb`` (n, 3, S, S) uint8, ``rotation`` (n, 3, 3), ``region`` (n, 4),
        ``guide`` (n, G, 2), ``place`` (n, 3) and ``shape`` (n, 107, 3).
        """
        parts = list(parts)
        lengths = torch.tensor([len(p["rgb"]) for p in parts])
        names = ("rgb", "rotation", "region", "guide", "place", "shape")
        rgb, rotation, region, guide, place, shape = (torch.cat([p[name] for p in parts]).to(device) for name in names)
        return cls(InMemory(rgb), rotation, region, guide, place, shape, lengths.cumsum(0) - lengths, lengths)


@attrs.frozen(eq=False)
class InMemory:
    """Images held as one tensor (T, 3, S, S) uint8 on any device."""

    rgb: Tensor

    def __call__(self, index: Tensor) -> Tensor:
        """Images of frame numbers."""
        return self.rgb[index.to(self.rgb.device)]


class OnDisk:
    """Images read from the stored clips as needed, several at a time; one frame is one chunk of the store."""

    def __init__(self, clips: Sequence[Any], starts: Tensor) -> None:
        self.clips, self.starts = clips, starts
        self.pool = ThreadPoolExecutor(READERS, thread_name_prefix="mmfa-read")

    def __call__(self, index: Tensor) -> Tensor:
        """Images of frame numbers."""
        return torch.stack(list(self.pool.map(self._one, index.tolist())))

    def _one(self, frame: int) -> Tensor:
        clip = int(torch.searchsorted(self.starts, frame, right=True)) - 1
        at = frame - int(self.starts[clip])
        rgb: Tensor = self.clips[clip].read_field("rgb", at, at + 1)[0]
        return rgb


def load_clips(folder: Path, split: str, hold: str, device: torch.device, tell: Callable[[int], None] = lambda frames: None) -> FaceClips:
    """One split of a data set. ``tell`` is told the number of frames read since the last call.

    Raises DatasetError when the data set is missing, damaged, or holds nothing of this split.
    """
    index = DatasetIndex.read(folder)
    entries = [c for c in index.clips if c.split == split]
    if not entries:
        raise DatasetError(f"holds no clips of the split {split!r}", where=str(folder), fix="prepare more files, or raise split.val_share")
    store = RecordCache(folder / STORE, "read")
    stored = [_open(store, entry, folder) for entry in entries]
    lengths = torch.tensor([len(clip) for clip in stored])
    starts = lengths.cumsum(0) - lengths
    total = int(lengths.sum())
    place = choose_place(hold, total * 3 * index.crop**2, device)
    rgb = torch.empty(0, dtype=torch.uint8) if place == "disk" else torch.empty(total, 3, index.crop, index.crop, dtype=torch.uint8)
    if place == "device":
        rgb = rgb.to(device)
    fit = load_registry().context(torch.device("cpu"), torch.float32).build("rotation_estimator", "facemesh", {})
    rotations, regions, guides, places, shapes = [], [], [], [], []
    for clip, start in zip(stored, starts.tolist(), strict=True):
        rotations.append(clip.read_field("rotation"))
        points = clip.read_field("points")
        regions.append(square_of_landmarks(points, REGION_RATIO))
        guides.append(points[:, list(GUIDE), :2])
        mesh = MeshLandmarks(points, points.new_ones(len(points)))
        solved = fit.solve(mesh)
        _, scale, translation = solved
        shapes.append(shape_of(fit.frontal(mesh, solved)))
        places.append(torch.cat([translation[:, :2], CANONICAL_UNITS * scale[:, None]], 1))
        if place != "disk":
            rgb[start : start + len(clip)] = clip.read_field("rgb").to(rgb.device)
        tell(len(clip))
    images: Images = OnDisk(stored, starts) if place == "disk" else InMemory(rgb)
    rotation, region, guide, standing, shape = (torch.cat(part) for part in (rotations, regions, guides, places, shapes))
    return FaceClips(images, rotation, region, guide, standing, shape, starts, lengths)


def choose_place(hold: str, size: int, device: torch.device) -> str:
    """Where frames of ``size`` bytes go: as asked, or for "auto" device, memory or disk, whichever has room first."""
    if hold == "device":
        return "device" if device.type == "cuda" else "memory"
    if hold != "auto":
        return hold
    if device.type == "cuda" and size < ROOM * torch.cuda.mem_get_info(device)[0]:
        return "device"
    return "memory" if size < ROOM * _free_memory() else "disk"


def _free_memory() -> int:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 4 * 1024**3  # not Linux: assume little


def _open(store: RecordCache, entry: ClipEntry, folder: Path) -> Any:
    stored = store.open_digest(entry.key, FaceFrames)
    if stored is None:
        fix = "prepare the data set again: what is whole is kept"
        raise DatasetError(f"{entry.file} is missing from the store or damaged", where=str(folder), fix=fix)
    return stored

