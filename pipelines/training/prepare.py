"""Prepare a training set: ``python -m pipelines.training.prepare MANIFEST.csv FOLDER OUT``.

MANIFEST has the columns ``file`` (video or image, square crops of one face each, relative to FOLDER) and ``split`` (train or val). Every file
becomes ``OUT/<split>/<name>.safetensors`` with its frames, head rotations and landmark regions; files already there are skipped.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmfa_components.errors import MediaError, MMFAError
from mmfa_components.geometry.squares import crop_squares, region_of_detection, square_of_landmarks
from mmfa_components.records import FaceRegions, Frames
from mmfa_components.registry import load_registry
from pipelines.media import open_video, probe, read_image
from pipelines.training.dataset import save_clip

REGION_RATIO = 2 / 3
SIDE = 256


class Perception:
    """Frozen perception: rotation and landmark region of every frame that shows a face."""

    def __init__(self, device: str) -> None:
        registry = load_registry()
        context = registry.context(device)
        kinds = ("face_detector", "landmark_detector", "rotation_estimator")
        self.detect, self.landmarks, self.rotate = (registry.build(kind, "facemesh", None, context) for kind in kinds)
        self.device = device

    @torch.inference_mode()
    def __call__(self, rgb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Frames (n, 3, S, S) uint8 -> indices (m,) of those with a face, rotation (m, 3, 3), region (m, 4)."""
        frames = Frames(rgb.to(self.device).float() / 255)
        faces = self.detect(frames)
        first = [int((faces.image == i).nonzero()[0]) for i in range(len(rgb)) if (faces.image == i).any()]
        kept = faces.image[first]
        if not len(kept):
            return kept.cpu(), torch.zeros(0, 3, 3), torch.zeros(0, 4)
        found = self.landmarks(frames[kept], FaceRegions(region_of_detection(faces.points[first])))
        region = square_of_landmarks(found.points, REGION_RATIO)
        return kept.cpu(), self.rotate(found).matrix.cpu(), region.cpu()


def read_frames(path: Path) -> Tensor:
    """All frames (n, 3, S, S) uint8 of a square crop, scaled to SIDE. Raises MediaError."""
    if probe(path).kind == "image":
        frames = read_image(path).rgb[None]
    else:
        with open_video(path) as reader:
            frames = torch.cat([span.rgb for span in reader.spans(64)])
    height, width = frames.shape[1:3]
    if height != width:
        raise MediaError(f"is {width}x{height}, not square", where=str(path), fix="crop it to one face first")
    frames = frames.permute(0, 3, 1, 2)
    if height == SIDE:
        return frames.contiguous()
    whole = torch.tensor([[height / 2, height / 2, height, 0.0]])
    scaled = [crop_squares(part.float(), whole.expand(len(part), 4), SIDE) for part in frames.split(32)]
    return torch.cat(scaled).round().clamp(0, 255).byte()


def prepare(manifest: Path, folder: Path, out: Path, device: str, report: Any = print) -> int:
    """Prepare every file of the manifest; gives the number of files that were refused (each is reported)."""
    perception, refused = Perception(device), 0
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows, 1):
        target = out / row["split"] / (row["file"].replace("/", "__") + ".safetensors")
        if target.exists():
            continue
        try:
            rgb = read_frames(folder / row["file"])
            parts = [(start, perception(rgb[start : start + 32])) for start in range(0, len(rgb), 32)]
            index = torch.cat([start + kept for start, (kept, _, _) in parts])
            if not len(index):
                raise MediaError("shows no face", where=row["file"], fix="leave it out")
            rotation, region = (torch.cat([p[1][i] for p in parts]) for i in (1, 2))
            save_clip(target, rgb[index], rotation, region, {"file": row["file"], "frames": len(rgb), "kept": len(index)})
            report(f"[{number}/{len(rows)}] {row['file']}: {len(index)} of {len(rgb)} frames")
        except MMFAError as error:
            refused += 1
            report(f"[{number}/{len(rows)}] refused: {error}")
    return refused


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    try:
        refused = prepare(arguments.manifest, arguments.folder, arguments.out, "cuda" if torch.cuda.is_available() else "cpu")
    except (OSError, KeyError) as error:
        parser.exit(2, f"{arguments.manifest}: cannot be used as a manifest ({error})\n  -> give a CSV with the columns file and split\n")
    print(f"{refused} files refused" if refused else "all files prepared")
    return 1 if refused else 0


if __name__ == "__main__":
    raise SystemExit(main())
