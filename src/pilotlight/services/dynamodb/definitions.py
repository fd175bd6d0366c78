"""What CreateTable and UpdateTable may say about keys, indexes and throughput. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.services.dynamodb.errors import ENVELOPE, invalid, parameters_invalid
from pilotlight.services.dynamodb.names import check_name
from pilotlight.services.dynamodb.table import ACTIVE, GLOBAL, LOCAL, Index, KeySchema, Throughput

Request = Mapping[str, Any]
KEY_ATTRIBUTES_MAX = 2
LOCAL_INDEXES_MAX = 5
GLOBAL_INDEXES_MAX = 20
INCLUDED_ATTRIBUTES_MAX = 100
CAPACITY_UNITS_MAX = 1_000_000_000_000
ON_DEMAND, PROVISIONED = "PAY_PER_REQUEST", "PROVISIONED"

NOT_OURS = {
    "CreateTable": (
        "WarmThroughput",
        "ResourcePolicy",
        "GlobalTableSourceArn",
        "GlobalTableSettingsReplicationMode",
        "VectorIndexes",
    ),
    "UpdateTable": (
        "ReplicaUpdates",
        "MultiRegionConsistency",
        "GlobalTableWitnessUpdates",
        "WarmThroughput",
        "GlobalTableSettingsReplicationMode",
        "DisassociationProtectionEnabled",
        "VectorIndexUpdates",
    ),
}


def refuse_what_is_not_ours(operation: str, request: Request) -> None:
    for name in NOT_OURS[operation]:
        if request.get(name):
            raise NotImplementedHere(f"{operation} with {name}")
    stream = request.get("StreamSpecification")
    if stream:
        if stream.get("StreamEnabled"):
            raise NotImplementedHere(f"{operation} with StreamSpecification")
        if stream.get("StreamViewType"):
            raise parameters_invalid("StreamViewType is specified, but StreamEnabled is false")
    if (request.get("SSESpecification") or {}).get("KMSMasterKeyId"):
        raise NotImplementedHere(f"{operation} with SSESpecification.KMSMasterKeyId")


# Keys and attributes.


def attribute_types(definitions: Sequence[Mapping[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for definition in definitions:
        name = definition["AttributeName"]
        if name in found:
            raise parameters_invalid(f"Cannot have two attributes with the same name: {name}")
        found[name] = definition["AttributeType"]
    return found


def key_schema(
    elements: Sequence[Mapping[str, str]], attributes: Mapping[str, str], member: str = "keySchema"
) -> KeySchema:
    if len(elements) > KEY_ATTRIBUTES_MAX:
        # AWS: the model has no such limit any more, since global indexes may have longer keys; tables may not.
        shown = ", ".join(
            f"KeySchemaElement(attributeName={one['AttributeName']}, keyType={one['KeyType']})" for one in elements
        )
        raise invalid(
            f"{ENVELOPE}Value '[{shown}]' at '{member}' failed to satisfy constraint: "
            f"Member must have length less than or equal to {KEY_ATTRIBUTES_MAX}"
        )
    names = [element["AttributeName"] for element in elements]
    _check_defined(names, attributes)
    if len(names) == 2 and names[0] == names[1]:
        raise invalid("Both the Hash Key and the Range Key element in the KeySchema have the same name")
    if elements[0]["KeyType"] != "HASH":
        raise invalid("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    if len(elements) > 1 and elements[1]["KeyType"] != "RANGE":
        raise invalid("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")
    return KeySchema(*names)


def _check_defined(names: Sequence[str], attributes: Mapping[str, str]) -> None:
    if any(name not in attributes for name in names):
        raise parameters_invalid(
            "Some index key attributes are not defined in AttributeDefinitions. "
            f"Keys: [{', '.join(names)}], AttributeDefinitions: [{', '.join(attributes)}]"
        )


def table_key(request: Request, attributes: Mapping[str, str]) -> KeySchema:
    elements = request.get("KeySchema") or []
    if not elements:
        raise invalid("Invalid KeySchema: The KeySchema must not be empty")
    if KEY_ATTRIBUTES_MAX >= len(elements) > len(attributes):
        raise invalid("Invalid KeySchema: Some index key attribute have no definition")
    key = key_schema(elements, attributes)
    indexed = any(request.get(name) is not None for name in ("LocalSecondaryIndexes", "GlobalSecondaryIndexes"))
    if not indexed and len(elements) != len(attributes):
        raise parameters_invalid(
            "Number of attributes in KeySchema does not exactly match number of attributes defined in "
            "AttributeDefinitions"
        )
    return key


def check_all_used(attributes: Mapping[str, str], key: KeySchema, indexes: Sequence[Index]) -> None:
    used = dict.fromkeys(name for schema in (key, *(index.key for index in indexes)) for name in schema.names())
    if len(used) != len(attributes):
        raise parameters_invalid(
            f"Some AttributeDefinitions are not used. AttributeDefinitions: [{', '.join(attributes)}], "
            f"keys used: [{', '.join(used)}]"
        )


# Throughput.


def throughput(request: Request, billing: str) -> Throughput:
    given = request.get("ProvisionedThroughput")
    if billing == ON_DEMAND:
        if given:
            raise parameters_invalid(
                "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"
            )
        return Throughput()
    if not given:
        raise parameters_invalid(
            "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"
        )
    return given_throughput(given)


def given_throughput(given: Mapping[str, int]) -> Throughput:
    for name in ("ReadCapacityUnits", "WriteCapacityUnits"):
        if given[name] > CAPACITY_UNITS_MAX:
            raise invalid(f"Given value {given[name]} for {name} is out of bounds")
    return Throughput(given["ReadCapacityUnits"], given["WriteCapacityUnits"])


# Indexes.


def indexes(request: Request, attributes: Mapping[str, str], key: KeySchema, billing: str) -> list[Index]:
    """All of a new table's, without ids."""
    local, globals_ = request.get("LocalSecondaryIndexes"), request.get("GlobalSecondaryIndexes")
    found: list[Index] = []
    if local is not None:
        found += _local_indexes(local, attributes, key)
    if globals_ is not None:
        if not globals_:
            raise parameters_invalid("List of GlobalSecondaryIndexes is empty")
        found += [global_index(given, attributes, billing) for given in globals_]
        if len(globals_) > GLOBAL_INDEXES_MAX:
            raise parameters_invalid(f"GlobalSecondaryIndex count exceeds the per-table limit of {GLOBAL_INDEXES_MAX}")
    _check_names(found)
    if sum(len(index.included) for index in found) > INCLUDED_ATTRIBUTES_MAX:
        raise too_many_included()
    return found


