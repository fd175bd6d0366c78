create table apigatewayv2_api (
    id text primary key,
    account text not null,
    region text not null,
    revision bigint not null,
    created_ms bigint not null,
    body text not null
);

create index apigatewayv2_api_owner on apigatewayv2_api (account, region, id);

create table apigatewayv2_part (
    api text not null,
    kind text not null,
    id text not null,
    created_ms bigint not null,
    body text not null,
    primary key (api, kind, id)
);
