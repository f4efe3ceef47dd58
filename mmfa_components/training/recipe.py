"""TrainingRecipe: how one system learns.

A plugin registers its recipe as a component of kind "recipe" under the name of its animator. The
machine (pipelines/training) knows no system: it draws batches, steps, averages, saves, goes on,
spreads work over processes and logs; the recipe says what networks there are, what they are shown,
how they are judged, and what is shipped. docs/add_an_animator.md shows a small one.
"""

from __future__ import annotations

import abc
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import attrs
import torch
from torch import Tensor, nn

from mmfa_components.kinds import Context
from mmfa_components.training.clips import FaceClips
from mmfa_components.training.held_out import picture_of, reconstruction_figures
from mmfa_components.training.labels import Label, Rows
from mmfa_components.weights import WeightsFile


@attrs.frozen
class Moment:
    """A step of a run. attempt: bad steps before it, in a row, so that other batches are drawn."""

    seed: int
    step: int
    attempt: int = 0

    def generator(self, apart: bool = False) -> torch.Generator:
        """The random numbers of the step, on the CPU: a function of this moment alone.

        So a run goes on exactly where it was, and every process has the same numbers.
        apart: other numbers than those the batch is drawn with.
        """
        attempt = -1 - self.attempt if apart else self.attempt
        digest = hashlib.sha256(f"{self.seed}/{self.step}/{attempt}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


class Drawn(Protocol):
    """Random numbers of a batch; ``part`` gives every ``world``-th row from ``rank`` on."""

    def part(self, rank: int, world: int) -> Drawn: ...


class Material(Protocol):
    """What batches are drawn from."""

    def __len__(self) -> int:
        """Number of frames or rows."""
        ...

    def batch(self, count: int, generator: torch.Generator, rank: int, world: int, device: torch.device) -> Any:
        """Draw ``count`` rows or pairs; gives the share of process ``rank``, on ``device``."""
        ...


@attrs.frozen(eq=False)
class Shipped:
    """A weights file that a training writes: name in the run's folder, networks, architecture."""

    file: str
    module: nn.Module
    architecture: str
    notes: Mapping[str, str] = attrs.field(factory=dict)


Loss = tuple[Tensor, dict[str, Tensor], Any]
"""What an objective gives: weighted sum, losses by name, exhibits for the critic (None without)."""
RecordFunction = Callable[[Callable[[Tensor], Tensor], Tensor], Callable[[Tensor], Tensor]]
"""(function, sample of its argument) -> the function recorded as a CUDA graph."""


class TrainingRecipe(abc.ABC):
    """How one system learns. The factory of its ComponentSpec makes it of options and context.

    Making one must be cheap: networks are made by ``networks``, and frozen ones loaded by
    ``judges``.
    """

    unit: ClassVar[str] = "pairs"
    """What a batch counts, for people."""
    critic_losses: ClassVar[tuple[str, ...]] = ("discriminator",)
    """Names of what ``critic_step`` gives."""
    parts: ClassVar[tuple[str, ...]] = ()
    """Children of the networks that may be recorded as CUDA graphs; see ``rehearse``."""
    compiled: ClassVar[tuple[str, ...]] = ()
    """Children of the networks that ``run.compile`` compiles."""
    some_unused: bool = False
    """Whether there are steps in which some parameters get no gradient (DDP has to know)."""
    critic_rate: float | None = None
    """Learning rate of the critic; None: that of the networks."""
    remedy: str = "lower optimiser.rate or the weights of these losses"
    """What to do when no loss is finite any more."""
    starts: Mapping[str, int] = {}
    """First step of losses that join later and that a short run would never see."""

    # ---- facts, known without any network -------------------------------------------------------
    @property
    @abc.abstractmethod
    def weights_file(self) -> WeightsFile:
        """The entry of the weights catalogue that training makes a file for, and starts from."""

    @property
    @abc.abstractmethod
    def weights(self) -> Mapping[str, float]:
        """Weights of the losses by name, in the order of the log; 0 leaves a loss out."""

    @property
    @abc.abstractmethod
    def side(self) -> int:
        """Side of the crops it learns from, in pixels."""

    @property
    def identity(self) -> str:
        """What checkpoints must agree in to be gone on with, such as the preset."""
        return self.weights_file.architecture

    @property
    def labels(self) -> Mapping[str, Label]:
        """Labels of the frames it learns from, by name; pictures come along unasked."""
        return {}

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the weights files that ``judges`` loads."""
        return ()

    # ---- networks -------------------------------------------------------------------------------
    @abc.abstractmethod
    def networks(self) -> nn.Module:
        """Fresh networks: what is trained, averaged and saved."""

    def judges(self, context: Context, channels_last: bool) -> Any:
        """The frozen networks that judge results, on the context's device.

        channels_last: memory layout the training runs in. Raises WeightsError naming a file that is
        missing and how to get it.
        """
        return None

    def critic(self, judges: Any, device: torch.device) -> nn.Module | None:
        """A fresh critic that learns against the networks, on ``device``; None for none."""
        return None

    def prepare(self, networks: nn.Module, material: Any) -> None:
        """Set what of fresh networks follows from the material alone."""
        return

    # ---- a step ---------------------------------------------------------------------------------
    def draw(self, count: int, generator: torch.Generator, device: torch.device) -> Drawn | None:
        """Random numbers of a batch beyond its rows, such as transforms."""
        return None

    @abc.abstractmethod
    def objective(self, networks: nn.Module, judges: Any) -> nn.Module:
        """A module called as ``(batch, drawn, moment, critic or None)`` that gives a ``Loss``.

        A module of its own, so that distributed training wraps exactly one forward pass. Judges
        must not be registered in it: they are neither trained nor saved.
        """

    def critic_step(self, critic: nn.Module, exhibits: Any) -> dict[str, Tensor]:
        """Losses of the critic on the exhibits of the objective; their sum is minimised."""
        return {}

    # ---- CUDA graphs ----------------------------------------------------------------------------
    def rehearse(self, objective: nn.Module, batch: Any, drawn: Any) -> None:
        """One forward pass through all ``parts``, with the shapes of training."""
        raise NotImplementedError

    def record_judges(self, objective: nn.Module, batch: Any, record: RecordFunction) -> None:
        """Replace functions of frozen networks in the objective by their recordings."""
        return

    # ---- results --------------------------------------------------------------------------------
    def finish(self, averaged: nn.Module, networks: nn.Module, material: Any) -> None:
        """Complete the averaged networks before they are saved."""
        return

    def shipped(self, averaged: nn.Module, critic: nn.Module | None) -> Sequence[Shipped]:
        """The weights files to write beside each checkpoint."""
        file = self.weights_file
        return (Shipped(f"{file.name}.safetensors", averaged, file.architecture),)

    def render(self, networks: nn.Module, rows: Rows) -> Tensor:
        """Rebuild all frames but the first from the first one, absolute motion.

        rows: of 1 + N frames, as the labels hand them over. Gives (N, 3, S, S) in [0, 1].
        """
        raise NotImplementedError

    def landmarks(self, judges: Any) -> Callable[[Tensor], Tensor] | None:
        """Face regions (N, 3, 256, 256) -> (N, 478, 2 or more) points for figures, or None."""
        return None

    def figures(self, networks: nn.Module, held_out: Any, judges: Any, device: torch.device) -> dict[str, float]:
        """Figures of held-out people; of a system that renders those of ``held_out``."""
        if not isinstance(held_out, FaceClips):
            return {}
        rebuild = self._rebuild(networks)
        landmarks = self.landmarks(judges)
        return reconstruction_figures(rebuild, held_out, self.labels, device, landmarks)

    def picture(self, networks: nn.Module, held_out: Any, device: torch.device) -> Tensor | None:
        """A picture (3, H, W) in [0, 1] of results on held-out people."""
        if not isinstance(held_out, FaceClips):
            return None
        return picture_of(self._rebuild(networks), held_out, self.labels, device)

    def _rebuild(self, networks: nn.Module) -> Callable[[Rows], Tensor]:
        networks.eval()
        return lambda rows: self.render(networks, rows)
