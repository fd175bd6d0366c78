create table node_value (
    name text primary key,
    value text not null
);

create table outbox (
    id text primary key,
    kind text not null,
    account text not null,
    region text not null,
    target text not null,
    source text not null,
    payload bytea not null,
    created_ms bigint not null,
    due_ms bigint not null,
    attempts bigint not null,
    slot bigint not null,
    detail text not null,
    lease_token text not null,
    lease_until_ms bigint not null
);

create index outbox_due on outbox (due_ms, id);
