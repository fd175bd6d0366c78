create table sns_topic (
    arn text not null primary key,
    account text not null,
    region text not null,
    name text not null,
    attributes text not null,
    tags text not null,
    last_sequence bigint not null
);

create index sns_topic_place on sns_topic (account, region, arn);

create table sns_subscription (
    arn text not null primary key,
    topic text not null,
    account text not null,
    region text not null,
    owner text not null,
    protocol text not null,
    endpoint text not null,
    attributes text not null,
    token text not null,
    confirmed bigint not null,
    authenticated bigint not null,
    guest bigint not null,
    unique (topic, protocol, endpoint)
);

create index sns_subscription_place on sns_subscription (account, region, arn);

create table sns_deduplication (
    topic text not null,
    key text not null,
    id text not null,
    sequence bigint not null,
    until_ms bigint not null,
    primary key (topic, key)
);

create table sns_line (
    subscription text not null,
    group_id text not null,
    sequence bigint not null,
    payload text not null,
    failures bigint not null,
    due_ms bigint not null,
    primary key (subscription, group_id, sequence)
);

create table sns_mail (
    id text not null primary key,
    account text not null,
    region text not null,
    protocol text not null,
    address text not null,
    subject text not null,
    body text not null,
    sent_ms bigint not null
);

create index sns_mail_sent on sns_mail (sent_ms, id);
