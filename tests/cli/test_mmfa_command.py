"""The command ``mmfa``: what it hands to pipelines, where results go, what it says to a newcomer's mistakes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from disc_face import Disc, disc_registry
from disc_media import swinging, write_clip, write_portrait

import mmfa_components.registry
from mmfa.cli import COMMANDS, main
from mmfa.commands import animate, pose
from mmfa_components.errors import ConfigError
from mmfa_components.folders import CACHE_VARIABLE
from pipelines.media import read_image

Said = Callable[..., str]
DISC = ["face.detector.name=disc", "face.landmarks.name=disc", "animator.name=disc", "animator.options={}", "cache.mode=off"]
SET = [text for setting in DISC for text in ("--set", setting)]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """Run the command, check its exit code, and return all it says."""

    def run(code: int, *arguments: str) -> str:
        assert main(arguments) == code
        captured = capsys.readouterr()
        return captured.out + captured.err

    return run


@pytest.fixture
def discs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in with portraits and clips of the disc system."""
    monkeypatch.chdir(tmp_path)
    write_portrait(tmp_path / "me[1].png", Disc(60, 50, 20, yaw=0.1, tint=0.1))
    write_portrait(tmp_path / "you.png", Disc(60, 50, 20, yaw=0.1, tint=0.3))
    write_clip(tmp_path / "swing.mp4", swinging(5))
    monkeypatch.setattr(mmfa_components.registry, "load_registry", disc_registry)
    return tmp_path


def driven(*arguments: str) -> list[str]:
    options = animate.parser().parse_args(arguments)
    return animate.settings_of(options, *animate.inputs_of(options))


def settings(made: list[str]) -> dict[str, str]:
    return dict(text.split("=", 1) for text in made)


