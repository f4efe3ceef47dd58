"""Recognition loss: to a recognition network, result and driving image show the same person. Not in the paper, which measures this as CSIM."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def recognition_loss(embed: Callable[[Tensor], Tensor], result: Tensor, driving: Tensor) -> Tensor:
    """``mean (1 - cos(E(result), E(driving)))``, the identity loss of face swapping and restoration (e.g. FaceShifter, Li et al. 2020, eq. 6).

    Args:
        embed: aligned faces (N, 3, S, S) in [0, 1] -> unit vectors (N, E), differentiable in the image.
        result, driving: (N, 3, S, S) the same aligned square of both images; the driving one gets no gradient.

    Returns:
        Scalar in [0, 2], 0 for the same embedding.
    """
    with torch.no_grad():
        wanted = embed(driving)
    return (1 - (embed(result) * wanted).sum(1)).mean()
