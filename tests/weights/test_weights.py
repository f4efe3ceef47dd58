"""The weights catalogue: files that are missing, damaged, of another architecture or do not fit, and the user's replacements."""

from __future__ import annotations

import json
import os
from pathlib import Path

import attrs
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mmfa_components.errors import WeightsError
from mmfa_components.registry import load_registry
from mmfa_components.weights import WeightsCatalogue, WeightsFile, file_digest, load_into, metadata, options_metadata, read_weights


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A good file of architecture "small"."""
    file = tmp_path / "small.safetensors"
    save_file(network().state_dict(), file, metadata={"architecture": "small"})
    return file


def changed(path: Path, content: bytes) -> Path:
    file = path.with_name("changed.safetensors")
    file.write_bytes(content)
    return file


def shipped(path: Path) -> WeightsFile:
    return WeightsFile("net", path, "small", file_digest(path), "Apache-2.0", "made here")


# ---- reading -------------------------------------------------------------------------------------------------------------
def test_good_file_is_read_exactly(path: Path) -> None:
    tensors = read_weights(path, "small", file_digest(path))
    wanted = network().state_dict()
    assert tensors.keys() == wanted.keys()
    assert all(torch.equal(tensors[k], wanted[k]) and tensors[k].dtype == wanted[k].dtype for k in wanted)


@pytest.mark.parametrize("read", [lambda p: read_weights(p, "small"), metadata])
@pytest.mark.parametrize(("name", "cause"), [("none.safetensors", "No such file"), ("", "Is a directory")])
def test_missing_file_and_folder(tmp_path: Path, name: str, cause: str, read: object) -> None:
    with pytest.raises(WeightsError, match=cause) as caught:
        read(tmp_path / name)  # type: ignore[operator]
    assert caught.value.where == str(tmp_path / name)
    assert caught.value.fix


@pytest.mark.parametrize("read", [lambda p: read_weights(p, "small"), metadata])
def test_truncated_anywhere(path: Path, read: object) -> None:
    content = path.read_bytes()
    for length in (0, 4, 8, 30, len(content) // 2, len(content) - 1):
        file = changed(path, content[:length])
        with pytest.raises(WeightsError, match="damaged or truncated") as caught:
            read(file)  # type: ignore[operator]
        assert caught.value.where == str(file)


@pytest.mark.parametrize("content", [b"<html>not found</html>", b"\x80\x02}q\x00." * 20, bytes(64)])
def test_other_kinds_of_file(path: Path, content: bytes) -> None:
    with pytest.raises(WeightsError, match="damaged or truncated"):
        read_weights(changed(path, content), "small")


def test_other_architecture_is_named(path: Path) -> None:
    with pytest.raises(WeightsError, match="made for architecture 'small', not 'large'") as caught:
        read_weights(path, "large")
    assert "'large'" in caught.value.fix


def test_file_without_architecture(path: Path) -> None:
    file = path.with_name("plain.safetensors")
    save_file(network().state_dict(), file)
    with pytest.raises(WeightsError, match="does not say what architecture"):
        read_weights(file, "small")


def test_every_changed_byte_of_a_shipped_file_is_found(path: Path) -> None:
    content, digest = path.read_bytes(), file_digest(path)
    for place in (0, 9, content.index(b"small"), len(content) - 1):
        flipped = bytearray(content)
        flipped[place] ^= 1
        with pytest.raises(WeightsError, match="not the one that was shipped"):
            read_weights(changed(path, bytes(flipped)), "small", digest)


def test_digest_follows_the_content_even_when_the_times_are_set_back(path: Path) -> None:
    first, stat = file_digest(path), path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert file_digest(path) != first
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    assert file_digest(path) == first


def test_metadata_and_options(path: Path) -> None:
    @attrs.frozen
    class Options:
        width: int = 3
        kinds: tuple[str, ...] = ("a",)

    assert metadata(path) == {"architecture": "small"}
    assert json.loads(options_metadata(Options())) == {"width": 3, "kinds": ["a"]}


# ---- loading into a network ----------------------------------------------------------------------------------------------
def test_load_into_copies_values_and_keeps_the_networks_dtype(path: Path) -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).double()
    load_into(net, read_weights(path, "small"), "here")
    wanted = network().state_dict()
    assert all(torch.equal(v.float(), wanted[k].float()) for k, v in net.state_dict().items())
    assert net[0].weight.dtype == torch.float64
    assert net[1].num_batches_tracked.dtype == torch.int64


def test_misfits_are_named_and_nothing_is_loaded() -> None:
    net, good = network(), network().state_dict()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    cases = {
        "missing 0.bias": {k: v for k, v in good.items() if k != "0.bias"},
        "unexpected extra": {**good, "extra": torch.ones(1)},
        r"0.weight is \(3, 4\), expected \(4, 3\)": {**good, "0.weight": torch.ones(3, 4)},
        "0.weight is torch.int64, expected torch.float32": {**good, "0.weight": torch.ones(4, 3, dtype=torch.int64)},
    }
    for text, tensors in cases.items():
        with pytest.raises(WeightsError, match=text) as caught:
            load_into(net, {k: v + 1 if v.is_floating_point() else v for k, v in tensors.items()}, "a.safetensors")
        assert caught.value.where == "a.safetensors"
        assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_many_misfits_are_counted() -> None:
    with pytest.raises(WeightsError, match="and 3 more"):
        load_into(network(), {}, "here")


# ---- the catalogue -------------------------------------------------------------------------------------------------------
def test_catalogue_finds_reads_and_loads(path: Path) -> None:
    catalogue = WeightsCatalogue.of([shipped(path)])
    assert catalogue.path("net") == path
    assert catalogue.digest("net") == file_digest(path)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    catalogue.load("net", net)
    assert torch.equal(net[0].weight, network().state_dict()["0.weight"])


def test_misfit_names_the_file(path: Path) -> None:
    with pytest.raises(WeightsError, match="do not fit") as caught:
        WeightsCatalogue.of([shipped(path)]).load("net", nn.Linear(1, 1))
    assert caught.value.where == str(path)


@pytest.mark.parametrize("use", ["path", "digest", "read"])
def test_unknown_name_has_a_suggestion(path: Path, use: str) -> None:
    catalogue = WeightsCatalogue.of([shipped(path)])
    with pytest.raises(WeightsError, match="no weights are named 'nett'") as caught:
        getattr(catalogue, use)("nett")
    assert caught.value.fix == "did you mean 'net'?"


def test_override_of_an_unknown_name(path: Path) -> None:
    with pytest.raises(WeightsError, match="no weights are named 'nett'"):
        WeightsCatalogue.of([shipped(path)], {"nett": path})


def test_override_replaces_file_and_digest_and_is_still_checked(path: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.safetensors"
    save_file({k: v + 1 for k, v in network().state_dict().items()}, own, metadata={"architecture": "small"})
    usual, catalogue = WeightsCatalogue.of([shipped(path)]), WeightsCatalogue.of([shipped(path)], {"net": own})
    assert catalogue.path("net") == own
    assert catalogue.digest("net") == file_digest(own) != usual.digest("net")
    assert torch.equal(catalogue.read("net")["0.bias"], usual.read("net")["0.bias"] + 1)
    save_file(network().state_dict(), own, metadata={"architecture": "large"})
    with pytest.raises(WeightsError, match="architecture 'large'"):
        catalogue.read("net")
    own.unlink()
    with pytest.raises(WeightsError, match="No such file") as caught:
        catalogue.read("net")
    assert caught.value.where == str(own)


def test_catalogue_does_not_share_the_callers_overrides(path: Path) -> None:
    overrides: dict[str, Path] = {}
    catalogue = WeightsCatalogue.of([shipped(path)], overrides)
    overrides["net"] = path.with_name("other")
    assert catalogue.path("net") == path


def test_shipped_weights_are_the_ones_the_plugins_name() -> None:
    registry = load_registry()
    catalogue = registry.catalogue()
    present = [f for f in registry.weights.values() if f.path.exists()]
    assert {"facemesh_detector", "facemesh_landmarks", "facemesh_geometry"} <= {f.name for f in present}
    for file in present:
        assert file.sha256 in ("", file_digest(file.path))
        assert metadata(file.path)["architecture"] == file.architecture
        assert file.licence
        assert catalogue.read(file.name)
