"""The examples of the API run as they are written: in the manual, docstrings, the notebook."""

from __future__ import annotations

import doctest
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mmfa
import mmfa.predictor
from pipelines.config.places import DEMO_FOLDER
from pipelines.media import open_video

ROOT = Path(__file__).parents[2]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.REPORT_ONLY_FIRST_FAILURE


@pytest.fixture(scope="module")
def predictor() -> Iterator[mmfa.Predictor]:
    with mmfa.load(device="cpu") as loaded:
        yield loaded


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_manual(monkeypatch: pytest.MonkeyPatch) -> None:
    found = doctest.testfile(
        str(ROOT / "docs" / "api.md"),
        module_relative=False,
        globs={"demo": str(DEMO_FOLDER)},
        optionflags=FLAGS,
        encoding="utf-8",
    )
    assert found.attempted > 15
    assert found.failed == 0


def test_docstrings(predictor: mmfa.Predictor) -> None:
    with open_video(DEMO_FOLDER / "clips" / "smiling_man.mp4") as clip:
        frames = [frame.rgb().numpy() for frame in itertools.islice(clip.frames(), 2)]
    me = predictor.portrait("{demo}/portraits/hiker.jpg")
    given = {"predictor": predictor, "me": me, "frames": frames}
    found = doctest.testmod(mmfa.predictor, extraglobs=given, optionflags=FLAGS)
    assert found.attempted >= 6
    assert found.failed == 0


class Short:
    """The predictor of the notebook with clips cut short, for two cores are slow."""

    def __init__(self, whole: mmfa.Predictor) -> None:
        self.whole = whole

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole, name)

    def animate(self, me: mmfa.Portrait, path: str) -> Iterator[Any]:
        with open_video(Path(path.format(demo=DEMO_FOLDER))) as clip:
            frames = [frame.rgb().numpy() for frame in itertools.islice(clip.frames(), 3)]
        return iter([*self.whole.animate(me, frames)] * 8)

    def close(self) -> None:
        """The fixture does."""


def test_the_notebook(predictor: mmfa.Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmfa, "load", lambda: Short(predictor), raising=False)
    notebook = json.loads((ROOT / "examples" / "first_steps.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] for cell in cells)
    names: dict[str, Any] = {}
    for cell in cells:
        exec("".join(cell["source"]), names)
    assert names["me"].crop.shape[2] == 3
    assert len(names["shown"]) == 3
