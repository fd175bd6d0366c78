"""IAM: users, access keys, groups, roles, policies and instance profiles.

What is kept here is what `identity/` evaluates on every request of a user or a role: the store is its source of
long-term keys and of grants. Left out, and refused by name: passwords and login profiles, MFA devices, certificates,
SAML and OpenID Connect providers, credential and access reports, Organizations. Permissions on IAM itself
are judged against ARNs without the path, where the request names no path.
"""
