"""Training of the expression VAE on features alone (paper 3.3, eq. 10-13), with figures that show whether it collapsed."""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import torch
from torch import Tensor

from mmfa_components.errors import DatasetError, TrainingError
from mmfa_components.losses.adversarial import discriminator_loss, generator_loss
from mmfa_components.losses.variational import kl_loss, reconstruction_loss
from mmfa_components.networks.expression.vae import ExpressionVAE
from pipelines.training.schedule import learning_rate, step_generator
from pipelines.training.schema import Schedule
from pipelines.training.vae_schema import Collapse, VAEPipeline
from plugins.mmfa.presets import Sizes, expression_critic, expression_vae

ACTIVE = 0.01
"""A latent unit is active when the variance of its posterior mean over the held-out rows is above this (Burda et al. 2016)."""
PRIOR_SAMPLES = 2048


@attrs.frozen
class VAEFigures:
    """What came out, on held-out clips.

    error, train_error: mean squared reconstruction error in units of the features' spread (1 = nothing learnt).  kl: nats, summed over
    units.  active_units of units.  variance: total variance of rebuilt over real features; prior_variance: the same of features decoded
    from the prior.  collapsed: why the run has failed, "" when it has not.
    """

    rows: int
    clips: int
    error: float
    train_error: float
    kl: float
    active_units: int
    units: int
    variance: float
    prior_variance: float
    collapsed: str


