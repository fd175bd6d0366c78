create table dynamodb_table (
    id bigint primary key,
    account text not null,
    region text not null,
    name text not null,
    revision bigint not null,
    definition text not null,
    ttl bigint not null,
    unique (account, region, name)
);

create table dynamodb_item (
    table_id bigint not null,
    pk bytea not null,
    sk bytea not null,
    revision bigint not null,
    size bigint not null,
    expires_ms bigint,
    body bytea not null,
    primary key (table_id, pk, sk)
);

create index dynamodb_item_expires on dynamodb_item (expires_ms) where expires_ms is not null;

create table dynamodb_entry (
    index_id bigint not null,
    pk bytea not null,
    sk bytea not null,
    item_pk bytea not null,
    item_sk bytea not null,
    primary key (index_id, pk, sk, item_pk, item_sk)
);

create table dynamodb_tally (
    table_id bigint not null,
    shard bigint not null,
    items bigint not null,
    bytes bigint not null,
    primary key (table_id, shard)
);

create table dynamodb_sweep (
    kind text not null,
    id bigint not null,
    primary key (kind, id)
);

create table dynamodb_backfill (
    kind text not null,
    id bigint not null,
    table_id bigint not null,
    pk bytea not null,
    sk bytea not null,
    primary key (kind, id)
);

create table dynamodb_token (
    account text not null,
    region text not null,
    token text not null,
    digest text not null,
    expires_ms bigint not null,
    primary key (account, region, token)
);

create index dynamodb_token_expires on dynamodb_token (expires_ms);
