"""Users, their keys and their groups."""

from __future__ import annotations

from dataclasses import replace

from tests.services.iam.conftest import Account, document


async def test_users_come_and_go(account: Account) -> None:
    made = (await account("create_user", UserName="ada", Path="/dev/"))["User"]
    assert made["Arn"] == "arn:aws:iam::000000000000:user/dev/ada"
    assert (await account.refused("create_user", UserName="Ada")).message == "User with name Ada already exists."
    assert (await account("get_user", UserName="ada"))["User"]["UserId"] == made["UserId"]
    assert (await account("get_user"))["User"]["Arn"] == "arn:aws:iam::000000000000:root"
    await account("update_user", UserName="ada", NewUserName="lovelace", NewPath="/")
    assert [user["UserName"] for user in (await account("list_users"))["Users"]] == ["lovelace"]
    await account("delete_user", UserName="lovelace")
    missing = await account.refused("delete_user", UserName="lovelace")
    assert missing.message == "The user with name lovelace cannot be found."


async def test_access_keys_stand_for_their_user(account: Account) -> None:
    user = (await account("create_user", UserName="ada"))["User"]
    key = (await account("create_access_key", UserName="ada"))["AccessKey"]
    assert (key["Status"], key["UserName"], len(key["AccessKeyId"])) == ("Active", "ada", 20)
    principal = await account.credentials.find(key["AccessKeyId"], "")
    assert (principal.arn, principal.secret) == (user["Arn"], key["SecretAccessKey"])
    await account("create_access_key", UserName="ada")
    third = await account.refused("create_access_key", UserName="ada")
    assert (third.code, third.message) == ("LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2")
    conflict = await account.refused("delete_user", UserName="ada")
    assert conflict.message == "Cannot delete entity, must delete access keys first."
    await account("update_access_key", UserName="ada", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    listed = (await account("list_access_keys", UserName="ada"))["AccessKeyMetadata"]
    assert {entry["AccessKeyId"]: entry["Status"] for entry in listed}[key["AccessKeyId"]] == "Inactive"
    assert "SecretAccessKey" not in listed[0]
    for entry in listed:
        await account("delete_access_key", UserName="ada", AccessKeyId=entry["AccessKeyId"])
    gone = await account.refused("delete_access_key", UserName="ada", AccessKeyId=key["AccessKeyId"])
    assert gone.message == f"The Access Key with id {key['AccessKeyId']} cannot be found."
    await account("delete_user", UserName="ada")


async def test_a_user_without_a_name_is_the_caller(account: Account) -> None:
    await account("create_user", UserName="ada")
    ada = replace(account.caller, kind="user", arn="arn:aws:iam::000000000000:user/ada")
    assert (await account("create_access_key", ada))["AccessKey"]["UserName"] == "ada"
    error = await account.refused("list_access_keys")
    assert error.message == "Must specify userName when calling with non-User credentials"


async def test_groups_lend_their_policies(account: Account) -> None:
    await account("create_user", UserName="ada")
    await account("create_group", GroupName="devs")
    await account("add_user_to_group", GroupName="devs", UserName="ada")
    await account("put_group_policy", GroupName="devs", PolicyName="p", PolicyDocument=document("s3:*"))
    arn = "arn:aws:iam::aws:policy/AmazonDynamoDBReadOnlyAccess"
    await account("attach_group_policy", GroupName="devs", PolicyArn=arn)
    ada = replace(account.caller, kind="user", arn="arn:aws:iam::000000000000:user/ada", user_id="AIDA")
    grants = await account.principals.grants_of(ada)
    assert grants is not None
    assert len(grants.policies) == 2
    assert [user["UserName"] for user in (await account("get_group", GroupName="devs"))["Users"]] == ["ada"]
    assert (await account("list_groups_for_user", UserName="ada"))["Groups"][0]["GroupName"] == "devs"
    error = await account.refused("delete_user", UserName="ada")
    assert error.message == "Cannot delete entity, must remove users from group first."
    assert (await account.refused("delete_group", GroupName="devs")).code == "DeleteConflict"
    await account("remove_user_from_group", GroupName="devs", UserName="ada")
    assert (await account.refused("remove_user_from_group", GroupName="devs", UserName="ada")).code == "NoSuchEntity"
    attached = await account("list_attached_group_policies", GroupName="devs")
    assert attached["AttachedPolicies"] == [{"PolicyName": "AmazonDynamoDBReadOnlyAccess", "PolicyArn": arn}]
    await account("detach_group_policy", GroupName="devs", PolicyArn=arn)
    await account("delete_group_policy", GroupName="devs", PolicyName="p")
    await account("delete_group", GroupName="devs")
    await account("delete_user", UserName="ada")
