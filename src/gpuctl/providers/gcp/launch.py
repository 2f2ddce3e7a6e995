"""Sends an insert and waits for Google's decision, which comes through the operation that the insert begins."""

from datetime import timedelta

from gpuctl.domain.instance import Observed
from gpuctl.domain.tags import ID, STATE
from gpuctl.errors import CapacityError, CloudError, OutcomeUnknown, PartialCreate
from gpuctl.providers.base import Order
from gpuctl.providers.gcp.client import Api, Json
from gpuctl.providers.gcp.codes import TOKEN_USED
from gpuctl.providers.gcp.create import insert_body, request_id
from gpuctl.providers.gcp.errors import CALL_ERRORS, ODD_SHAPE, is_absent, translate, translate_create, translated
from gpuctl.providers.gcp.failures import ApiError, OperationFailed
from gpuctl.providers.gcp.ingress import Ingress
from gpuctl.providers.gcp.lookup import read_instance
from gpuctl.providers.gcp.names import cloud_id, other_types_hint
from gpuctl.providers.gcp.operations import check, wait
from gpuctl.providers.gcp.zones import Zones
from gpuctl.providers.wording import one_line

# Stockouts were seen up to 95 s after an insert was accepted; what takes longer is seen when the instance is listed.
_REFUSED_WITHIN = timedelta(seconds=100)


class Launching:
    """Creates instances; see `Provider.create`."""

    def __init__(self, api: Api, zones: Zones, ingress: Ingress) -> None:
        self._api = api
        self._zones = zones
        self._ingress = ingress

    def create(self, order: Order, account: str) -> Observed:
        """Send the order's insert once and return the instance. Raises what `Provider.create` does."""
        doing = f"could not create `{order.instance_type}` in `{order.zone or order.region}`"
        with translated(doing):
            zone = order.zone or next(iter(self._zones.of(order.region, order.instance_type)), None)
            if zone is None:
                raise CapacityError(f"{doing}: no zone offers it", hint=other_types_hint(order.region))
            body = insert_body(order, zone, self._api.project, self._ingress.tags_for(order))
        operation = self._insert(body, order, zone, doing)
        # From here on the instance may exist: only its operation can say that it does not.
        try:
            if operation is not None:
                self._await_decision(operation, order, zone)
            instance = read_instance(self._api, cloud_id(zone, order.token), account)
        except OperationFailed as error:
            raise translate_create(error, doing) from error
        except (*CALL_ERRORS, *ODD_SHAPE) as error:
            problem = translate(error, "its state could not be read") if isinstance(error, CALL_ERRORS) else error
            raise OutcomeUnknown(f"{doing}: Google accepted it, but {one_line(str(problem))}") from error
        if instance is None:
            raise OutcomeUnknown(f"{doing}: Google accepted it and does not show it", may_repeat=operation is not None)
        return instance

    def _insert(self, body: Json, order: Order, zone: str, doing: str) -> Json | None:
        """The operation that the insert begins; None where an instance of ours has that name already.

        Raises the refusal where Google created nothing, else OutcomeUnknown.
        """
        try:
            return self._api.post(f"zones/{zone}/instances", body, requestId=request_id(order.token))
        except CALL_ERRORS as error:
            if not isinstance(error, ApiError) or error.reason not in TOKEN_USED:
                raise translate_create(error, doing) from error
        except ValueError as error:
            raise OutcomeUnknown(f"{doing}: Google's answer could not be read ({type(error).__name__})") from error
        self._check_name(order, zone, doing)
        return None

    def _check_name(self, order: Order, zone: str, doing: str) -> None:
        """Raise unless the instance that has the order's name is the order's own."""
        try:
            labels = self._api.get(f"zones/{zone}/instances/{order.token}").get("labels") or {}
        except CALL_ERRORS as error:
            text = translate(error, f"{doing}: its name is taken, and by what could not be read").message
            raise OutcomeUnknown(text, may_repeat=False) from error
        if (labels.get(ID), labels.get(STATE)) != (order.record_id, order.state_id):
            raise CloudError(f"an instance `{order.token}` exists in `{zone}` already, and it is not ours")

    def _await_decision(self, operation: Json, order: Order, zone: str) -> None:
        """Wait until Google has decided, or long enough. OperationFailed, or PartialCreate where something is left."""
        try:
            operation = wait(self._api, operation, f"zones/{zone}", _REFUSED_WITHIN)
        except CALL_ERRORS:
            # A lost poll says nothing about the instance, which is looked up by its name.
            return
        try:
            check(operation)
        except OperationFailed as error:
            doing = f"could not create `{order.instance_type}` in `{zone}`"
            if error.code in TOKEN_USED:
                self._check_name(order, zone, doing)
                return
            refusal = translate(error, doing)
            if isinstance(refusal, CapacityError):
                self._zones.refused(order.instance_type, error.advised_zones)
            if self._may_exist(order.token, zone):
                raise PartialCreate(refusal, cloud_id(zone, order.token)) from error
            raise

    def _may_exist(self, name: str, zone: str) -> bool:
        try:
            self._api.get(f"zones/{zone}/instances/{name}")
        except CALL_ERRORS as error:
            return not is_absent(error)
        return True
