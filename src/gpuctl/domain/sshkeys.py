"""What a public SSH key is: its type, and how long an RSA key is."""

import base64
import binascii
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class KeyRule:
    """The public keys that a provider accepts: their types (none: every type), and the bits an RSA key has at least."""

    types: frozenset[str] = field(default_factory=frozenset)
    least_rsa_bits: int = 0

    def objection(self, public: str) -> str | None:
        """Why that key is not accepted; None if it is."""
        kind = public.partition(" ")[0]
        if self.types and kind not in self.types:
            return f"no `{kind}` key"
        if kind == "ssh-rsa" and (bits := rsa_bits(public)) < self.least_rsa_bits:
            return f"no RSA key of {bits} bits"
        return None


def rsa_bits(public: str) -> int:
    """The length of an RSA key's modulus in bits; 0 for a text that holds none."""
    try:
        blob = base64.b64decode(public.split()[1], validate=True)
    except (IndexError, binascii.Error, ValueError):
        return 0
    # RFC 4253: the type, the exponent and the modulus, each after its length in four bytes.
    fields = []
    while len(blob) >= 4:
        length = int.from_bytes(blob[:4])
        fields.append(blob[4 : 4 + length])
        blob = blob[4 + length :]
    return int.from_bytes(fields[2]).bit_length() if len(fields) == 3 else 0
