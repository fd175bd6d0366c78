-- Users, roles, groups and instance profiles share their life: a name, a path, tags, policies.
create table iam_entity (
    account text not null,
    kind text not null,
    folded text not null,
    name text not null,
    path text not null,
    id text not null,
    created_ms bigint not null,
    trust text not null,
    description text not null,
    max_session_seconds bigint not null,
    boundary text not null,
    primary key (account, kind, folded)
);

create table iam_inline (
    account text not null,
    kind text not null,
    name text not null,
    policy text not null,
    document text not null,
    primary key (account, kind, name, policy)
);

create table iam_attached (
    account text not null,
    kind text not null,
    name text not null,
    arn text not null,
    primary key (account, kind, name, arn)
);

-- Users in groups, and roles in instance profiles.
create table iam_member (
    account text not null,
    kind text not null,
    name text not null,
    member text not null,
    primary key (account, kind, name, member)
);

create table iam_tag (
    account text not null,
    kind text not null,
    name text not null,
    key text not null,
    folded text not null,
    value text not null,
    primary key (account, kind, name, folded)
);

create table iam_policy (
    account text not null,
    folded text not null,
    arn text not null,
    name text not null,
    path text not null,
    id text not null,
    description text not null,
    default_version bigint not null,
    last_version bigint not null,
    created_ms bigint not null,
    updated_ms bigint not null,
    primary key (account, folded)
);

create unique index iam_policy_arn on iam_policy (arn);

create table iam_policy_version (
    arn text not null,
    version bigint not null,
    document text not null,
    created_ms bigint not null,
    primary key (arn, version)
);

create table iam_access_key (
    id text not null primary key,
    account text not null,
    user_name text not null,
    secret text not null,
    active bigint not null,
    created_ms bigint not null
);

create index iam_access_key_user on iam_access_key (account, user_name);

-- Grows with every change of the account, so that compiled grants know when they are stale.
create table iam_revision (
    account text not null primary key,
    revision bigint not null
)
