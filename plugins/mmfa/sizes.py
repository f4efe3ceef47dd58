"""Parameters and multiply-accumulates of each of MMFA's networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from mmfa_components.geometry.shape import SHAPE_POINTS
from mmfa_components.networks.counting import SizeRow, count
from plugins.mmfa.model import MMFAModel
from plugins.mmfa.presets import Sizes, discriminator, expression_vae, preset


def size_table(preset_name: str = "base") -> list[SizeRow]:
    """Sizes of all networks of a preset.

    ``per`` is "portrait", "driven frame", "training" or "expression". Nothing is computed: the
    networks live on the meta device. Raises ConfigError for an unknown preset.
    """
    sizes: Sizes = preset(preset_name).sizes
    with torch.device("meta"):
        model = MMFAModel(sizes).eval()
        judge, vae = discriminator(sizes).eval(), expression_vae(sizes).eval()
        image = torch.empty(1, 3, sizes.image, sizes.image)
        side = sizes.volume_side
        volume = torch.empty(1, sizes.volume_channels, sizes.volume_depth, side, side)
        points, matrix = torch.empty(1, sizes.keypoints, 3), torch.empty(1, 3, 3)
        feature, shape = torch.empty(1, sizes.expression), torch.empty(1, len(SHAPE_POINTS), 3)
        flow, occlusion = (
            torch.empty(1, sizes.volume_depth, side, side, 3),
            torch.empty(1, 1, side, side),
        )
        hint, surface = (
            torch.empty(1, sizes.motion_hint, side, side),
            torch.empty(1, 3 * sizes.source_skip, side, side),
        )
        runs: list[tuple[str, nn.Module, Callable[[], Any], str]] = [
            (
                "keypoint_detector",
                model.keypoint_detector,
                lambda: model.keypoint_detector(image),
                "portrait",
            ),
            (
                "appearance_extractor",
                model.appearance_extractor,
                lambda: model.appearance_extractor(image),
                "portrait",
            ),
            (
                "affine_estimator",
                model.affine_estimator,
                lambda: model.affine_estimator(image),
                "driven frame",
            ),
            (
                "expression_encoder",
                model.expression_encoder,
                lambda: model.expression(image, shape),
                "driven frame",
            ),
            (
                "expression_decoder",
                model.expression_decoder,
                lambda: model.expression_decoder(feature, points),
                "driven frame",
            ),
            (
                "dense_motion",
                model.dense_motion,
                lambda: model.dense_motion(volume, points, points, matrix),
                "driven frame",
            ),
            (
                "generator",
                model.generator,
                lambda: model.generator(volume, flow, occlusion, hint, image, surface),
                "driven frame",
            ),
            ("expression_vae", vae, lambda: vae(feature), "expression"),
            ("discriminator", judge, lambda: judge(image), "training"),
        ]
        return [SizeRow(name, *count(network, run), per) for name, network, run, per in runs]
