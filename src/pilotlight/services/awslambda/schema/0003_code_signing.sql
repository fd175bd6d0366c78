create table lambda_code_signing (
    arn text primary key,
    account text not null,
    region text not null,
    body text not null
);
