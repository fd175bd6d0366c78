create table cloudformation_stack (
    id text primary key,
    account text not null,
    region text not null,
    name text not null,
    live bigint not null,
    status text not null,
    created_ms bigint not null,
    body text not null
);

create index cloudformation_stack_name on cloudformation_stack (account, region, name, live);

create table cloudformation_resource (
    stack text not null,
    logical_id text not null,
    generation bigint not null,
    type text not null,
    physical_id text not null,
    status text not null,
    changed_ms bigint not null,
    body text not null,
    primary key (stack, logical_id, generation)
);

create table cloudformation_event (
    stack text not null,
    number bigint not null,
    body text not null,
    primary key (stack, number)
);

create table cloudformation_change_set (
    id text primary key,
    stack text not null,
    name text not null,
    created_ms bigint not null,
    body text not null
);

create index cloudformation_change_set_stack on cloudformation_change_set (stack, name);

create table cloudformation_operation (
    stack text primary key,
    kind text not null,
    body text not null,
    created_ms bigint not null,
    lease_token text not null,
    lease_until_ms bigint not null
);

create table cloudformation_export (
    account text not null,
    region text not null,
    name text not null,
    stack text not null,
    value text not null,
    primary key (account, region, name)
);

create table cloudformation_import (
    account text not null,
    region text not null,
    name text not null,
    stack text not null,
    primary key (account, region, name, stack)
);
