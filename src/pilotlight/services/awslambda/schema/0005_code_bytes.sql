alter table lambda_version add column code_bytes bigint not null default 0;

create index lambda_version_code on lambda_version (account, region, code_bytes);

alter table lambda_layer_version add column code_bytes bigint not null default 0;

create index lambda_layer_version_code on lambda_layer_version (account, region, code_bytes);
