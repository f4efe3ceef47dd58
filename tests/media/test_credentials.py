"""Content credentials: results signed with a certificate made here, read back, and found out when they are changed; the visible mark."""

from __future__ import annotations

import builtins
import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from PIL import Image

from mmfa_components.errors import ConfigError, OutputError
from pipelines.config.faults import Faults
from pipelines.config.schema import Provenance
from pipelines.media import VideoWriter, read_metadata, write_image
from pipelines.media.credentials import load_signer, read_credentials
from pipelines.runs.sealing import check_provenance, seal_facts, seal_of, signer_of
from pipelines.stages.mark import mark_frames

pytest.importorskip("c2pa")
pytest.importorskip("cryptography")


@attrs.frozen
class Pems:
    """Files of a chain: a root of our own and a signer."""

    certificate: Path
    key: Path
    other_key: Path


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Pems:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    now = datetime.datetime.now(datetime.UTC)

    def name(text: str) -> Any:
        return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "MMFA tests"), x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def usage(authority: bool) -> Any:
        off = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False)
        return x509.KeyUsage(digital_signature=True, key_cert_sign=authority, crl_sign=authority, **off)

    def make(subject: str, issuer_key: Any) -> tuple[Any, Any]:
        key, authority = ec.generate_private_key(ec.SECP256R1()), issuer_key is None
        builder = (
            x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name("root")).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key((issuer_key or key).public_key()), critical=False)
            .add_extension(usage(authority), critical=True)
        )  # fmt: skip
        if not authority:
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        return key, builder.sign(issuer_key or key, hashes.SHA256())

    def private(key: Any) -> bytes:
        data: bytes = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return data

    root_key, root = make("root", None)
    key, certificate = make("signer", root_key)
    folder = tmp_path_factory.mktemp("pems")
    pems = Pems(folder / "chain.pem", folder / "key.pem", folder / "other.pem")
    pems.certificate.write_bytes(b"".join(c.public_bytes(serialization.Encoding.PEM) for c in (certificate, root)))
    pems.key.write_bytes(private(key))
    pems.other_key.write_bytes(private(ec.generate_private_key(ec.SECP256R1())))
    return pems


