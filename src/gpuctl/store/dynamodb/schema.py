"""The table of a state in DynamoDB, for its API and as a CloudFormation template."""

import json
from typing import Any

TABLE: dict[str, Any] = {
    "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "k", "KeyType": "RANGE"}],
    "AttributeDefinitions": [
        {"AttributeName": "p", "AttributeType": "S"},
        {"AttributeName": "k", "AttributeType": "S"},
    ],
    "BillingMode": "PAY_PER_REQUEST",
    "DeletionProtectionEnabled": True,
}


def table_resource(name: str) -> dict[str, Any]:
    """The table as a CloudFormation resource that survives its stack."""
    ttl = {"Enabled": True, "AttributeName": "expires"}
    recovery = {"PointInTimeRecoveryEnabled": True}
    return {
        "Type": "AWS::DynamoDB::Table",
        "DeletionPolicy": "Retain",
        "UpdateReplacePolicy": "Retain",
        "Properties": {
            "TableName": name,
            **TABLE,
            "TimeToLiveSpecification": ttl,
            "PointInTimeRecoverySpecification": recovery,
        },
    }


def script(name: str) -> str:
    """A CloudFormation template with the table."""
    template = {"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"State": table_resource(name)}}
    return f"{json.dumps(template, indent=2)}\n"
