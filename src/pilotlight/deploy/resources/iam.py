"""AWS::IAM::Role, ::Policy, ::ManagedPolicy, ::User and ::AccessKey."""

from __future__ import annotations

import json
from typing import Any

from pilotlight.deploy.resources.base import Context, Made, Properties, ignore_missing, number, there
from pilotlight.errors import AwsError

GONE = "NoSuchEntity"


def _text(document: Any) -> str:
    return document if isinstance(document, str) else json.dumps(document)


class Role:
    type = "AWS::IAM::Role"
    properties = frozenset(
        {
            "AssumeRolePolicyDocument",
            "Description",
            "ManagedPolicyArns",
            "MaxSessionDuration",
            "Path",
            "PermissionsBoundary",
            "Policies",
            "RoleName",
            "Tags",
        }
    )
    replaced_by = frozenset({"RoleName", "Path"})

    async def find(self, at: Context, properties: Properties) -> str:
        name = str(properties.get("RoleName") or at.name())
        return await there(at, name, "iam", "GetRole", "NoSuchEntity", RoleName=name)

    async def create(self, at: Context, properties: Properties) -> Made:
        name = str(properties.get("RoleName") or at.name())
        params: dict[str, Any] = {
            "RoleName": name,
            "AssumeRolePolicyDocument": _text(properties["AssumeRolePolicyDocument"]),
            "Path": properties.get("Path", "/"),
        }
        if "Description" in properties:
            params["Description"] = properties["Description"]
        if "MaxSessionDuration" in properties:
            params["MaxSessionDuration"] = number(properties["MaxSessionDuration"])
        if "PermissionsBoundary" in properties:
            params["PermissionsBoundary"] = properties["PermissionsBoundary"]
        tags = at.tag_list(properties.get("Tags"))
        if tags:
            params["Tags"] = tags
        try:
            await at.call("iam", "CreateRole", **params)
        except AwsError as error:
            if not (at.again and error.code == "EntityAlreadyExists"):
                raise
        await at.made(name)
        await self._policies(at, name, {}, properties)
        return await self._describe(at, name)

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        name = made.physical_id
        if old["AssumeRolePolicyDocument"] != new["AssumeRolePolicyDocument"]:
            await at.call(
                "iam",
                "UpdateAssumeRolePolicy",
                RoleName=name,
                PolicyDocument=_text(new["AssumeRolePolicyDocument"]),
            )
        keys = ("Description", "MaxSessionDuration")
        if any(old.get(key) != new.get(key) for key in keys):
            await at.call(
                "iam",
                "UpdateRole",
                RoleName=name,
                Description=new.get("Description", ""),
                MaxSessionDuration=number(new.get("MaxSessionDuration", 3600)),
            )
        if old.get("PermissionsBoundary") != new.get("PermissionsBoundary"):
            if "PermissionsBoundary" in new:
                boundary = new["PermissionsBoundary"]
                await at.call("iam", "PutRolePermissionsBoundary", RoleName=name, PermissionsBoundary=boundary)
            else:
                await ignore_missing(at, "iam", "DeleteRolePermissionsBoundary", GONE, RoleName=name)
        await self._policies(at, name, old, new)
        return await self._describe(at, name)

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        await self._policies(at, physical_id, properties, {})
        await ignore_missing(at, "iam", "DeleteRole", GONE, RoleName=physical_id)

    async def _policies(self, at: Context, name: str, old: Properties, new: Properties) -> None:
        before = {policy["PolicyName"]: policy["PolicyDocument"] for policy in old.get("Policies", [])}
        after = {policy["PolicyName"]: policy["PolicyDocument"] for policy in new.get("Policies", [])}
        for policy, document in after.items():
            if before.get(policy) != document:
                await at.call("iam", "PutRolePolicy", RoleName=name, PolicyName=policy, PolicyDocument=_text(document))
        for policy in before:
            if policy not in after:
                await ignore_missing(at, "iam", "DeleteRolePolicy", GONE, RoleName=name, PolicyName=policy)
        attached, wanted = set(old.get("ManagedPolicyArns", [])), set(new.get("ManagedPolicyArns", []))
        for arn in sorted(wanted - attached):
            await at.call("iam", "AttachRolePolicy", RoleName=name, PolicyArn=arn)
        for arn in sorted(attached - wanted):
            await ignore_missing(at, "iam", "DetachRolePolicy", GONE, RoleName=name, PolicyArn=arn)

    async def _describe(self, at: Context, name: str) -> Made:
        role = (await at.call("iam", "GetRole", RoleName=name))["Role"]
        return Made(name, {"Arn": role["Arn"], "RoleId": role["RoleId"]})


