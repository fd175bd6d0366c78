create table lambda_mapping (
    uuid text not null primary key,
    account text not null,
    region text not null,
    function text not null,
    qualifier text not null,
    source text not null,
    enabled bigint not null,
    body text not null,
    tags text not null,
    modified_ms bigint not null,
    result text not null
);

create unique index lambda_mapping_pair on lambda_mapping (account, region, source, function, qualifier);
