"""What RunInstances means on AWS and not in moto: client tokens, the whole count, tags and end of the interfaces."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from werkzeug.wrappers import Response

from gpuctl_sandbox.aws.wire import Call, dated, launched_again, refusal

# AWS compares neither where a repeat is sent (each region has tokens of its own) nor the zone it names.
_NOT_COMPARED = {"ClientToken", "Placement.AvailabilityZone", "Placement.AvailabilityZoneId"}


@dataclass(frozen=True)
class _Launch:
    asked: Mapping[str, str]
    instance_ids: tuple[str, ...]


class Launches:
    """The client tokens of every region and the launch that each of them stands for, until the sandbox is emptied."""

    def __init__(self) -> None:
        self._launches: dict[tuple[str, str], _Launch] = {}

    def run(self, call: Call, backend: Any, at: datetime, send: Callable[[Mapping[str, str]], Response]) -> Response:
        """Launch, or answer with what the call's token launched before; `send` puts parameters to moto.

        A token with other parameters, or one whose machines have ended, is refused as AWS does. A refused launch and a
        dry run leave no token behind. One call at a time: the caller holds the cloud's lock.
        """
        token = call.form.get("ClientToken", "")
        parameters = {name: value for name, value in call.form.items() if name not in _NOT_COMPARED}
        earlier = self._launches.get((call.region, token)) if token and call.form.get("DryRun") != "true" else None
        if earlier is not None:
            return _repeat(earlier, parameters, token, backend, send)
        known = set(backend.reservations)
        # moto launches MinCount where AWS launches up to MaxCount.
        reply = send({**call.form, "MinCount": call.form.get("MaxCount", "1")})
        instances = [
            instance
            for name, reservation in backend.reservations.items()
            if name not in known
            for instance in reservation.instances
        ]
        for instance in instances:
            instance.client_token = token or None
            _finish_interfaces(instance, call, backend)
        if instances and token:
            self._launches[call.region, token] = _Launch(parameters, tuple(instance.id for instance in instances))
        return dated(reply, at) if instances else reply


def _repeat(
    earlier: _Launch,
    parameters: Mapping[str, str],
    token: str,
    backend: Any,
    send: Callable[[Mapping[str, str]], Response],
) -> Response:
    if parameters != earlier.asked:
        return refusal(
            "IdempotentParameterMismatch",
            f"Arguments on this idempotent request are inconsistent with arguments used in previous request(s) "
            f"for the client token {token}.",
        )
    active = {instance.id for instance in backend.all_instances() if instance.state != "terminated"}
    if not active.issuperset(earlier.instance_ids):
        return refusal(
            "IdempotentInstanceTerminated",
            f"The instance(s) {', '.join(earlier.instance_ids)} launched with the client token {token} "
            f"have been terminated.",
        )
    numbered = {f"InstanceId.{number}": name for number, name in enumerate(earlier.instance_ids, 1)}
    return launched_again(send({"Action": "DescribeInstances", "Version": parameters.get("Version", ""), **numbered}))


def _finish_interfaces(instance: Any, call: Call, backend: Any) -> None:
    names_its_own = any(
        name.startswith("NetworkInterface.") and name.endswith((".NetworkInterfaceId", ".DeleteOnTermination"))
        for name in call.form
    )
    for interface in instance.network_interfaces:
        backend.create_tags([interface.id], call.tags_for("network-interface"))
        interface.delete_on_termination = interface.delete_on_termination if names_its_own else True