class Policy:
    type = "AWS::IAM::Policy"
    properties = frozenset({"PolicyName", "PolicyDocument", "Roles", "Users", "Groups"})
    replaced_by = frozenset({"PolicyName"})
    _HOLDERS = (("Roles", "RoleName", "Role"), ("Users", "UserName", "User"), ("Groups", "GroupName", "Group"))

    async def create(self, at: Context, properties: Properties) -> Made:
        await self._put(at, properties)
        return Made(at.name())

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        await self._put(at, new)
        for key, _, _ in self._HOLDERS:
            gone = [one for one in old.get(key, []) if one not in new.get(key, [])]
            await self._remove(at, {**old, "Roles": [], "Users": [], "Groups": [], key: gone})
        return made

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        await self._remove(at, properties)

    async def _put(self, at: Context, properties: Properties) -> None:
        for key, parameter, noun in self._HOLDERS:
            for holder in properties.get(key, []):
                params = {
                    parameter: holder,
                    "PolicyName": properties["PolicyName"],
                    "PolicyDocument": _text(properties["PolicyDocument"]),
                }
                await at.call("iam", f"Put{noun}Policy", **params)

    async def _remove(self, at: Context, properties: Properties) -> None:
        for key, parameter, noun in self._HOLDERS:
            for holder in properties.get(key, []):
                params = {parameter: holder, "PolicyName": properties["PolicyName"]}
                await ignore_missing(at, "iam", f"Delete{noun}Policy", GONE, **params)


class ManagedPolicy:
    type = "AWS::IAM::ManagedPolicy"
    properties = frozenset({"ManagedPolicyName", "PolicyDocument", "Path", "Description", "Roles", "Users", "Groups"})
    replaced_by = frozenset({"ManagedPolicyName", "Path", "Description"})
    _HOLDERS = (("Roles", "RoleName", "Role"), ("Users", "UserName", "User"), ("Groups", "GroupName", "Group"))

    async def find(self, at: Context, properties: Properties) -> str:
        name = str(properties.get("ManagedPolicyName") or at.name(maximum=128))
        arn = f"arn:aws:iam::{at.caller.account}:policy{properties.get('Path', '/')}{name}"
        return await there(at, arn, "iam", "GetPolicy", "NoSuchEntity", PolicyArn=arn)

    async def create(self, at: Context, properties: Properties) -> Made:
        name = str(properties.get("ManagedPolicyName") or at.name(maximum=128))
        params = {"PolicyName": name, "PolicyDocument": _text(properties["PolicyDocument"])}
        params |= {"Path": properties.get("Path", "/"), "Description": properties.get("Description", "")}
        arn = f"arn:aws:iam::{at.caller.account}:policy{properties.get('Path', '/')}{name}"
        try:
            arn = (await at.call("iam", "CreatePolicy", **params))["Policy"]["Arn"]
        except AwsError as error:
            if not (at.again and error.code == "EntityAlreadyExists"):
                raise
        await at.made(arn)
        await self._attach(at, arn, {}, properties)
        return Made(arn, {"PolicyArn": arn})

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        arn = made.physical_id
        if old["PolicyDocument"] != new["PolicyDocument"]:
            versions = (await at.call("iam", "ListPolicyVersions", PolicyArn=arn))["Versions"]
            spare = [version["VersionId"] for version in versions if not version["IsDefaultVersion"]]
            if len(versions) >= 5:
                await at.call("iam", "DeletePolicyVersion", PolicyArn=arn, VersionId=spare[-1])
            document = _text(new["PolicyDocument"])
            await at.call("iam", "CreatePolicyVersion", PolicyArn=arn, PolicyDocument=document, SetAsDefault=True)
        await self._attach(at, arn, old, new)
        return made

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        await self._attach(at, physical_id, properties, {})
        try:
            versions = (await at.call("iam", "ListPolicyVersions", PolicyArn=physical_id))["Versions"]
        except AwsError as error:
            if error.code == GONE:
                return
            raise
        for version in versions:
            if not version["IsDefaultVersion"]:
                version_id = version["VersionId"]
                await at.call("iam", "DeletePolicyVersion", PolicyArn=physical_id, VersionId=version_id)
        await ignore_missing(at, "iam", "DeletePolicy", GONE, PolicyArn=physical_id)

    async def _attach(self, at: Context, arn: str, old: Properties, new: Properties) -> None:
        for key, parameter, noun in self._HOLDERS:
            before, after = set(old.get(key, [])), set(new.get(key, []))
            for holder in sorted(after - before):
                await at.call("iam", f"Attach{noun}Policy", **{parameter: holder, "PolicyArn": arn})
            for holder in sorted(before - after):
                params = {parameter: holder, "PolicyArn": arn}
                await ignore_missing(at, "iam", f"Detach{noun}Policy", GONE, **params)


