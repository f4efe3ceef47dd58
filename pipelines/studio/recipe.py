"""The recipe of a result: a pipeline file that makes it again from the same two files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from pipelines.studio.desk import Desk


@attrs.frozen
class Recipe:
    """path: the TOML file as it is given away.  overrides: what differs when it is run here: file names, folders."""

    path: Path
    overrides: Sequence[str]


def write_recipe(desk: Desk) -> Recipe:
    """Write the recipe of the desk's settings to a folder of its own in the session."""
    portrait, clip = desk.sides["portrait"].upload, desk.sides["clip"].upload
    assert portrait is not None
    assert clip is not None
    folder = desk.session.new_folder("run")
    s = desk.settings
    text = f"""kind = "reenact"
[inputs]
sources = ["{{here}}/{portrait.name}"]
driving = ["{{here}}/{clip.name}"]
[transfer]
rotation = "{s.origins['rotation']}"
translation = "{s.origins['translation']}"
scale = "{s.origins['scale']}"
expression = "{s.origins['expression']}"
[output]
folder = "outputs/studio"
frame = "{s.frame}"
contact_sheet = ""
"""
    path = folder / "studio.toml"
    path.write_text(text, encoding="utf-8")
    over = [f'inputs.sources=["{portrait.path}"]', f'inputs.driving=["{clip.path}"]', f"output.folder={folder}/out", f"cache.folder={desk.cache}"]
    return Recipe(path, over)
