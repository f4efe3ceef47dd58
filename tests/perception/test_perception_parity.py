"""The converted networks against the original runtimes.

``reference_outputs.npz`` holds what ai-edge-litert 2.3.0 gave for the two .tflite networks (``regressors`` and ``logits``: every
third of the 896 anchors), and what mediapipe 0.10.21 gave end to end for the ``head`` picture (``astronaut_points`` in pixels,
``astronaut_matrix`` with y up).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mmfa_components.geometry.rotations import geodesic_degrees, nearest_rotation
from mmfa_components.geometry.squares import region_of_detection
from mmfa_components.records import FaceRegions, Frames

References = dict[str, np.ndarray[Any, Any]]


def network_region(portrait: Tensor) -> Tensor:
    """(1, 3, 256, 256): a part of the picture, each pixel doubled."""
    return portrait[..., 55:183, 160:288].repeat_interleave(2, 2).repeat_interleave(2, 3)


def test_detector_network(build: Any, portrait: Tensor, reference: References) -> None:
    regressors, logits = build("face_detector").network(functional.avg_pool2d(portrait, 4) * 2 - 1)
    assert regressors.shape == (1, 896, 16)
    assert np.abs(regressors[0, ::3].numpy() - reference["regressors"]).max() < 1e-3  # pixels of 128
    assert np.abs(logits[0, ::3, 0].numpy() - reference["logits"]).max() < 1e-3


def test_landmark_network_on_a_face(build: Any, portrait: Tensor, reference: References) -> None:
    points, logit = build("landmark_detector").network(network_region(portrait))
    assert np.abs(points.reshape(478, 3).numpy() - reference["face_points"]).max() < 2e-3  # pixels of 256
    assert abs(logit.item() - reference["face_logit"].item()) < 1e-3


def test_landmark_network_on_noise(build: Any, reference: References) -> None:
    noise = torch.from_numpy(np.random.RandomState(0).rand(256, 256, 3).astype(np.float32)).permute(2, 0, 1)[None]
    points, logit = build("landmark_detector").network(noise)
    assert np.abs(points.reshape(478, 3).numpy() - reference["noise_points"]).max() < 2e-3
    assert abs(logit.item() - reference["noise_logit"].item()) < 1e-3


def test_whole_chain_against_mediapipe(build: Any, head: Tensor, reference: References) -> None:
    frames = Frames(head)
    faces = build("face_detector")(frames)
    found = build("landmark_detector")(frames, FaceRegions(region_of_detection(faces.points[:1])))
    apart = (found.points[0] - torch.from_numpy(reference["astronaut_points"])).abs()
    assert apart[:, :2].norm(dim=1).mean() < 0.8
    assert apart[:, 2].mean() < 0.8
    y_up = torch.diag(torch.tensor([1.0, -1.0, 1.0]))
    theirs = nearest_rotation(y_up @ torch.from_numpy(reference["astronaut_matrix"])[:3, :3] @ y_up)
    ours = build("rotation_estimator")(found).matrix[0]
    assert geodesic_degrees(ours, theirs) < 3.0  # theirs has a perspective camera, ours a scaled orthographic one (eq. 5)
