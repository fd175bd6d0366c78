create table lambda_durable_execution (
    arn text primary key,
    account text not null,
    region text not null,
    function text not null,
    version text not null,
    name text not null,
    status text not null,
    started_ms bigint not null,
    due_ms bigint,
    untold integer not null,
    revision bigint not null,
    input text not null,
    body text not null
);

create unique index lambda_durable_execution_named on lambda_durable_execution (account, region, function, name);
create index lambda_durable_execution_of on lambda_durable_execution (account, region, function, started_ms);
create index lambda_durable_execution_due on lambda_durable_execution (due_ms);

create table lambda_durable_operation (
    execution text not null,
    position bigint not null,
    body text not null,
    primary key (execution, position)
);

create table lambda_durable_event (
    execution text not null,
    id bigint not null,
    body text not null,
    primary key (execution, id)
);