class User:
    type = "AWS::IAM::User"
    properties = frozenset({"UserName", "Path", "Policies", "ManagedPolicyArns", "Tags"})
    replaced_by = frozenset({"UserName", "Path"})

    async def find(self, at: Context, properties: Properties) -> str:
        name = str(properties.get("UserName") or at.name())
        return await there(at, name, "iam", "GetUser", "NoSuchEntity", UserName=name)

    async def create(self, at: Context, properties: Properties) -> Made:
        name = str(properties.get("UserName") or at.name())
        try:
            await at.call("iam", "CreateUser", UserName=name, Path=properties.get("Path", "/"))
        except AwsError as error:
            if not (at.again and error.code == "EntityAlreadyExists"):
                raise
        await at.made(name)
        return await self.update(at, Made(name), {}, properties)

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        name = made.physical_id
        before = {policy["PolicyName"]: policy["PolicyDocument"] for policy in old.get("Policies", [])}
        after = {policy["PolicyName"]: policy["PolicyDocument"] for policy in new.get("Policies", [])}
        for policy, document in after.items():
            await at.call("iam", "PutUserPolicy", UserName=name, PolicyName=policy, PolicyDocument=_text(document))
        for policy in set(before) - set(after):
            await ignore_missing(at, "iam", "DeleteUserPolicy", GONE, UserName=name, PolicyName=policy)
        attached, wanted = set(old.get("ManagedPolicyArns", [])), set(new.get("ManagedPolicyArns", []))
        for arn in sorted(wanted - attached):
            await at.call("iam", "AttachUserPolicy", UserName=name, PolicyArn=arn)
        for arn in sorted(attached - wanted):
            await ignore_missing(at, "iam", "DetachUserPolicy", GONE, UserName=name, PolicyArn=arn)
        user = (await at.call("iam", "GetUser", UserName=name))["User"]
        return Made(name, {"Arn": user["Arn"]})

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        for policy in properties.get("Policies", []):
            params = {"UserName": physical_id, "PolicyName": policy["PolicyName"]}
            await ignore_missing(at, "iam", "DeleteUserPolicy", GONE, **params)
        for arn in properties.get("ManagedPolicyArns", []):
            await ignore_missing(at, "iam", "DetachUserPolicy", GONE, UserName=physical_id, PolicyArn=arn)
        await ignore_missing(at, "iam", "DeleteUser", GONE, UserName=physical_id)


class AccessKey:
    type = "AWS::IAM::AccessKey"
    properties = frozenset({"UserName", "Serial", "Status"})
    replaced_by = frozenset({"UserName", "Serial"})

    async def create(self, at: Context, properties: Properties) -> Made:
        if at.again:  # a key of which nobody learned the secret is of no use
            listed = (await at.call("iam", "ListAccessKeys", UserName=properties["UserName"]))["AccessKeyMetadata"]
            for old in listed:
                key_id = old["AccessKeyId"]
                await at.call("iam", "DeleteAccessKey", UserName=properties["UserName"], AccessKeyId=key_id)
        key = (await at.call("iam", "CreateAccessKey", UserName=properties["UserName"]))["AccessKey"]
        made = Made(key["AccessKeyId"], {"SecretAccessKey": key["SecretAccessKey"]})
        return await self.update(at, made, {"Status": "Active"}, properties)

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        if old.get("Status", "Active") != new.get("Status", "Active"):
            params = {"UserName": new["UserName"], "AccessKeyId": made.physical_id}
            await at.call("iam", "UpdateAccessKey", Status=new.get("Status", "Active"), **params)
        return made

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        params = {"UserName": properties["UserName"], "AccessKeyId": physical_id}
        await ignore_missing(at, "iam", "DeleteAccessKey", GONE, **params)


TYPES = (Role(), Policy(), ManagedPolicy(), User(), AccessKey())
