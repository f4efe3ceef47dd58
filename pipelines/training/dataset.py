"""The training set in memory: frames of clips and single portraits with what frozen perception says of them."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from mmfa_components.errors import MediaError
from mmfa_components.geometry.compose import similarity
from mmfa_components.geometry.grid import grid_points
from mmfa_components.geometry.rotations import rotate_in_plane


@attrs.frozen(eq=False)
class Pairs:
    """A batch of image pairs of one person each.

    source, driving: (B, 3, S, S) float in [0, 1].  source_rotation, driving_rotation: (B, 3, 3).
    driving_region: (B, 4) landmark square of the driving image, see records.FaceRegions.
    """

    source: Tensor
    driving: Tensor
    source_rotation: Tensor
    driving_rotation: Tensor
    driving_region: Tensor


@attrs.frozen(eq=False)
class FaceClips:
    """All frames of a data set.

    rgb: (T, 3, S, S) uint8.  rotation: (T, 3, 3).  region: (T, 4) landmark squares in pixels.  starts, lengths: (C,) frames of clip c;
    clips of one frame are single portraits.
    """

    rgb: Tensor
    rotation: Tensor
    region: Tensor
    starts: Tensor
    lengths: Tensor

    def to(self, device: torch.device | str) -> FaceClips:
        """The same on another device."""
        return FaceClips(*(getattr(self, f.name).to(device) for f in attrs.fields(FaceClips)))

    @classmethod
    def load(cls, folder: Path, split: str) -> FaceClips:
        """Load every ``*.safetensors`` of one split that prepare.py wrote. Raises MediaError when there is none."""
        parts = []
        for path in sorted((folder / split).glob("*.safetensors")):
            with safe_open(path, framework="pt") as file:
                parts.append({name: file.get_tensor(name) for name in ("rgb", "rotation", "region")})
        if not parts:
            fix = "write it first: python -m pipelines.training.prepare"
            raise MediaError("holds no prepared clips", where=str(folder / split), fix=fix)
        return cls.join(parts)

    @classmethod
    def join(cls, parts: list[dict[str, Tensor]]) -> FaceClips:
        """Join clips given as ``rgb``, ``rotation`` and ``region`` each."""
        lengths = torch.tensor([len(p["rgb"]) for p in parts])
        rgb, rotation, region = (torch.cat([p[name] for p in parts]) for name in ("rgb", "rotation", "region"))
        return cls(rgb, rotation, region, lengths.cumsum(0) - lengths, lengths)

    def pairs(self, count: int, generator: torch.Generator, stills: float = 0.15, flip: bool = True) -> Pairs:
        """Draw pairs: two frames of one clip (longer clips more often, as the square root), or one portrait moved at random.

        ``generator`` is a CPU generator, so that one seed gives the same order on any device.
        """
        device = self.rgb.device
        weight = self.lengths.float().sqrt() * (self.lengths > 1)
        alone = (self.lengths == 1).float()
        if alone.sum() > 0 and weight.sum() > 0:
            weight = weight / weight.sum() * (1 - stills) + alone / alone.sum() * stills
        elif weight.sum() == 0:
            weight = alone
        clip = torch.multinomial(weight.cpu(), count, replacement=True, generator=generator)
        start, length = self.starts.cpu()[clip], self.lengths.cpu()[clip]
        first, second = ((torch.rand(2, count, generator=generator) * length).long() + start).to(device)
        mirrored = torch.rand(count, generator=generator).lt(0.5 if flip else 0.0).to(device)
        source, source_rotation, _ = self._frames(first, mirrored)
        driving, driving_rotation, region = self._frames(second, mirrored)
        random = (2 * torch.rand(2, count, 4, generator=generator) - 1).to(device)
        single = (length == 1).to(device)
        source, source_rotation, _ = _move_singles(source, source_rotation, region, single, random[0])
        driving, driving_rotation, region = _move_singles(driving, driving_rotation, region, single, random[1])
        return Pairs(source, driving, source_rotation, driving_rotation, region)

    def _frames(self, index: Tensor, mirrored: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rgb, rotation, region = self.rgb[index].float() / 255, self.rotation[index], self.region[index]
        side = rgb.shape[-1]
        sign = torch.tensor([-1.0, 1.0, 1.0], device=rgb.device)
        other = rotation * sign[:, None] * sign[None]  # mirror M: M R M
        flipped = region * torch.tensor([-1.0, 1.0, 1.0, -1.0], device=rgb.device)
        flipped = flipped + torch.tensor([float(side), 0.0, 0.0, 0.0], device=rgb.device)
        m = mirrored[:, None]
        return (
            torch.where(m[..., None, None], rgb.flip(-1), rgb),
            torch.where(m[..., None], other, rotation),
            torch.where(m, flipped, region),
        )


def _move_singles(
    rgb: Tensor, rotation: Tensor, region: Tensor, single: Tensor, random: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Move single portraits by random similarities (angle +-0.25 rad, zoom 1 to 1.3, shift +-0.1); leave others as they are."""
    on = single.float()
    angle, zoom = 0.25 * random[:, 0] * on, torch.exp(on * (0.13 + 0.13 * random[:, 1]))
    shift = 0.1 * random[:, 2:] * on[:, None]
    # content moves by y = zoom Rz(angle) x + shift, so output y samples input x = Rz(-angle) (y - shift) / zoom
    inverse = similarity(-angle, 1 / zoom, torch.zeros_like(shift))
    side = rgb.shape[-1]
    grid = grid_points((side, side), rgb.device).view(1, -1, 2) - shift[:, None]
    where = (inverse[:, None, :, :2] * grid[:, :, None, :]).sum(-1).view(-1, side, side, 2)
    moved = functional.grid_sample(rgb, where, padding_mode="reflection", align_corners=False)
    rgb = torch.where(single[:, None, None, None], moved, rgb)
    half = side / 2
    centre = (region[:, :2] / half - 1)[:, None]  # (B, 1, 2)
    forward = similarity(angle, zoom, shift)
    centre = ((forward[:, None, :, :2] * centre[:, :, None, :]).sum(-1) + forward[:, None, :, 2])[:, 0]
    region = torch.cat([(centre + 1) * half, (region[:, 2] * zoom)[:, None], (region[:, 3] + angle)[:, None]], 1)
    return rgb, rotate_in_plane(rotation, angle), region


def save_clip(path: Path, rgb: Tensor, rotation: Tensor, region: Tensor, facts: dict[str, object]) -> None:
    """Write one prepared clip; ``facts`` go into its metadata as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {"rgb": rgb.contiguous(), "rotation": rotation.contiguous(), "region": region.contiguous()}
    save_file(tensors, path, {"facts": json.dumps(facts)})
