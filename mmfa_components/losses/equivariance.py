"""Equivariance loss and its random image transforms (paper eq. 15, after FOMM)."""

from __future__ import annotations

import attrs
import torch
from torch import Tensor
from torch.nn import functional

from mmfa_components.geometry.apply import apply_affine, apply_matrix
from mmfa_components.geometry.compose import similarity
from mmfa_components.geometry.grid import grid_points


@attrs.frozen(eq=False)
class ImageTransform:
    """A random warp ``W`` from output to input coordinates: similarity plus thin-plate spline, one per image.

    matrix: (N, 2, 3).  angle: (N,) radians of ``matrix``.  control: (P, 2) spline centres.  weights: (N, P) their weights.
    The image's content turns by ``-angle``: a head rotation R becomes ``Rz(-angle) R``.
    """

    matrix: Tensor
    angle: Tensor
    control: Tensor
    weights: Tensor

    @classmethod
    def random(
        cls,
        count: int,
        device: torch.device,
        generator: torch.Generator | None = None,
        *,
        angle: float = 0.5,
        log_scale: float = 0.2,
        shift: float = 0.15,
        spline: float = 0.005,
    ) -> ImageTransform:
        """Draw transforms: angle uniform in +-angle radians, log scale in +-log_scale, shift in +-shift, spline weights normal.

        With a CPU ``generator`` the same transforms come out on every device.
        """
        where = generator.device if generator is not None else device

        def uniform(*shape: int) -> Tensor:
            return 2 * torch.rand(*shape, device=where, generator=generator).to(device) - 1

        angles = angle * uniform(count)
        matrix = similarity(angles, torch.exp(log_scale * uniform(count)), shift * uniform(count, 2))
        control = grid_points((5, 5), device).flatten(0, 1)  # (25, 2)
        weights = spline * torch.randn(count, 25, device=where, generator=generator).to(device)
        return cls(matrix, angles, control, weights)

    def part(self, rank: int, world: int) -> ImageTransform:
        """Every ``world``-th transform, from ``rank`` on."""
        return ImageTransform(self.matrix[rank::world], self.angle[rank::world], self.control, self.weights[rank::world])

    def warp_points(self, points: Tensor) -> Tensor:
        """Input coordinates (N, P, 2) of output points (N, P, 2), both in [-1, 1]."""
        moved = apply_affine(self.matrix, points)
        distance = (points[:, :, None] - self.control).abs().sum(-1)  # (N, P, 25), L1 as in FOMM
        kernel = distance.square() * torch.log(distance + 1e-6)
        return moved + (kernel * self.weights[:, None]).sum(-1, keepdim=True)

    def jacobian(self, points: Tensor) -> Tensor:
        """Derivative (N, P, 2, 2) of :meth:`warp_points` at points (N, P, 2)."""
        away = points[:, :, None] - self.control  # (N, P, 25, 2)
        distance = away.abs().sum(-1)
        slope = 2 * distance * torch.log(distance + 1e-6) + distance.square() / (distance + 1e-6)
        bend = (slope[..., None] * away.sign() * self.weights[:, None, :, None]).sum(2)  # (N, P, 2)
        return self.matrix[:, None, :, :2] + bend[:, :, None]  # the spline moves x and y alike

    @property
    def zoom(self) -> Tensor:
        """How much larger the content becomes (N,)."""
        larger: Tensor = torch.linalg.det(self.matrix[:, :, :2]).abs().rsqrt()
        return larger

    def carry_points(self, points: Tensor) -> Tensor:
        """Where input points (N, P, 2) lie in the transformed image; the similarity alone, without the spline (some 0.01)."""
        back = torch.linalg.inv(self.matrix[:, :, :2])
        return apply_matrix(back, points - self.matrix[:, None, :, 2])

    def warp_image(self, image: Tensor) -> Tensor:
        """The transformed image (N, 3, H, W); outside is the reflection of the inside."""
        n, _, height, width = image.shape
        grid = grid_points((height, width), image.device).view(1, -1, 2).expand(n, -1, -1)
        where = self.warp_points(grid).view(n, height, width, 2)
        return functional.grid_sample(image.float(), where, padding_mode="reflection", align_corners=False)


def equivariance_loss(points: Tensor, transformed_points: Tensor, transform: ImageTransform) -> Tensor:
    """Eq. 15: ``mean |x_d - T^-1(x_T(d))|`` on x and y only.

    points: (N, K, 3) keypoints of the image.  transformed_points: (N, K, 3) keypoints of the transformed image, their canonical
    keypoints estimated anew on it.
    """
    return (points[..., :2] - transform.warp_points(transformed_points[..., :2])).abs().mean()


def jacobian_equivariance_loss(jacobians: Tensor, transformed_jacobians: Tensor, transformed_points: Tensor, transform: ImageTransform) -> Tensor:
    """FOMM, eq. 12: ``mean |1 - J_d^-1 T'(p_T) J_T|``, the same property for the Jacobians of keypoints.

    jacobians: (N, K, 2, 2) of the image.  transformed_jacobians, transformed_points: (N, K, 2, 2) and (N, K, 2) of the transformed one.
    """
    with torch.autocast(jacobians.device.type, enabled=False):
        carried = transform.jacobian(transformed_points.float()) @ transformed_jacobians.float()
        ratio = torch.linalg.solve(jacobians.float(), carried)
    loss: Tensor = (torch.eye(2, device=ratio.device, dtype=ratio.dtype) - ratio).abs().mean()
    return loss
