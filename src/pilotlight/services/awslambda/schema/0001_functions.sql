create table lambda_function (
    account text not null,
    region text not null,
    name text not null,
    id text not null,
    created_ms bigint not null,
    next_version bigint not null,
    reserved bigint,
    tags text not null,
    primary key (account, region, name)
);

create table lambda_version (
    account text not null,
    region text not null,
    name text not null,
    number bigint not null,
    revision text not null,
    body text not null,
    primary key (account, region, name, number)
);

create table lambda_part (
    account text not null,
    region text not null,
    name text not null,
    kind text not null,
    id text not null,
    revision text not null,
    body text not null,
    primary key (account, region, name, kind, id)
);

create index lambda_part_kind on lambda_part (kind, account, region, name);

create table lambda_layer (
    account text not null,
    region text not null,
    name text not null,
    next_version bigint not null,
    primary key (account, region, name)
);

create table lambda_layer_version (
    account text not null,
    region text not null,
    name text not null,
    number bigint not null,
    revision text not null,
    body text not null,
    policy text not null,
    primary key (account, region, name, number)
);