def too_many_included() -> AwsError:
    return parameters_invalid(
        f"Number of attributes in the NonKeyAttributes of all indexes exceeds the limit of {INCLUDED_ATTRIBUTES_MAX}"
    )


def _check_names(found: Sequence[Index]) -> None:
    seen: set[str] = set()
    for index in found:
        if index.name in seen:
            raise parameters_invalid(f"Duplicate index name: {index.name}")
        seen.add(index.name)


def _local_indexes(given: Sequence[Request], attributes: Mapping[str, str], key: KeySchema) -> list[Index]:
    if not given:
        raise parameters_invalid("List of LocalSecondaryIndexes is empty")
    if key.sort is None:
        raise parameters_invalid(
            "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex"
        )
    found = [_local_index(one, attributes, key) for one in given]
    if len(found) > LOCAL_INDEXES_MAX:
        raise parameters_invalid(f"Number of LocalSecondaryIndexes exceeds per-table limit of {LOCAL_INDEXES_MAX}")
    return found


def _local_index(given: Request, attributes: Mapping[str, str], key: KeySchema) -> Index:
    name = given["IndexName"]
    check_name(name, "localSecondaryIndexes.1.member.indexName")
    schema = key_schema(given["KeySchema"], attributes, "localSecondaryIndexes.1.member.keySchema")
    if schema.sort is None:
        raise parameters_invalid(f"Index KeySchema does not have a range key for index: {name}")
    if schema.partition != key.partition:
        raise parameters_invalid(
            f"Index KeySchema does not have the same leading hash key as table KeySchema for index: {name}. "
            f"index hash key: {schema.partition}, table hash key: {key.partition}"
        )
    projection, included = _projection(given)
    return Index(id=0, name=name, kind=LOCAL, key=schema, projection=projection, included=included)


def global_index(given: Request, attributes: Mapping[str, str], billing: str, status: str = ACTIVE) -> Index:
    name = given["IndexName"]
    check_name(name, "globalSecondaryIndexes.1.member.indexName")
    for member in ("WarmThroughput", "OnDemandThroughput"):
        if given.get(member):
            raise NotImplementedHere(f"a global secondary index with {member}")
    _refuse_long_key(given["KeySchema"])
    schema = key_schema(given["KeySchema"], attributes)
    projection, included = _projection(given)
    units = given.get("ProvisionedThroughput")
    if billing == ON_DEMAND and units:
        raise parameters_invalid(
            f"ProvisionedThroughput should not be specified for index: {name} when BillingMode is PAY_PER_REQUEST"
        )
    if billing != ON_DEMAND and not units:
        raise parameters_invalid(f"ProvisionedThroughput must be specified for index: {name}")
    return Index(
        id=0,
        name=name,
        kind=GLOBAL,
        key=schema,
        projection=projection,
        included=included,
        status=status,
        throughput=given_throughput(units) if units else Throughput(),
    )


def _refuse_long_key(elements: Sequence[Mapping[str, str]]) -> None:
    """AWS: a global index's partition and sort key may have up to four attributes each."""
    roles = [element["KeyType"] for element in elements]
    if roles[0] == "HASH" and (len(roles) > KEY_ATTRIBUTES_MAX or roles.count("HASH") > 1):
        raise NotImplementedHere("a global secondary index with several attributes in a key")


def _projection(given: Request) -> tuple[str, tuple[str, ...]]:
    projection = given.get("Projection") or {}
    kind, included = projection.get("ProjectionType"), projection.get("NonKeyAttributes")
    if kind is None:
        raise parameters_invalid("Unknown ProjectionType: null")
    if included and kind != "INCLUDE":
        raise parameters_invalid(f"ProjectionType is {kind}, but NonKeyAttributes is specified")
    if kind == "INCLUDE" and not included:
        raise parameters_invalid("ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
    return kind, tuple(included or ())
