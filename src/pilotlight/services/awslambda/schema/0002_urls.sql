create table lambda_url (
    id text primary key,
    account text not null,
    region text not null,
    name text not null,
    qualifier text not null,
    body text not null
);

create unique index lambda_url_of on lambda_url (account, region, name, qualifier);
