"""What goes over the wire to AWS: a request read as a call, and the replies that the layer writes itself."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import uuid4
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from werkzeug.wrappers import Response

_SCOPE = re.compile(r"Credential=(?P<key>[^/,]+)/\d{8}/(?P<region>[^/,]+)/(?P<service>[^/,]+)/")
_TIMES = re.compile(rb"<(launchTime|attachTime)>[^<]*<")


@dataclass(frozen=True)
class Call:
    """One AWS call: service, region and action, its parameters (empty unless sent as a form), body and access key."""

    service: str
    region: str
    action: str
    form: Mapping[str, str]
    body: bytes = b""
    access_key: str = ""

    def values(self, name: str) -> list[str]:
        """The values of a parameter, whether it came alone (`InstanceId`) or numbered (`InstanceId.1`)."""
        return [value for key, value in self.form.items() if re.fullmatch(rf"{name}(\.\d+)?", key)]

    def tags_for(self, resource: str) -> dict[str, str]:
        """The tags that this call's TagSpecifications ask for on one kind of resource."""
        numbers = [
            match[1]
            for key, value in self.form.items()
            if value == resource and (match := re.fullmatch(r"TagSpecification\.(\d+)\.ResourceType", key))
        ]
        keys = [
            (match[1], value)
            for number in numbers
            for key, value in self.form.items()
            if (match := re.fullmatch(rf"(TagSpecification\.{number}\.Tag\.\d+)\.Key", key))
        ]
        return {key: self.form.get(f"{prefix}.Value", "") for prefix, key in keys}


def read_call(environ: dict[str, Any]) -> Call:
    """The call in a request; the request's body can be read again afterwards."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = BytesIO(body)
    is_form = environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded")
    form = dict(parse_qsl(body.decode(), keep_blank_values=True)) if is_form else {}
    scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    action = form.get("Action") or environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    service, region, key = (scope["service"], scope["region"], scope["key"]) if scope else ("", "", "")
    return Call(service, region, action, form, body, key)


def with_form(environ: Mapping[str, Any], form: Mapping[str, str]) -> dict[str, Any]:
    """The same request with other parameters."""
    body = urlencode(form).encode()
    return {**environ, "wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}


def answer(action: str, body: str) -> Response:
    """An EC2 reply to `action` with that XML in it."""
    namespace = "http://ec2.amazonaws.com/doc/2016-11-15/"
    request = f"<requestId>{uuid4()}</requestId>"
    return _xml(f'<{action}Response xmlns="{namespace}">{request}{body}</{action}Response>'.encode())


def refusal(code: str, message: str, status: int = 400) -> Response:
    """An EC2 error as AWS writes it."""
    return _xml(
        f"<Response><Errors><Error><Code>{code}</Code><Message>{escape(message)}</Message></Error></Errors>"
        f"<RequestID>{uuid4()}</RequestID></Response>".encode(),
        status=status,
    )


def query_refusal(code: str, message: str, status: int = 400) -> Response:
    """An error of a query service other than EC2, such as STS."""
    return _xml(
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
        f"<RequestId>{uuid4()}</RequestId></ErrorResponse>".encode(),
        status=status,
    )


def json_refusal(code: str, message: str, status: int = 400) -> Response:
    """An error of a JSON service, such as SSM."""
    body = json.dumps({"__type": code, "message": message})
    return Response(body, status, {"x-amzn-requestid": str(uuid4())}, content_type="application/x-amz-json-1.1")


def without_regions(described: Response, names: Collection[str]) -> Response:
    """A DescribeRegions reply without the regions of these names."""
    answered = ElementTree.fromstring(described.get_data())
    for listing in answered.findall("{*}regionInfo"):
        for item in listing.findall("{*}item"):
            if item.findtext("{*}regionName") in names:
                listing.remove(item)
    return _xml(ElementTree.tostring(answered, default_namespace=answered.tag[1:].partition("}")[0]))


def launched_again(described: Response) -> Response:
    """A RunInstances reply with the one reservation that a DescribeInstances reply holds, as it is now."""
    answered = ElementTree.fromstring(described.get_data())
    namespace = answered.tag[1:].partition("}")[0]
    (reservation,) = answered.findall("{*}reservationSet/{*}item")
    reply = ElementTree.Element(f"{{{namespace}}}RunInstancesResponse")
    ElementTree.SubElement(reply, f"{{{namespace}}}requestId").text = str(uuid4())
    reply.extend(reservation)
    return _xml(ElementTree.tostring(reply, default_namespace=namespace))


def dated(reply: Response, at: datetime) -> Response:
    """The reply with the launch and attach times in it set to `at`: moto wrote the system's."""
    written = f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000Z".encode()
    reply.set_data(_TIMES.sub(rb"<\1>" + written + b"<", reply.get_data()))
    return reply


def _xml(body: bytes, status: int = 200) -> Response:
    head = b'<?xml version="1.0" encoding="UTF-8"?>\n'
    return Response(head + body, status, {"x-amzn-requestid": str(uuid4())}, content_type="text/xml;charset=UTF-8")
