"""The AWS cloud as one WSGI application: moto's own server app, one call at a time, with AWS's manners added."""

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from threading import RLock
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.wrappers import Response

from gpuctl_sandbox.aws import groups
from gpuctl_sandbox.aws.conditions import Conditions, unknown_login
from gpuctl_sandbox.aws.console import console_output, is_xen
from gpuctl_sandbox.aws.gate import refused_request
from gpuctl_sandbox.aws.guests import guest_of
from gpuctl_sandbox.aws.images import stock
from gpuctl_sandbox.aws.launches import Launches
from gpuctl_sandbox.aws.lives import ITSELF, SPOT, Cause, Lives
from gpuctl_sandbox.aws.places import delete_default_subnet, place
from gpuctl_sandbox.aws.prose import refused_prose
from gpuctl_sandbox.aws.texts import refused_text
from gpuctl_sandbox.aws.volumes import refused_volumes, volumes_of, with_image_disks
from gpuctl_sandbox.aws.wire import Call, read_call, refusal, with_form, without_regions
from gpuctl_sandbox.guests.guest import Guest

_CALLS_KEPT = 10_000
_INSTANCE_ID = re.compile(r"i-([0-9a-f]{8}|[0-9a-f]{17})")


class AwsCloud:
    """AWS with one account, every region and a default network in each; empty at birth, held in memory only.

    moto keeps its state per process, so two of these in one process are one cloud with two memories of tokens.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._moto = DomainDispatcherApplication(create_backend_app)
        # moto is not made for threads, and two sends of one token must not both find it unused.
        self._lock = RLock()
        self._forget()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        call = read_call(environ)
        with self._lock:
            reply = self._answer(call, environ)
        return reply(environ, start_response)

    def instances(self) -> list[dict[str, Any]]:
        """Every machine since the last reset, ended ones too, oldest first; read from the backends, not described."""
        with self._lock:
            backends = self._backends()
            for backend in backends:
                self._lives.settle(backend, self._now())
            return self._lives.instances(backends)

    def guests(self) -> list[Guest]:
        """Every instance that is not terminated, as those who log in find it."""
        with self._lock:
            return [
                guest_of(instance, backend)
                for backend in self._backends()
                for instance in backend.all_instances()
                if instance.state != "terminated"
            ]

    @staticmethod
    def owns(path: str) -> bool:
        """Whether a path is one of AWS's: any may be, as the service stands in the host name and the headers."""
        return True

    def volumes(self) -> list[dict[str, Any]]:
        """Every volume there is, attached or not; a volume without an instance bills until somebody deletes it."""
        with self._lock:
            return [volume for backend in self._backends() for volume in volumes_of(backend)]

    def calls(self) -> list[dict[str, str]]:
        """The AWS calls served since the last reset, oldest first; of very many, the last ten thousand."""
        with self._lock:
            return list(self._calls)

    def interrupt(self, instance_id: str) -> bool:
        """End one machine the way AWS takes a spot machine back. False if no live machine has that id."""
        return self._end(instance_id, SPOT)

    def power_off(self, instance_id: str) -> bool:
        """End one machine as its own power-off does. False if no live machine has that id."""
        return self._end(instance_id, ITSELF)

    def set_up(self, settings: Mapping[str, Any]) -> None:
        """Change the conditions. Raises ValueError, and changes nothing, for an unknown name or value."""
        with self._lock:
            self._conditions.change(settings)
            for zone in settings.get("noDefaultSubnet", ()):
                delete_default_subnet(ec2_backends[DEFAULT_ACCOUNT_ID][zone[:-1]], zone)

    def _end(self, instance_id: str, cause: Cause) -> bool:
        with self._lock:
            for backend in self._backends():
                for instance in backend.all_instances():
                    if instance.id == instance_id and instance.state != "terminated":
                        instance.terminate()
                        self._lives.settle(backend, self._now(), cause)
                        return True
        return False

    def _backends(self) -> list[Any]:
        """EC2 in every region of every account, the default account first."""
        accounts = dict.fromkeys([DEFAULT_ACCOUNT_ID, *self._conditions.accounts.values()])
        return [backend for account in accounts for backend in list(ec2_backends[account].values())]

    def reset(self) -> None:
        """Empty every region and forget every token, call and condition."""
        with self._lock:
            moto_api_backend.reset()
            self._forget()

    def _forget(self) -> None:
        self._conditions = Conditions()
        self._launches = Launches()
        self._lives = Lives()
        self._stocked: set[tuple[str, str]] = set()
        self._calls: deque[dict[str, str]] = deque(maxlen=_CALLS_KEPT)

    def _answer(self, call: Call, environ: Mapping[str, Any]) -> Response:
        self._calls.append({"service": call.service, "action": call.action, "region": call.region})
        refused = self._conditions.refused_region(call)
        refused = refused or refused_request(call)
        if refused is not None:
            return refused
        account = self._conditions.account_of(call)
        environ = {**environ, "HTTP_X_MOTO_ACCOUNT_ID": account}
        if call.service not in ("ec2", "ssm"):
            return self._send(environ)
        if call.region not in ec2_backends[account]:
            return unknown_login(call)
        if (account, call.region) not in self._stocked:
            stock(account, call.region, self._now())
            groups.complete(ec2_backends[account][call.region])
            self._stocked.add((account, call.region))
        return self._answer_ec2(call, account, environ) if call.service == "ec2" else self._send(environ)

    def _answer_ec2(self, call: Call, account: str, environ: Mapping[str, Any]) -> Response:
        backend, now = ec2_backends[account][call.region], self._now()
        self._lives.settle(backend, now)
        try:
            refused = refused_text(call) or refused_prose(call, backend) or _refused(call, backend)
            refused = refused or groups.refused(call, backend) or refused_volumes(call, backend)
            if refused is not None:
                return refused
            if call.action == "RunInstances":
                return self._run(call, backend, now, environ)
            if call.action == "GetConsoleOutput":
                return self._console(call, backend, now) or self._send(environ)
            reply = self._send(environ)
            return (
                without_regions(reply, self._conditions.disabled_regions) if call.action == "DescribeRegions" else reply
            )
        finally:
            self._lives.settle(backend, now)

    def _run(self, call: Call, backend: Any, now: datetime, environ: Mapping[str, Any]) -> Response:
        def send(form: Mapping[str, str]) -> Response:
            if form.get("Action") != "RunInstances":
                return self._send(with_form(environ, form))
            placed = place(call, backend, self._conditions)
            if isinstance(placed, Response):
                return placed
            return self._send(with_form(environ, {**with_image_disks(form, backend), **placed}))

        known = {instance.id for instance in backend.all_instances()}
        reply = self._launches.run(call, backend, now, send)
        for instance in backend.all_instances():
            if instance.id not in known and self._conditions.launch_failures:
                failure = self._conditions.launch_failures.pop(0)
                self._lives.settle(backend, now)
                instance.terminate()
                self._lives.settle(backend, now, Cause("", failure.code, failure.message, is_dated=False))
        return reply

    def _console(self, call: Call, backend: Any, now: datetime) -> Response | None:
        named = call.form.get("InstanceId")
        instance = next((instance for instance in backend.all_instances() if instance.id == named), None)
        if instance is None:
            return None
        tags, end = backend.tags.get(instance.id, {}), self._lives.powered_off_at(instance.id)
        return console_output(instance, tags, call.form.get("Latest") == "true", end, now)

    def _send(self, environ: Mapping[str, Any]) -> Response:
        return Response.from_app(self._moto, dict(environ), buffered=True)


def _refused(call: Call, backend: Any) -> Response | None:
    """The refusal that AWS has for an id where moto says something else or nothing at all."""
    named = call.values("InstanceId")
    malformed = [name for name in named if not _INSTANCE_ID.fullmatch(name)]
    if malformed:
        return refusal("InvalidInstanceID.Malformed", f'Invalid id: "{malformed[0]}"')
    tagged = call.values("ResourceId") if call.action in ("CreateTags", "DeleteTags") else []
    present = {instance.id for instance in backend.all_instances()}
    wants_ipv6 = call.form.get("MetadataOptions.HttpProtocolIpv6") == "enabled"
    if call.action == "RunInstances" and wants_ipv6 and is_xen(call.form.get("InstanceType", "")):
        return refusal(
            "UnsupportedOperation",
            "The HttpProtocolIpv6 metadata option cannot be enabled for Xen-backed instance types.",
        )
    absent = [name for name in tagged if name.startswith("i-") and name not in present]
    if absent:
        return refusal("InvalidInstanceID.NotFound", f"The instance ID '{absent[0]}' does not exist")
    return None
