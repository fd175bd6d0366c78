create table log_group (
    id integer primary key,
    account text not null,
    region text not null,
    name text not null,
    created_ms bigint not null,
    retention_days bigint,
    class text not null,
    protected bigint not null,
    tags text not null,
    unique (account, region, name)
);

create table log_stream (
    id integer primary key,
    group_id bigint not null,
    name text not null,
    created_ms bigint not null,
    first_ms bigint,
    last_ms bigint,
    ingested_ms bigint,
    unique (group_id, name)
);

create table log_event (
    id integer primary key autoincrement,
    group_id bigint not null,
    stream_id bigint not null,
    at_ms bigint not null,
    ingested_ms bigint not null,
    message text not null
);

create index log_event_stream on log_event (stream_id, at_ms, id);

create index log_event_group on log_event (group_id, at_ms, id);
