create table events_rule (
    account text not null,
    region text not null,
    name text not null,
    schedule text not null,
    state text not null,
    description text not null,
    tags text not null,
    next_due_ms bigint,
    primary key (account, region, name)
);

create index events_rule_due on events_rule (next_due_ms);

create table events_target (
    account text not null,
    region text not null,
    rule text not null,
    id text not null,
    body text not null,
    primary key (account, region, rule, id)
);
