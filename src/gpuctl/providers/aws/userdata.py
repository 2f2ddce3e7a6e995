"""The user data of a machine: the guard, and beside it whose key gets in."""

from gpuctl.providers.aws import guard
from gpuctl.providers.base import Order

# Fixed, because EC2 compares user data byte for byte on a repeated create; it stands in no part.
_BOUNDARY = "=gpuctl-part="
_PARTS = f"""\
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="{_BOUNDARY}"

--{_BOUNDARY}
Content-Type: text/cloud-config; charset="us-ascii"
Content-Transfer-Encoding: 7bit

#cloud-config
ssh_authorized_keys:
  - @KEY@

--{_BOUNDARY}
Content-Type: text/x-shellscript; charset="us-ascii"
Content-Transfer-Encoding: 7bit

@GUARD@
--{_BOUNDARY}--
"""


def user_data(order: Order) -> str:
    """The guard as one shell script, or, where a key is to get in, that script and cloud-init's settings as two parts.

    The same order gives the same text byte for byte. The key is one line that `remote.keys` or a person's file gave,
    of the form `TYPE BASE64`, which needs no quoting in YAML. ValueError for anything else, and for what is longer than
    EC2 takes.
    """
    script = guard.user_data(order.max_ttl, order.idle)
    if order.ssh_key is None:
        return script
    kind, _, blob = order.ssh_key.partition(" ")
    if not kind.replace("-", "").replace("@", "").replace(".", "").isalnum() or not _is_base64(blob):
        raise ValueError("a public key is `TYPE BASE64`")
    text = _PARTS.replace("@KEY@", order.ssh_key).replace("@GUARD@", script)
    if len(text.encode("ascii")) > guard.MOST_BYTES:
        raise ValueError("the user data is longer than EC2 takes")
    return text


def _is_base64(blob: str) -> bool:
    return bool(blob) and blob.isascii() and blob.replace("+", "").replace("/", "").rstrip("=").isalnum()
