"""What each of EC2's documented error codes means to a create, whatever the HTTP status they come with.

The codes are those of https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html that RunInstances, or the
calls that open port 22 before it, can answer, and those that reports of users add to them.
"""

from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from botocore.parsers import ResponseParserError

from gpuctl.errors import (
    CapacityError,
    CloudError,
    CredentialsError,
    Extent,
    GpuctlError,
    NotNowError,
    OutcomeUnknown,
    QuotaError,
    ThrottledError,
)
from gpuctl.providers.aws.errors import refusal_of, translate_create

CAPACITY = """
    InsufficientAddressCapacity InsufficientCapacity InsufficientCapacityOnHost InsufficientHostCapacity
    InsufficientInstanceCapacity InsufficientReservedInstanceCapacity InsufficientVolumeCapacity UnfulfillableCapacity
""".split()
QUOTA = """
    AddressLimitExceeded AttachmentLimitExceeded InstanceLimitExceeded MaxIOPSLimitExceeded
    MaxSpotInstanceCountExceeded NetworkInterfaceLimitExceeded PrivateIpAddressLimitExceeded ResourceCountLimitExceeded
    ResourceLimitExceeded RulesPerSecurityGroupLimitExceeded SecurityGroupLimitExceeded
    SecurityGroupsPerInstanceLimitExceeded SecurityGroupsPerInterfaceLimitExceeded VcpuLimitExceeded VolumeLimitExceeded
""".split()
PERMISSION = """
    AccountDisabled AuthFailure AuthFailure.ServiceLinkedRoleCreationNotPermitted Blocked
    DeclarativePoliciesAccessDeniedException IncompleteSignature InvalidClientTokenId MissingAuthenticationToken
    OptInRequired RequestExpired SignatureDoesNotMatch UnauthorizedOperation UnauthorizedOperation.SomethingNew
    UnrecognizedClientException
""".split()
REQUEST = """
    BootForVolumeTypeUnsupported ClientInvalidParameterValue ConcurrentTagAccess CustomerKeyHasBeenRevoked
    DefaultVpcDoesNotExist DependencyViolation EncryptedVolumesNotSupported FilterLimitExceeded IncorrectState
    IncompatibleHostRequirements InsufficientFreeAddressesInSubnet InvalidAction InvalidAMIAttributeItemValue
    InvalidAMIID.Malformed InvalidAMIID.NotFound InvalidAMIID.Unavailable InvalidAvailabilityZone
    InvalidBlockDeviceMapping InvalidCapacityReservationState.PendingActivation InvalidCharacter InvalidFormat
    InvalidGroup.Duplicate InvalidGroup.InUse InvalidGroup.NotFound InvalidGroup.Reserved InvalidGroupId.Malformed
    InvalidIamInstanceProfileArn.Malformed InvalidID InvalidInput InvalidInstanceAttributeValue InvalidInstanceType
    InvalidInterface.IpAddressLimitExceeded InvalidIPAddress.InUse InvalidKey.Format InvalidKeyPair.NotFound
    InvalidKMSKeyId.NotFound InvalidLaunchTemplateId.NotFound InvalidNetworkInterface.InUse
    InvalidNetworkInterfaceID.NotFound InvalidOption InvalidOption.Conflict InvalidParameter
    InvalidParameterCombination InvalidParameterDependency InvalidParameterValue InvalidPermission.Duplicate
    InvalidPermission.Malformed InvalidPlacementGroup.Unknown InvalidQueryParameter InvalidRequest
    InvalidSecurityGroupID.NotFound InvalidSnapshot.NotFound InvalidSnapshotID.Malformed InvalidState InvalidSubnet
    InvalidSubnetID.Malformed InvalidSubnetID.NotFound InvalidTagKey.Malformed InvalidTenancy
    InvalidUserData.Malformed InvalidVolume.ZoneMismatch InvalidVpcID.NotFound InvalidZone.NotFound LegacySecurityGroup
    MalformedQueryString MissingAction MissingInput MissingParameter NonEBSInstance OperationNotPermitted
    PlacementGroupLimitExceeded ReservationCapacityExceeded TagLimitExceeded TagPolicyViolation
    UnavailableHostRequirements UnknownParameter UnknownVolumeType UnknownVolumeType.Unsupported Unsupported
    UnsupportedHibernationConfiguration UnsupportedInstanceAttribute UnsupportedOperation UnsupportedProtocol
    UnsupportedTenancy VPCIdNotSpecified VPCResourceNotSpecified ValidationError VolumeTypeNotAvailableInRegion
    VolumeTypeNotAvailableInZone ZonesMismatched ACodeThatNobodyHasSeenYet
""".split()
THROTTLED = """
    BandwidthLimitExceeded EC2ThrottledException RequestLimitExceeded RequestThrottled RequestThrottledException
    SlowDown Throttling ThrottlingException TooManyRequestsException
""".split()
TOKEN = "ConcurrentRequest IdempotentInstanceTerminated IdempotentParameterMismatch InvalidClientToken".split()
FAILED = "InternalError InternalFailure ServerInternal ServiceUnavailable Unavailable".split()


def answered(code: str, status: int, message: str = "its own sentence") -> GpuctlError:
    body: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return translate_create(ClientError(body, "RunInstances"), "could not create it")


