"""Which public SSH keys a provider accepts."""

import base64

import pytest

from gpuctl.domain.sshkeys import KeyRule, rsa_bits

RULE = KeyRule(frozenset({"ssh-rsa", "ssh-ed25519"}), least_rsa_bits=2048)


def rsa(bits: int) -> str:
    def field(value: bytes) -> bytes:
        return len(value).to_bytes(4) + value

    modulus = (1 << (bits - 1) | 1).to_bytes(bits // 8 + 1)
    return "ssh-rsa " + base64.b64encode(field(b"ssh-rsa") + field(b"\1\0\1") + field(modulus)).decode()


@pytest.mark.parametrize("bits", [1024, 2047, 2048, 4096])
def test_an_rsa_key_is_as_long_as_its_modulus(bits: int) -> None:
    assert rsa_bits(f"{rsa(bits)} a comment") == bits


@pytest.mark.parametrize("text", ["", "ssh-rsa", "ssh-rsa !!", "ssh-rsa AAAA", "ssh-rsa AAAAB3NzaC1yc2E="])
def test_a_text_that_is_no_key_has_no_bits(text: str) -> None:
    assert rsa_bits(text) == 0


@pytest.mark.parametrize(
    ("key", "objection"),
    [
        ("ssh-ed25519 AAAA", None),
        (rsa(2048), None),
        (rsa(1024), "no RSA key of 1024 bits"),
        ("ecdsa-sha2-nistp256 AAAA", "no `ecdsa-sha2-nistp256` key"),
        ("sk-ssh-ed25519@openssh.com AAAA", "no `sk-ssh-ed25519@openssh.com` key"),
    ],
)
def test_azure_accepts_rsa_from_2048_bits_on_and_ed25519(key: str, objection: str | None) -> None:
    assert RULE.objection(key) == objection
    assert KeyRule().objection(key) is None
