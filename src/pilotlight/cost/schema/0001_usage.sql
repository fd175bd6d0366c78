create table cost_usage (
    account text not null,
    month text not null,
    meter text not null,
    quantity double precision not null,
    primary key (account, month, meter)
);