def picture(side: int = 64) -> torch.Tensor:
    return torch.randint(0, 255, (2, side, side, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


NOTES = {"synthetic": "yes", "model": "mmfa 1", "motion": "clip.mp4", "mmfa": '{"key":"abc"}'}


def write(path: Path, seal: Any) -> Path:
    if path.suffix == ".png":
        write_image(path, picture()[0], metadata=NOTES, seal=seal)
    else:
        with VideoWriter(path, 64, 64, Fraction(1, 25), Fraction(25), metadata=NOTES, seal=seal) as writer:
            writer.write(picture(), [0, 1])
    return path


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.png"])
def test_a_signed_result_says_what_it_is(tmp_path: Path, pems: Pems, name: str) -> None:
    provenance = Provenance(str(pems.certificate), str(pems.key))
    path = write(tmp_path / name, seal_of(provenance, tmp_path / name, NOTES))
    found = read_credentials(path)
    assert found["title"] == name
    assert found["claim_generator_info"][0]["name"] == "MMFA"
    assertions = {a["label"].split(".v")[0]: a["data"] for a in found["assertions"]}
    action = assertions["c2pa.actions"]["actions"][0]
    assert action["digitalSourceType"].endswith("compositeWithTrainedAlgorithmicMedia")
    assert assertions["org.mmfa.notes"] == NOTES
    assert found["validation_state"] == "Valid"
    assert read_metadata(path) == NOTES  # what is used to skip finished results is still there
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_change_after_signing_is_found_out(tmp_path: Path, pems: Pems) -> None:
    path = write(tmp_path / "a.png", seal_of(Provenance(str(pems.certificate), str(pems.key)), tmp_path / "a.png", NOTES))
    data = bytearray(path.read_bytes())
    data[-40] ^= 0xFF
    path.write_bytes(bytes(data))
    assert read_credentials(path)["validation_state"] == "Invalid"


def test_without_a_certificate_nothing_is_signed(tmp_path: Path) -> None:
    assert seal_of(Provenance(), tmp_path / "a.png", NOTES) is None
    assert seal_facts(Provenance()) == {}
    assert read_credentials(write(tmp_path / "a.png", None)) == {}


def test_wrong_certificates_are_told_before_any_work(tmp_path: Path, pems: Pems) -> None:
    (tmp_path / "text.pem").write_text("hello")
    cases = [
        (Provenance(str(pems.certificate)), ".mp4", "provenance.key: is missing"),
        (Provenance(str(tmp_path / "none.pem"), str(pems.key)), ".mp4", "cannot be read"),
        (Provenance(str(tmp_path / "text.pem"), str(pems.key)), ".mp4", "is no PEM file"),
        (Provenance(str(pems.certificate), str(pems.key), "ps256"), ".mp4", "cannot sign with this certificate"),
        (Provenance(str(pems.certificate), str(pems.certificate)), ".mp4", "cannot sign with this certificate"),
        (Provenance(str(pems.certificate), str(pems.key)), ".mkv", "cannot be signed"),
    ]
    for provenance, suffix, words in cases:
        faults = Faults()
        check_provenance(provenance, suffix, faults)
        assert words in str(faults.items[0]), words
    faults = Faults()
    check_provenance(Provenance(str(pems.certificate), str(pems.key)), ".mp4", faults)
    assert faults.items == []


def test_a_signature_that_fails_leaves_no_result(tmp_path: Path, pems: Pems) -> None:
    signer = attrs.evolve(load_signer(pems.certificate, pems.key, "es256"), key=b"-----BEGIN nothing-----")
    for name in ("a.png", "a.mp4"):
        with pytest.raises(OutputError, match="cannot be signed"):
            write(tmp_path / name, lambda path: signer.sign(path, "a", NOTES))
    assert list(tmp_path.iterdir()) == []


def test_without_the_package_the_fix_is_named(pems: Pems, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def no_c2pa(name: str, *args: Any, **options: Any) -> Any:
        if name == "c2pa":
            raise ImportError("No module named 'c2pa'")
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", no_c2pa)
    with pytest.raises(ConfigError, match="c2pa-python") as caught:
        signer_of(Provenance(str(pems.certificate), str(pems.key)))
    assert "pip install 'mmfa[c2pa]'" in caught.value.fix


# ---- the visible mark --------------------------------------------------------------------------------------------------------
def contrast(rgb: torch.Tensor, marked: torch.Tensor) -> float:
    """Difference in brightness between the letters and the plate around them, where the mark is."""
    changed = (rgb != marked).any(-1)
    rows, columns = changed.any(1).nonzero().flatten(), changed.any(0).nonzero().flatten()
    place = marked[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].float().mean(-1).flatten()
    return float(place.quantile(0.97) - place.quantile(0.2))


@pytest.mark.parametrize("shade", [0, 128, 255])
@pytest.mark.parametrize("size", [(256, 256), (720, 1280)])
def test_the_mark_can_be_read_on_any_ground(shade: int, size: tuple[int, int]) -> None:
    rgb = torch.full((2, *size, 3), shade, dtype=torch.uint8)
    marked = mark_frames(rgb)
    assert contrast(rgb[0], marked[0]) > 120
    height, width = size
    changed = (rgb != marked).any(-1)[0]
    if shade:
        assert bool(changed[-5:, :5].any())
    assert not bool(changed[: height * 3 // 4].any())  # in the lower left corner only
    assert not bool(changed[:, width * 3 // 4 :].any())
    assert torch.equal(marked[0], marked[1])
    assert not bool((rgb != shade).any())


def test_the_marks_letters_are_those_of_the_text() -> None:
    """The bright pixels are the text as Pillow draws it: another text gives other pixels, the same text the same."""
    rgb = torch.full((1, 256, 256, 3), 90, dtype=torch.uint8)
    assert torch.equal(mark_frames(rgb), mark_frames(rgb, "AI-generated"))
    assert not torch.equal(mark_frames(rgb), mark_frames(rgb, "AI-generateb"))
    letters = (mark_frames(rgb)[0, ..., 0] > 200).any(0)
    runs = int((letters[1:] & ~letters[:-1]).sum())
    assert runs >= 9  # twelve letters, of which few may touch


def test_a_tiny_picture_is_marked_too() -> None:
    assert mark_frames(torch.zeros(1, 16, 16, 3, dtype=torch.uint8)).shape == (1, 16, 16, 3)


def test_look_at_the_mark(tmp_path: Path) -> None:
    """The mark survives what a JPEG of low quality does to it."""
    rgb = torch.full((1, 256, 256, 3), 180, dtype=torch.uint8)
    marked = mark_frames(rgb)[0]
    Image.fromarray(marked.numpy()).save(tmp_path / "a.jpg", quality=40)
    back = torch.from_numpy(np.array(Image.open(tmp_path / "a.jpg").convert("L")))[..., None].expand(-1, -1, 3)
    assert contrast(rgb[0], torch.where(marked != rgb[0], back, rgb[0])) > 100
