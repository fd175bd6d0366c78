create table sqs_queue (
    account text not null,
    region text not null,
    name text not null,
    id bigint not null unique,
    fifo bigint not null,
    attributes text not null,
    tags text not null,
    retention_ms bigint not null,
    created_ms bigint not null,
    modified_ms bigint not null,
    purged_ms bigint not null,
    last_sequence bigint not null,
    primary key (account, region, name)
);

create table sqs_message (
    queue bigint not null,
    sequence bigint not null,
    id text not null,
    body text not null,
    attributes text not null,
    system text not null,
    sent_ms bigint not null,
    visible_at_ms bigint not null,
    received_ms bigint not null,
    first_received_ms bigint not null,
    receives bigint not null,
    receipt text not null,
    group_id text not null,
    dead_letter_source text not null,
    primary key (queue, sequence)
);

create index sqs_message_visible on sqs_message (queue, visible_at_ms, sequence);
create index sqs_message_group on sqs_message (queue, group_id, sequence) where group_id <> '';

create table sqs_group (
    queue bigint not null,
    group_id text not null,
    available_at_ms bigint not null,
    head bigint not null,
    primary key (queue, group_id)
);

create index sqs_group_available on sqs_group (queue, available_at_ms, head);

create table sqs_deduplication (
    queue bigint not null,
    key text not null,
    id text not null,
    sequence bigint not null,
    until_ms bigint not null,
    primary key (queue, key)
);

create index sqs_deduplication_until on sqs_deduplication (until_ms);

create table sqs_attempt (
    queue bigint not null,
    attempt text not null,
    receipt text not null,
    until_ms bigint not null,
    primary key (queue, attempt)
);

create index sqs_attempt_until on sqs_attempt (until_ms);

create table sqs_deleted (
    account text not null,
    region text not null,
    name text not null,
    until_ms bigint not null,
    primary key (account, region, name)
);

create table sqs_sweep (
    queue bigint not null primary key
);

create table sqs_move (
    handle text not null primary key,
    account text not null,
    region text not null,
    source text not null,
    destination text not null,
    rate bigint not null,
    status text not null,
    moved bigint not null,
    total bigint not null,
    started_ms bigint not null,
    due_ms bigint not null,
    failure text not null
);

create index sqs_move_source on sqs_move (account, region, source, started_ms);
create index sqs_move_due on sqs_move (status, due_ms);
