"""Walks through the latent space of expressions: between two faces, from the prior, along single units (paper 3.3, Fig. 8 and 15)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from mmfa_components.errors import ConfigError
from mmfa_components.kinds import ExpressionVAE
from mmfa_components.records import Expression, MotionKind, Record
from pipelines.editing.grid_run import Faces, Row, picture_of, rows_of, walk_frames
from pipelines.editing.grid_schema import InterpolatePipeline
from pipelines.editing.shots import Shot
from pipelines.stages.encode import Portrait


def interpolated(first: Tensor, second: Tensor, shares: Tensor, vae: ExpressionVAE | None) -> Tensor:
    """Features (N, E) at ``shares`` (N,) of the way from features ``first`` to ``second`` (1, E); straight in the latent space, or in the
    features' own when ``vae`` is None. The ends are those of the space: through the VAE they are rebuilt, not copied.
    """
    if vae is None:
        return torch.lerp(first, second, shares[:, None])
    means = [vae.encode(Expression(e)).mean for e in (first, second)]
    return vae.decode(torch.lerp(means[0], means[1], shares[:, None])).feature


def shifted(vae: ExpressionVAE, feature: Tensor, shift: Tensor) -> Tensor:
    """Features (N, E) moved by ``shift`` (N, Z) in the latent space: ``e + D(z + shift) - D(z)``, so that no shift changes nothing."""
    mean = vae.encode(Expression(feature)).mean
    return feature + vae.decode(mean + shift).feature - vae.decode(mean.expand(len(shift), -1)).feature


def strengths(vae: ExpressionVAE, units: int) -> Tensor:
    """How much each latent unit (Z,) changes the feature between -2 and +2 standard deviations around the prior's middle."""
    step = 2 * torch.eye(units)
    change: Tensor = (vae.decode(step).feature - vae.decode(-step).feature).norm(dim=1)
    return change


def interpolate_rows(
    tables: InterpolatePipeline,
    faces: Faces,
    kind: MotionKind,
    pairs: Sequence[tuple[Shot, Shot]],
    sources: Sequence[Shot],
    vae: Any,
) -> Iterator[Row]:
    """All rows that a file asks for; ``vae`` is None when none of them needs it."""
    wanted, name = tables.interpolate, kind.feature
    for first, second in pairs:
        if first in faces and second in faces:
            yield _pair(tables, name, faces[first], faces[second], f"{first.name} to {second.name}", vae if wanted.space == "latent" else None)
    if vae is None:
        return
    for shot in sources:
        if shot not in faces:
            continue
        face = faces[shot]
        units = _size(vae, name, face)
        if wanted.prior:
            yield _prior(tables, name, face, vae, units, shot.name)
        for number, unit in enumerate(_units(tables, vae, units)):
            yield _traversal(tables, name, face, vae, unit, units, "" if wanted.prior or number else shot.name)


def _pair(tables: InterpolatePipeline, field: str, first: Portrait, second: Portrait, name: str, vae: Any) -> Row:
    wanted = tables.interpolate
    pose = (first if wanted.pose == "first" else second).motion

    def along(shares: Tensor) -> Record:
        feature = interpolated(getattr(first.motion, field), getattr(second.motion, field), shares, vae)
        return _with(pose, field, feature)

    shares = torch.linspace(0, 1, wanted.steps)
    turn = torch.linspace(0, 2, walk_frames(tables.output))
    walk = along(1 - (1 - turn).abs())
    ends = (("first", picture_of(first)), ("second", picture_of(second)))
    captions = tuple(f"{share:.2f}" for share in shares.tolist())
    return Row(wanted.space, first, along(shares), captions, walk, name, ends)


def _prior(tables: InterpolatePipeline, field: str, face: Portrait, vae: Any, units: int, name: str) -> Row:
    """Samples of the prior; the video glides from sample to sample."""
    wanted = tables.interpolate
    latent = torch.randn(wanted.prior, units, generator=torch.Generator().manual_seed(wanted.seed))
    closed = torch.cat([latent, latent[:1]])
    at = torch.linspace(0, wanted.prior, walk_frames(tables.output))
    low = at.floor().long().clamp(max=wanted.prior - 1)
    glide = torch.lerp(closed[low], closed[low + 1], (at - low)[:, None])
    captions = tuple(f"sample {i + 1}" for i in range(wanted.prior))
    made = [_with(face.motion, field, vae.decode(z).feature) for z in (latent, glide)]
    return Row("prior", face, made[0], captions, made[1], name, (("portrait", picture_of(face)),))


def _traversal(tables: InterpolatePipeline, field: str, face: Portrait, vae: Any, unit: int, units: int, group: str) -> Row:
    wanted = tables.interpolate

    def along(values: Tensor) -> Record:
        shift = torch.zeros(len(values), units)
        shift[:, unit] = values
        return _with(face.motion, field, shifted(vae, getattr(face.motion, field), shift))

    values = torch.linspace(-wanted.reach, wanted.reach, wanted.steps)
    walk = along(wanted.reach * torch.sin(torch.linspace(0, 2 * torch.pi, walk_frames(tables.output))))
    captions = tuple(f"{v:+.1f}" for v in values.tolist())
    return Row(f"unit {unit}", face, along(values), captions, walk, group, (("portrait", picture_of(face)),))


def _with(pose: Record, field: str, feature: Tensor) -> Record:
    return attrs.evolve(rows_of(pose, len(feature)), **{field: feature.to(getattr(pose, field))})


def _size(vae: Any, field: str, face: Portrait) -> int:
    feature = getattr(face.motion, field)
    try:
        return int(vae.encode(Expression(feature)).mean.shape[1])
    except RuntimeError as error:
        what = f"the VAE does not take this animator's features of {feature.shape[1]} numbers ({error})"
        raise ConfigError(what, where="vae", fix="use a VAE of the animator's preset") from error


def _units(tables: InterpolatePipeline, vae: Any, units: int) -> list[int]:
    wanted = tables.interpolate
    if wanted.units == "none":
        return []
    if wanted.units == "strongest":
        return [int(i) for i in strengths(vae, units).argsort(descending=True)[: wanted.count]]
    outside = [u for u in wanted.units if not 0 <= int(u) < units]
    if outside:
        raise ConfigError(f"there is no latent unit {outside[0]}", where="interpolate.units", fix=f"0 to {units - 1}")
    return [int(u) for u in wanted.units]
