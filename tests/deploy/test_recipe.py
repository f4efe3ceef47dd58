"""The cluster recipe as far as one machine can tell: the YAML is what Ray's launcher takes, the script builds the right command."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def test_the_cluster_file_has_what_the_launcher_needs() -> None:
    known = yaml.safe_load((DEPLOY / "ray_cluster.yaml").read_text(encoding="utf-8"))
    assert known["provider"].keys() == {"type", "head_ip", "worker_ips"}
    assert known["max_workers"] == len(known["provider"]["worker_ips"])
    assert known["auth"]["ssh_user"]
    for command in known["setup_commands"] + known["head_start_ray_commands"] + known["worker_start_ray_commands"]:
        assert subprocess.run(["bash", "-n", "-c", command], check=False).returncode == 0, command
    assert "mmfa[ray,cloud]" in " ".join(known["setup_commands"])
    schema = Path(__import__("ray").__file__).parent / "autoscaler" / "ray-schema.json"
    import json

    fields = json.loads(schema.read_text(encoding="utf-8"))["properties"]
    assert known.keys() - fields.keys() == set()  # no key that Ray does not know


def fake_ray(folder: Path, command: str) -> Path:
    """A program in place of ray."""
    fake = folder / "ray"
    fake.write_text(f"#!/bin/sh\n{command}\n")
    fake.chmod(0o755)
    return fake


def submitted(tmp_path: Path, *arguments: str) -> list[str]:
    """The command line that the script would give to ray."""
    fake = fake_ray(tmp_path, 'printf "%s\\n" "$@"')
    done = subprocess.run([str(DEPLOY / "submit.sh"), *arguments], env={**os.environ, "RAY": str(fake)}, capture_output=True, text=True, check=False)
    assert done.returncode == (0 if arguments else 2), done.stderr
    return (done.stdout or done.stderr).splitlines()


def test_the_script_submits_the_pipeline_with_the_ray_engine(tmp_path: Path) -> None:
    file = tmp_path / "mine here.toml"
    file.write_text("")
    line = submitted(tmp_path, str(file), "--set", "output.folder=s3://b/out")
    assert line[: line.index("--")] == ["job", "submit", "--working-dir", str(tmp_path), "--entrypoint-num-cpus", "1"]
    assert shlex.join(line[line.index("--") + 1 :]) == (
        "python -m pipelines.run 'mine here.toml' --set engine.name=ray --set engine.ray.address=auto --set output.folder=s3://b/out"
    )
    assert "--working-dir" not in submitted(tmp_path, "batch_reenact")
    assert "deploy/submit.sh" in "".join(submitted(tmp_path))


def test_the_script_brings_the_token_where_there_is_one(tmp_path: Path) -> None:
    fake = fake_ray(tmp_path, 'echo "mode ${RAY_AUTH_MODE:-none}"')
    plain = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}

    def mode(**changes: str) -> str:
        environment = {**plain, "RAY": str(fake), "HOME": str(tmp_path), **changes}
        done = subprocess.run([str(DEPLOY / "submit.sh"), "batch_reenact"], env=environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert mode() == "mode none"
    assert mode(RAY_AUTH_TOKEN="secret") == "mode token"
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("secret")
    assert mode() == "mode token"
    assert mode(RAY_AUTH_MODE="disabled") == "mode disabled"
