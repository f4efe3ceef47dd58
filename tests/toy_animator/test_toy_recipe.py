"""A recipe that no line outside this folder knows is trained by the machine, and goes on where it was."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
import torch
from recipe import WarpNetworks, WarpOptions, WarpRecipe
from rich.console import Console
from safetensors.torch import load_file
from tiny_training import SIDE, write_dataset

from mmfa_components.errors import ConfigError
from mmfa_components.kinds import ComponentSpec
from mmfa_components.registry import Plugin, Registry, load_registry
from mmfa_components.weights import metadata
from pipelines.kinds.train import KIND
from pipelines.media import read_image
from pipelines.training.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def registry() -> Registry:
    found = load_registry()
    spec = ComponentSpec("recipe", "points", WarpRecipe, options=WarpOptions)
    found.add(Plugin("points", "tests", "1", "recipe", (spec,)))
    return found


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("warp")
    write_dataset(folder / "data")
    path = folder / "train.toml"
    path.write_text(
        """
        kind = "train"
        model.system = "points"
        losses.mouth = 0.5
        schedule.warmup = 2
        optimiser.rate = 2e-3
        data.folder = "{here}/data"
        [run]
        device = "cpu"
        steps = 8
        batch = 4
        save = 3
        log = 1
        picture = 4
        tensorboard = false
        """,
        encoding="utf-8",
    )
    return path


def trained(file: Path, folder: Path, registry: Registry, *changes: str) -> str:
    text = io.StringIO()
    plan = KIND.load(file, [f"run.folder={folder}", *changes], registry)
    console = Console(file=text, width=200)
    console.print(KIND.describe(plan, registry))
    assert KIND.run(plan, registry, console).exit_code == 0
    return text.getvalue()


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "losses.csv").open(newline="") as read:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(read)]


def test_it_learns_and_leaves_what_a_training_leaves(file: Path, registry: Registry, tmp_path: Path) -> None:
    text = trained(file, tmp_path, registry)
    assert "model     points tiny, from random weights" in text
    assert "losses    reconstruction 10, equivariance 1, mouth 0.5" in text
    assert "8 steps, 32 pairs" in text
    assert [r["step"] for r in rows(tmp_path)] == [str(i) for i in range(1, 9)]
    last = {k: float(v) for k, v in rows(tmp_path)[-1].items() if v}
    assert last["total"] == pytest.approx(10 * last["reconstruction"] + last["equivariance"] + 0.5 * last["mouth"], rel=1e-4)
    weights = tmp_path / "warp_tiny.safetensors"
    assert metadata(weights)["architecture"] == "warp/tiny/1"
    networks = WarpNetworks()
    networks.load_state_dict({k: v.to(networks.state_dict()[k].dtype) for k, v in load_file(weights).items()})
    assert json.loads((tmp_path / "report.json").read_text())["figures"].keys() == {"psnr", "psnr_repeated"}
    assert read_image(tmp_path / "pictures" / "step_0000004.png").rgb.shape == (SIDE, 2 * 3 * SIDE, 3)
    assert {p.name for p in tmp_path.iterdir()} == {
        "warp_tiny.safetensors", "checkpoint.pt", "losses.csv", "report.json", "pictures",
    }  # fmt: skip


def test_its_losses_fall(file: Path, registry: Registry, tmp_path: Path) -> None:
    changes = ("run.steps=80", "optimiser.rate=1e-2", "data.jitter=0", "data.moved=0", "run.picture=0", "run.save=0")
    trained(file, tmp_path, registry, *changes)
    found = [float(r["reconstruction"]) for r in rows(tmp_path)]
    assert sum(found[-10:]) < 0.9 * sum(found[:10])


def test_it_goes_on_as_if_it_had_never_stopped(file: Path, registry: Registry, tmp_path: Path) -> None:
    trained(file, tmp_path / "unbroken", registry)
    trained(file, tmp_path / "broken", registry, "run.steps=5")
    assert "going on from step 5 (20 pairs)" in trained(file, tmp_path / "broken", registry)
    assert rows(tmp_path / "unbroken") == rows(tmp_path / "broken")
    one, other = (load_checkpoint(tmp_path / name / "checkpoint.pt", torch.device("cpu")) for name in ("unbroken", "broken"))
    for part in ("model", "averaged"):
        assert all(torch.equal(value, other[part][name]) for name, value in one[part].items())  # type: ignore[index,union-attr]


def test_it_starts_from_its_own_weights_and_takes_parts_of_it(file: Path, registry: Registry, tmp_path: Path) -> None:
    trained(file, tmp_path / "first", registry, "run.steps=2")
    start = tmp_path / "first" / "warp_tiny.safetensors"
    text = trained(file, tmp_path / "second", registry, "run.steps=2", f"model.start={start}", "model.trained=repair")
    assert f"starting from {start}" in text
    one, other = load_file(start), load_file(tmp_path / "second" / "warp_tiny.safetensors")
    assert {name.split(".")[0] for name in one if not torch.equal(one[name], other[name])} == {"repair"}


def test_faults_of_its_tables_are_told_at_once(file: Path, registry: Registry) -> None:
    changes = ["losses.recontruction=1", "losses.mouth=-1", "model.trained=rapair", "schedule.landmarks_from=3", "data.reshaped=0.5"]
    with pytest.raises(ConfigError) as caught:
        KIND.load(file, changes, registry)
    told = str(caught.value)
    for words in (
        "did you mean 'reconstruction'", "'mouth' must be >= 0", "nothing to train is called 'rapair'",
        "there is no key 'schedule.landmarks_from'", "data.reshaped: needs the labels shape, rotation, place",
    ):  # fmt: skip
        assert words in told, told
    with pytest.raises(ConfigError, match="did you mean 'points'"):
        KIND.load(file, ["model.system=point"], registry)
    with pytest.raises(ConfigError, match="no preset is called 'smal'"):
        KIND.load(file, ["model.preset=smal"], registry)


def test_the_guide_shows_what_is_written_here() -> None:
    root = Path(__file__).parents[2]
    section = (root / "docs" / "add_an_animator.md").read_text(encoding="utf-8").partition("## 6. Train")[2]
    blocks = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    written = (Path(__file__).parent / "recipe.py").read_text(encoding="utf-8")
    assert len(blocks) == 5
    assert [block for block in blocks if block not in written] == []
