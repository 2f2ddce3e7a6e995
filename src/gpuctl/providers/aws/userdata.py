"""The user data of an instance: the guard, and the public key that may log in."""

from gpuctl.providers.aws import guard
from gpuctl.providers.base import Order

# Fixed, because EC2 compares user data byte for byte on a repeated create; no part contains it.
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
Content-Type: text/cloud-boothook; charset="us-ascii"
Content-Transfer-Encoding: 7bit

@GUARD@
--{_BOUNDARY}--
"""


def user_data(order: Order) -> str:
    """The guard as a boothook of cloud-init, and, where the order has a key, cloud-init's settings as a second part.

    A boothook runs in the network stage of every boot; a shell script would run after multi-user.target on Debian and
    Ubuntu, and never if a unit before that blocks. The same order gives the same text byte for byte. The key is one
    line of the form `TYPE BASE64`, which needs no quoting in YAML. ValueError for anything else, and for a text that is
    longer than EC2 takes; `fits` tells beforehand.
    """
    script = guard.user_data(order.max_ttl, order.idle)
    if order.ssh_key is None:
        return _limited(f"#cloud-boothook\n{script}")
    kind, _, blob = order.ssh_key.partition(" ")
    if not kind.replace("-", "").replace("@", "").replace(".", "").isalnum() or not _is_base64(blob):
        raise ValueError("a public key is `TYPE BASE64`")
    return _limited(_PARTS.replace("@KEY@", order.ssh_key).replace("@GUARD@", script))


def _limited(text: str) -> str:
    if len(text.encode("ascii")) > guard.MOST_BYTES:
        raise ValueError("the user data is longer than EC2 takes")
    return text


def _is_base64(blob: str) -> bool:
    return bool(blob) and blob.isascii() and blob.replace("+", "").replace("/", "").rstrip("=").isalnum()
