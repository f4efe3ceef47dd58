"""The 2D face alignment network (Bulat, Tzimiropoulos: How far are we from solving the 2D & 3D face alignment problem?, 2017).

Network and decoding of the heat maps are the package's. Its ``FaceAlignment`` class is not used: it downloads a missing network by
itself, sees one image at a time and rounds points to whole pixels. The input crop is cut out of the frames by our own
``crop_squares``, placed as the package places it around a face box, so rotated regions, batches and devices work as elsewhere.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from mmfa_components import records as r
from mmfa_components.errors import PackageError, WeightsError
from mmfa_components.geometry.squares import crop_squares, from_crop
from mmfa_components.kinds import Context
from mmfa_components.torch_weights import load_state_dict_file

FILE = "2DFAN4-11f355bf06.pth.tar"
FIX = (
    f"download {FILE} from www.adrianbulat.com/downloads/python-fan/ into $TORCH_HOME/hub/checkpoints (default:"
    " ~/.cache/torch/hub/checkpoints), or give its path as the option `weights`"
)
STACKS = 4
REGION_OVER_BOX = 1.5  # our regions hold a face box and a quarter of its size on each side
CROP_OVER_BOX = 2 * 200 / 195  # the package: side 200 * (width + height) / 195 of the face box
RAISED = 0.12  # the package: centre raised by this share of the box's height


def hub_file() -> Path:
    """Where the package itself would look for the network."""
    return Path(torch.hub.get_dir()) / "checkpoints" / FILE


def check_package() -> None:
    """Raises PackageError when the package is not installed."""
    if find_spec("face_alignment") is None:
        fix = "pip install 'mmfa[face-alignment]'"
        raise PackageError("the package face-alignment is not installed", where="landmark_detector.face_alignment", fix=fix)


def weights_file(weights: str) -> Path:
    """The user's file, or where the package would look for it. Raises WeightsError when it is not there."""
    path = Path(weights).expanduser() if weights else hub_file()
    if not path.is_file():
        raise WeightsError("the face-alignment network is not there, and none is shipped", where=str(path), fix=FIX)
    return path


def network_squares(squares: Tensor) -> Tensor:
    """Squares (N, 4) the network looks at, from face regions (N, 4)."""
    centre, side, angle = squares[:, :2], squares[:, 2:3], squares[:, 3:]
    box = side / REGION_OVER_BOX
    up = torch.cat([angle.sin(), -angle.cos()], 1)  # (N, 2), towards the forehead
    return torch.cat([centre + up * (RAISED * box), box * CROP_OVER_BOX, angle], 1)


class FaceAlignmentLandmarks:
    """Frames (N, 3, H, W) and one region per image -> ContourLandmarks in pixels of the frames; z is 0.

    Not differentiable: points are the places of heat-map maxima. ``presence`` is the mean height of the maxima, cut to [0, 1].
    """

    def __init__(self, weights: str, flip: bool, context: Context) -> None:
        """Load the network. Raises WeightsError (missing, damaged, another architecture), PackageError (not installed)."""
        check_package()
        from face_alignment import utils
        from face_alignment.models import FAN

        path = weights_file(weights)
        self.network = FAN(STACKS)
        load_state_dict_file(path, self.network, FIX)
        self.network.eval().requires_grad_(False).to(context.device)
        self.side, self.cell = utils.CROP_RESOLUTION, utils.CROP_RESOLUTION / utils.HEATMAP_RESOLUTION  # 256, 4
        self.flipped, self.decode = utils.flip, utils.get_preds_fromhm
        self.flip, self.dtype = flip, context.dtype

    @torch.no_grad()
    def __call__(self, frames: r.Frames, regions: r.FaceRegions) -> r.ContourLandmarks:
        rgb = frames.rgb
        if not len(rgb):
            return r.ContourLandmarks(rgb.new_zeros(0, 68, 3), rgb.new_zeros(0))
        squares = network_squares(regions.squares.to(rgb))
        heat = self.heat_maps(crop_squares(rgb, squares, self.side))  # (N, 68, 64, 64)
        cells, _, height = self.decode(heat.cpu().numpy())  # (N, 68, 2) in cells, (N, 68)
        flat = from_crop(torch.from_numpy(cells).to(rgb) * self.cell, squares, self.side)  # (N, 68, 2)
        points = torch.cat([flat, torch.zeros_like(flat[..., :1])], -1)
        return r.ContourLandmarks(points, torch.from_numpy(height).to(rgb).mean(1).clamp(0, 1))

    def heat_maps(self, crops: Tensor) -> Tensor:
        """Heat maps (N, 68, 64, 64) of crops (N, 3, 256, 256) in [0, 1]."""
        with torch.autocast(crops.device.type, self.dtype, enabled=self.dtype != torch.float32):
            heat: Tensor = self.network(crops)[-1]
            if self.flip:
                heat = (heat + self.flipped(self.network(self.flipped(crops))[-1], is_label=True)) / 2
        return heat.float()
