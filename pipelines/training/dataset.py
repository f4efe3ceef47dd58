"""The frames of a data set as training reads them.

They are held in memory or on the device, or read from disk as needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cache import RecordCache
from mmfa_components.errors import DatasetError
from mmfa_components.records import FaceFrames
from mmfa_components.registry import load_registry
from mmfa_components.training.clips import FaceClips, Images, InMemory
from mmfa_components.training.labels import Label, StoredFaces
from pipelines.datasets.index import STORE, ClipEntry, DatasetIndex

ROOM = 0.5
"""Share of the free memory that frames may take for hold = "auto"."""
READERS = 4


class OnDisk:
    """Images read from the stored clips as needed; one frame is one chunk of the store."""

    def __init__(self, clips: Sequence[Any], starts: Tensor) -> None:
        self.clips, self.starts = clips, starts
        self.pool = ThreadPoolExecutor(READERS, thread_name_prefix="mmfa-read")

    def __call__(self, index: Tensor) -> Tensor:
        """Images of frame numbers, several read at a time."""
        return torch.stack(list(self.pool.map(self._one, index.tolist())))

    def _one(self, frame: int) -> Tensor:
        clip = int(torch.searchsorted(self.starts, frame, right=True)) - 1
        at = frame - int(self.starts[clip])
        rgb: Tensor = self.clips[clip].read_field("rgb", at, at + 1)[0]
        return rgb


def load_clips(
    folder: Path,
    split: str,
    hold: str,
    device: torch.device,
    labels: Mapping[str, Label],
    tell: Callable[[int], None] = lambda frames: None,
) -> FaceClips:
    """One split of a data set with the labels of a recipe.

    tell: is told the number of frames read since the last call.
    Raises DatasetError when the data set is missing, damaged, or holds nothing of this split.
    """
    index = DatasetIndex.read(folder)
    entries = [c for c in index.clips if c.split == split]
    if not entries:
        what = f"holds no clips of the split {split!r}"
        raise DatasetError(what, where=str(folder), fix="prepare more files, or raise split.val_share")
    store = RecordCache(folder / STORE, "read")
    stored = [_open(store, entry, folder) for entry in entries]
    lengths = torch.tensor([len(clip) for clip in stored])
    starts = lengths.cumsum(0) - lengths
    total, side = int(lengths.sum()), index.crop
    place = choose_place(hold, total * 3 * side**2, device)
    size = (0,) if place == "disk" else (total, 3, side, side)
    rgb = torch.empty(size, dtype=torch.uint8)
    if place == "device":
        rgb = rgb.to(device)
    context = load_registry().context(torch.device("cpu"), torch.float32)
    fit = context.build("rotation_estimator", "facemesh", {})
    rows: dict[str, list[Tensor]] = {name: [] for name in labels}
    for clip, start in zip(stored, starts.tolist(), strict=True):
        faces = StoredFaces(clip.read_field("rotation"), clip.read_field("points"), fit)
        for name, label in labels.items():
            rows[name].append(label.read(faces))
        if place != "disk":
            rgb[start : start + len(clip)] = clip.read_field("rgb").to(rgb.device)
        tell(len(clip))
    images: Images = OnDisk(stored, starts) if place == "disk" else InMemory(rgb)
    joined = {name: torch.cat(parts) for name, parts in rows.items()}
    return FaceClips(images, joined, starts, lengths)


def choose_place(hold: str, size: int, device: torch.device) -> str:
    """Where frames of ``size`` bytes go.

    As asked, or for "auto" device, memory or disk, whichever has room first.
    """
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
        what = f"{entry.file} is missing from the store or damaged"
        fix = "prepare the data set again: what is whole is kept"
        raise DatasetError(what, where=str(folder), fix=fix)
    return stored