def train_vae(
    feature: Tensor, clip: Tensor, sizes: Sizes, pipeline: VAEPipeline, device: torch.device, tell: Callable[[int, dict[str, float]], None]
) -> tuple[ExpressionVAE, VAEFigures]:
    """Train on rows (T, E) of clips (T,); the network in eval mode with ``centre`` and ``spread`` set, and its figures.

    tell: is told the step and the losses every 100 steps. Raises DatasetError for features that cannot be learnt from, TrainingError
    when a loss is no finite number.
    """
    run, losses = pipeline.run, pipeline.losses
    train, held = split_clips(feature, clip, pipeline)
    torch.manual_seed(run.seed)
    network, critic = expression_vae(sizes).to(device), expression_critic(sizes).to(device)
    rows, held_rows = feature[train].to(device), feature[held].to(device)
    network.centre.copy_(rows.mean(0))
    network.spread.copy_(rows.std(0).clamp_min(1e-3 * float(rows.std())))
    weight = clip_weights(clip[train])
    optimizer = torch.optim.Adam(network.parameters(), run.rate, (0.5, 0.999))
    judge = torch.optim.Adam(critic.parameters(), run.critic_rate, (0.5, 0.999))
    falling = Schedule(decay_from=run.steps // 4, decay_to=run.steps)
    for step in range(run.steps):
        generator = step_generator(run.seed, step)
        for group in (*optimizer.param_groups, *judge.param_groups):
            base = run.critic_rate if group in judge.param_groups else run.rate
            group["lr"] = learning_rate(step, base, falling)
        batch = rows[torch.multinomial(weight, run.batch, replacement=True, generator=generator).to(device)]
        noise = torch.randn(run.batch, sizes.latent, generator=generator).to(device)
        mean, log_variance = network.encode(batch)
        rebuilt = network.decode(mean + torch.exp(0.5 * log_variance) * noise)
        kl_weight = losses.kl * min(1.0, (step + 1) / max(1, run.kl_warmup))
        parts = {"reconstruction": reconstruction_loss(batch, rebuilt, network.spread), "kl": kl_loss(mean, log_variance, losses.free_bits)}
        total = losses.reconstruction * parts["reconstruction"] + kl_weight * parts["kl"]
        adversarial = losses.adversarial > 0 and step >= run.adversarial_from
        if adversarial:
            fake = (rebuilt - network.centre) / network.spread
            parts["adversarial"] = generator_loss(critic(fake))
            total = total + losses.adversarial * parts["adversarial"]
        if not bool(torch.isfinite(total)):
            fix = "lower run.rate or losses.adversarial"
            raise TrainingError("the loss is no finite number", where=f"train_vae, step {step}", fix=fix)
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        optimizer.step()
        if adversarial:
            real = (batch - network.centre) / network.spread
            parts["critic"] = discriminator_loss(critic(real), critic(fake.detach()))
            judge.zero_grad(set_to_none=True)
            parts["critic"].backward()
            judge.step()
        if (step + 1) % 100 == 0 or step + 1 == run.steps:
            tell(step + 1, {name: float(value.detach()) for name, value in parts.items()})
    network.eval().requires_grad_(False)
    return network, measure(network, rows, held_rows, len(clip[held].unique()), run.seed, pipeline.collapse)


def split_clips(feature: Tensor, clip: Tensor, pipeline: VAEPipeline) -> tuple[Tensor, Tensor]:
    """Row masks (T,) of training and held-out clips; whole clips, the same ones for one seed. Raises DatasetError (see train_vae)."""
    fix = "decompose more clips into the cache"
    if not bool(torch.isfinite(feature).all()):
        raise DatasetError("some expression features are no finite numbers", where="train_vae", fix="check the animator's weights")
    clips = clip.unique()
    if len(clips) < 2:
        raise DatasetError(f"features of {len(clips)} clip are there, 2 are needed to hold one out", where="data.cache", fix=fix)
    if not bool((feature.std(0) > 0).any()):
        raise DatasetError("all features are the same: there is nothing to learn", where="data.cache", fix="check the animator's weights")
    order = clips[torch.randperm(len(clips), generator=torch.Generator().manual_seed(pipeline.run.seed))]
    count = min(len(clips) - 1, max(1, round(pipeline.data.held_out * len(clips))))
    held = torch.isin(clip, order[:count])
    if int((~held).sum()) < pipeline.run.batch:
        raise DatasetError(f"{int((~held).sum())} rows are there to learn from, run.batch is {pipeline.run.batch}", where="data.cache", fix=fix)
    return ~held, held


def clip_weights(clip: Tensor) -> Tensor:
    """Weights (T,) to draw rows with: every clip as the square root of its length, the rows of one clip alike."""
    _, inverse, counts = clip.unique(return_inverse=True, return_counts=True)
    weights: Tensor = counts[inverse].float().rsqrt()
    return weights


@torch.no_grad()
def measure(network: ExpressionVAE, rows: Tensor, held: Tensor, clips: int, seed: int, limits: Collapse) -> VAEFigures:
    """Figures of a trained network on held-out rows (N, E); posterior means are decoded."""
    mean, log_variance = network.encode(held)
    rebuilt = network.decode(mean)
    active = int((mean.var(0) > ACTIVE).sum())
    latent = torch.randn(PRIOR_SAMPLES, mean.shape[1], generator=torch.Generator().manual_seed(seed)).to(held.device)
    total = _variance(held, network)
    variance, prior = _variance(rebuilt, network) / total, _variance(network.decode(latent), network) / total
    reasons = []
    if active < limits.least_units:
        reasons.append(f"only {active} of {mean.shape[1]} latent units are active, {limits.least_units} are wanted")
    if not math.isfinite(variance) or variance < limits.least_variance:
        reasons.append(f"the rebuilt features have {variance:.2f} of the real ones' variance, {limits.least_variance:g} are wanted")
    return VAEFigures(
        len(held), clips, float(reconstruction_loss(held, rebuilt, network.spread)),
        float(reconstruction_loss(rows, network.decode(network.encode(rows)[0]), network.spread)),
        float(kl_loss(mean, log_variance)), active, mean.shape[1], variance, prior, "; ".join(reasons),
    )  # fmt: skip


def _variance(feature: Tensor, network: ExpressionVAE) -> float:
    return float(((feature - feature.mean(0)) / network.spread).square().mean())
