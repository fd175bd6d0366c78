create table stepfunctions_machine (
    arn text primary key,
    account text not null,
    region text not null,
    name text not null,
    type text not null,
    definition text not null,
    role_arn text not null,
    settings text not null,
    tags text not null,
    created_ms bigint not null,
    updated_ms bigint not null,
    revision text not null
);

create index stepfunctions_machine_named on stepfunctions_machine (account, region, name);

create table stepfunctions_execution (
    arn text primary key,
    machine_arn text not null,
    machine_name text not null,
    name text not null,
    type text not null,
    status text not null,
    definition text not null,
    role_arn text not null,
    secret text not null,
    input text not null,
    output text,
    error text,
    cause text,
    started_ms bigint not null,
    stopped_ms bigint,
    event_count bigint not null,
    thread_count bigint not null,
    deadline_ms bigint,
    next_due_ms bigint
);

create index stepfunctions_execution_of on stepfunctions_execution (machine_arn, started_ms);
create index stepfunctions_execution_due on stepfunctions_execution (next_due_ms);
create index stepfunctions_execution_status on stepfunctions_execution (status);

create table stepfunctions_thread (
    execution text not null,
    id bigint not null,
    body text not null,
    primary key (execution, id)
);

create table stepfunctions_event (
    execution text not null,
    id bigint not null,
    body text not null,
    primary key (execution, id)
);