@pytest.mark.parametrize("status", [400, 403, 500, 503])
@pytest.mark.parametrize(
    ("codes", "kind"),
    [
        (CAPACITY, CapacityError),
        (QUOTA, QuotaError),
        (PERMISSION, CredentialsError),
        (THROTTLED, ThrottledError),
        (["PendingVerification", "SpotMaxPriceTooLow"], NotNowError),
    ],
)
def test_a_listed_code_means_the_same_with_every_status(codes: list[str], kind: type[GpuctlError], status: int) -> None:
    assert {code: type(answered(code, status)) for code in codes} == dict.fromkeys(codes, kind)


@pytest.mark.parametrize("code", REQUEST)
def test_a_4xx_is_a_refusal_with_awss_own_sentence(code: str) -> None:
    refusal = answered(code, 400)
    assert (type(refusal), refusal.exit_code) == (CloudError, 1)
    assert refusal.message == f"could not create it: `{code}` (its own sentence)"


@pytest.mark.parametrize("code", [*FAILED, *REQUEST])
@pytest.mark.parametrize("status", [500, 503])
def test_a_5xx_that_is_no_refusal_proves_nothing_and_has_awss_own_sentence(code: str, status: int) -> None:
    unknown = answered(code, status)
    assert isinstance(unknown, OutcomeUnknown)
    assert unknown.may_repeat
    assert "its own sentence" in unknown.message


@pytest.mark.parametrize("code", TOKEN)
def test_a_token_that_was_used_is_looked_up_and_never_sent_again(code: str) -> None:
    unknown = answered(code, 400)
    assert isinstance(unknown, OutcomeUnknown)
    assert not unknown.may_repeat


@pytest.mark.parametrize(
    "error",
    [
        # What the SDK makes of bodies that are no errors of EC2's: a proxy's page, an empty one, one that ends early.
        ClientError({"ResponseMetadata": {"HTTPStatusCode": 403}}, "RunInstances"),  # type: ignore[typeddict-item]
        ClientError({"Error": {"Code": "503"}, "ResponseMetadata": {"HTTPStatusCode": 503}}, "RunInstances"),  # type: ignore[typeddict-item]
        ClientError({"Error": {"Code": "Timeout"}, "ResponseMetadata": {"HTTPStatusCode": 408}}, "RunInstances"),  # type: ignore[typeddict-item]
        ResponseParserError("Unable to parse response"),
        ReadTimeoutError(endpoint_url="https://ec2.us-east-1.amazonaws.com"),
    ],
)
def test_what_cannot_be_read_as_an_error_of_ec2s_proves_nothing(error: Exception) -> None:
    assert isinstance(translate_create(error, "no"), OutcomeUnknown)


@pytest.mark.parametrize(
    ("code", "message", "extent"),
    [
        ("InvalidInput", "No default subnet for availability zone: 'us-east-1e'.", Extent.ZONE),
        ("InvalidInput", "The value is not valid", Extent.EVERYWHERE),
        ("Unsupported", "not supported in your requested Availability Zone (us-east-1e)", Extent.ZONE),
        ("InsufficientFreeAddressesInSubnet", "not enough free addresses in subnet 's'", Extent.ZONE),
        ("VolumeTypeNotAvailableInZone", "", Extent.ZONE),
        ("InvalidZone.NotFound", "", Extent.ZONE),
        ("SpotMaxPriceTooLow", "", Extent.ZONE),
        ("MissingInput", "No subnets found for the default VPC 'vpc-1'. Please specify a subnet.", Extent.REGION),
        ("MissingInput", "You must specify an image", Extent.EVERYWHERE),
        ("VPCIdNotSpecified", "No default VPC for this user", Extent.REGION),
        ("PendingVerification", "", Extent.REGION),
        ("UnauthorizedOperation", "with an explicit deny in a service control policy", Extent.REGION),
        ("UnauthorizedOperation", "You are not authorized to perform this operation.", Extent.EVERYWHERE),
        ("AuthFailure.ServiceLinkedRoleCreationNotPermitted", "", Extent.MARKET),
        ("InvalidParameterValue", "", Extent.EVERYWHERE),
    ],
)
def test_a_refusal_says_how_far_it_reaches(code: str, message: str, extent: Extent) -> None:
    assert answered(code, 400, message).extent is extent


def test_the_first_spot_instance_of_an_account_gets_the_command_that_makes_its_role() -> None:
    refusal = answered("AuthFailure.ServiceLinkedRoleCreationNotPermitted", 403)
    assert refusal.hint == "aws iam create-service-linked-role --aws-service-name spot.amazonaws.com"


@pytest.mark.parametrize(
    ("code", "meant"),
    [
        ("Server.InsufficientInstanceCapacity", "capacity"),
        ("Client.VolumeLimitExceeded", "quota"),
        ("Client.InternalError", "cloud"),
        ("Client.InvalidKMSKey.InvalidState", "cloud"),
        ("Server.InternalError", "cloud"),
    ],
)
def test_a_state_reason_of_an_instance_that_never_came_up_is_read_like_a_code(code: str, meant: str) -> None:
    refusal = refusal_of(code, f"{code}: Client error on launch")
    assert refusal is not None
    assert (refusal.code, refusal.text) == (
        meant,
        f"AWS terminated the instance while it was starting: `{code}` (Client error on launch)",
    )