def test_help_names_every_command_and_is_quick_to_import(said: Said) -> None:
    text = said(0)
    for name, (_, about) in COMMANDS.items():
        assert name in text
        assert about in text
    done = subprocess.run([sys.executable, "-X", "importtime", "-m", "mmfa", "--help"], capture_output=True, text=True, check=True)
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "argparse" in imported
    assert not imported & {"torch", "numpy", "rich", "cattrs"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: mmfa {name}")


def test_mistakes_get_a_hint(said: Said) -> None:
    assert "did you mean 'animate'?" in said(2, "anmate", "me.jpg", "clip.mp4")
    assert "no driving video is named" in said(2, "animate", "me.jpg")
    assert "no portrait and no driving video" in said(2, "animate")
    assert "-s A.jpg B.jpg" in said(2, "animate", "a.jpg", "b.jpg", "clip.mp4")
    assert "did you mean 'face.smooth'?" in said(2, "keys", "face.smoot")


def test_sources_and_driving_as_arguments_or_as_options() -> None:
    for given in (["a.jpg", "b.mp4"], ["-s", "a.jpg", "-d", "b.mp4"], ["a.jpg", "-d", "b.mp4"], ["b.mp4", "-s", "a.jpg"]):
        made = settings(driven(*given))
        assert (made["inputs.sources"], made["inputs.driving"]) == ('["a.jpg"]', '["b.mp4"]')


def test_options_become_settings_and_set_comes_last() -> None:
    given = ["--paste", "--pose", "source", "--face", "1", "--smooth", "0.2", "--mark", "--set", "transfer.scale=absolute"]
    made = driven("a.jpg", "b.mp4", *given)
    assert made.index("transfer.scale=source") < made.index("transfer.scale=absolute")
    last = settings(made)
    expected = {
        "output.frame": "paste", "transfer.rotation": "source", "transfer.translation": "source", "transfer.scale": "absolute",
        "face.select": "1", "face.smooth": "0.2", "output.mark": "true",
    }  # fmt: skip
    assert {key: last[key] for key in expected} == expected
    options = pose.parser().parse_args(["me.jpg", "--yaw", "-15", "--expression", "s.png", "--amount", "0.5"])
    turned = settings(pose.settings_of(options))
    assert (turned["motion.yaw.offset"], turned["motion.expression.amount"], turned["inputs.clips.expression"]) == ("-15.0", "0.5", '"s.png"')


@pytest.mark.parametrize(("name", "codec"), [("r.mp4", "h264"), ("deep/r.webm", "vp9"), ("r.mkv", "h264"), ("r.gif", "gif")])
def test_a_result_under_the_name_that_was_asked_for(discs: Path, said: Said, name: str, codec: str) -> None:
    text = said(0, "animate", "me[1].png", "swing.mp4", "-o", name, *SET)
    assert name in text
    with av.open(str(discs / name)) as made:
        assert made.streams.video[0].codec_context.name == codec
        assert sum(1 for _ in made.decode(video=0)) == 5
    report = json.loads((discs / name).with_suffix(".report.json").read_text(encoding="utf-8"))
    assert report["jobs"][0]["status"] == "done"
    assert "1 up to date" in said(0, "animate", "me[1].png", "swing.mp4", "-o", name, *SET)


def test_a_picture_drives_a_picture(discs: Path, said: Said) -> None:
    said(0, "animate", "me[1].png", "you.png", *SET)
    made = read_image(discs / "outputs" / "me[1]__you.png").rgb
    assert made.shape == (64, 64, 3)
    said(0, "animate", "me[1].png", "you.png", "-o", "like.jpg", "--pose", "source", *SET)
    assert (discs / "like.jpg").is_file()
    assert "drives alone" in said(2, "animate", "-s", "me[1].png", "-d", "you.png", "swing.mp4", *SET)
    assert "the result is a picture" in said(2, "animate", "me[1].png", "you.png", "-o", "r.mp4", *SET)


def test_a_picture_gives_pose_and_expression_but_not_the_place() -> None:
    options = animate.parser().parse_args(["a.jpg", "b.png", "--expression", "source"])
    made = settings(animate.settings_of(options, ["a.jpg"], ["b.png"], pictures=True))
    taken = {name: made[f"motion.{name}.take"] for name in ("rotation", "expression", "translation", "scale")}
    assert taken == {"rotation": "absolute", "expression": "source", "translation": "source", "scale": "source"}
    assert made["inputs.clips.driving"] == '"b.png"'


def test_a_head_turned_too_far_is_warned_of(discs: Path, said: Said) -> None:
    assert "yaw is up to 60 degrees" in said(0, "pose", "you.png", "--yaw", "60", *SET)
    assert "warning" not in said(0, "pose", "you.png", "--yaw", "15", "-o", "little.png", *SET)


def test_a_folder_for_several_results(discs: Path, said: Said) -> None:
    several = ["animate", "-s", "me[1].png", "you.png", "-d", "swing.mp4"]
    assert "2 results, but one file is named" in said(2, *several, "-o", "r.mp4", *SET)
    said(0, *several, "-o", "all/", *SET)
    assert sorted(p.name for p in (discs / "all").iterdir()) == ["me[1]__swing.mp4", "report.json", "you__swing.mp4"]
    said(0, "animate", "you.png", "swing.mp4", *SET)
    assert (discs / "outputs" / "you__swing.mp4").is_file()


def test_names_that_cannot_be_results(discs: Path, said: Said) -> None:
    assert "cannot be written as .avi" in said(2, "animate", "you.png", "swing.mp4", "-o", "r.avi", *SET)
    assert "the result is a video" in said(2, "animate", "you.png", "swing.mp4", "-o", "r.png", *SET)
    assert "would overwrite an input" in said(2, "animate", "you.png", "swing.mp4", "-o", "swing.mp4", *SET)
    assert not list(discs.glob("r.*"))


def test_a_dry_run_shows_the_plan_with_the_name(discs: Path, said: Said) -> None:
    plan = json.loads(said(0, "animate", "you.png", "swing.mp4", "-o", "r.mp4", "--dry-run", "--json", *SET))
    assert [job["output"] for job in plan["jobs"]] == ["r.mp4"]
    assert not (discs / "r.mp4").exists()


def test_where_names_the_folders_in_use(said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))

    def folders() -> dict[str, str]:
        return {row["name"]: row["folder"] for row in json.loads(said(0, "where", "--json"))}

    assert Path(folders()["cache"]).name == "motion"
    (tmp_path / ".cache" / "mmfa").mkdir(parents=True)  # a cache of the project's own
    assert folders()["cache"] == str(tmp_path / ".cache" / "mmfa")
    monkeypatch.setenv("MMFA_CACHE", str(tmp_path / "mine"))
    assert folders()["cache"] == str(tmp_path / "mine")
    assert (Path(folders()["demo"]) / "clips" / "smiling_man.mp4").is_file()


def test_output_that_nobody_reads_is_no_fault(tmp_path: Path) -> None:
    for arguments in (["cache", "ls", "--folder", str(tmp_path)], ["run", "--list"], ["plugins", "list"], ["keys"]):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run([sys.executable, "-m", "mmfa", *arguments], stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
        os.close(writing)
        assert (done.returncode, done.stderr) == (0, ""), arguments


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_knows_commands_and_options(shell: str, said: Said) -> None:
    script = said(0, "completion", shell)
    for words in ("animate", "--paste", "--older-than", "--dry-run"):
        assert words in script


def test_settings_quote_what_toml_would_read_otherwise() -> None:
    with pytest.raises(ConfigError):
        driven()
    assert settings(driven('a"b.jpg', "1.mp4"))["inputs.sources"] == '["a\\"b.jpg"]'
