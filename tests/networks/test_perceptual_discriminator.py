"""The discriminator that judges feature maps."""

from __future__ import annotations

import torch
from torch.nn import functional

from mmfa_components.losses.adversarial import discriminator_loss
from mmfa_components.networks.critics.perceptual import PerceptualDiscriminator, judged


def maps(count: int = 2, seed: int = 0) -> list[torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(count, 3, 32, 32, generator=g), torch.randn(count, 5, 16, 16, generator=g)]


def test_every_map_has_the_same_say() -> None:
    scores, features = PerceptualDiscriminator([3, 5])(*maps())
    assert scores.shape == (2, 2, 16, 16)
    assert scores.dtype == torch.float32
    assert [f.shape[-1] for f in features] == [32, 16, 16, 8]
    coarse = scores[:, 1]
    torch.testing.assert_close(coarse, coarse[:, ::2, ::2].repeat_interleave(2, 1).repeat_interleave(2, 2))
    assert not torch.equal(scores[:, 0, ::2, ::2], scores[:, 0, 1::2, 1::2])


def test_brightness_says_nothing_and_images_do_not_see_each_other() -> None:
    judge = PerceptualDiscriminator([3, 5])
    both = maps()
    scores, _ = judge(*both)
    torch.testing.assert_close(judge(*(7 * x for x in both))[0], scores)
    torch.testing.assert_close(judge(*(x[1:] for x in both))[0], scores[1:], atol=1e-5, rtol=1e-4)


def test_gradients_reach_the_maps() -> None:
    shown = [x.requires_grad_() for x in maps()]
    PerceptualDiscriminator([3, 5])(*shown)[0].square().mean().backward()
    assert all(x.grad is not None and float(x.grad.abs().max()) > 0 for x in shown)


def test_it_learns_to_tell_sharp_from_smooth() -> None:
    torch.manual_seed(0)
    judge = PerceptualDiscriminator([3])
    optimiser = torch.optim.Adam(judge.parameters(), 1e-3)

    def pairs(seed: int) -> torch.Tensor:
        sharp = maps(4, seed)[0]
        return torch.cat([sharp, functional.avg_pool2d(sharp, 3, 1, 1)])

    def loss(seed: int) -> torch.Tensor:
        return discriminator_loss(*judge(pairs(seed))[0].chunk(2))

    before = float(loss(99).detach())
    for step in range(40):
        optimiser.zero_grad()
        loss(step).backward()
        optimiser.step()
    assert float(loss(99).detach()) < 0.3 < 0.6 < before


def test_which_maps_are_judged() -> None:
    five = [torch.zeros(1, n, 2, 2) for n in (1, 2, 3, 4, 5)]
    assert [x.shape[1] for x in judged(five)] == [2, 3, 4]
    assert judged(five[:1]) == five[:1]
