create table s3_bucket (
    name text primary key,
    id text not null,
    account text not null,
    region text not null,
    created_ms bigint not null,
    revision bigint not null,
    versioning text not null,
    settings text not null
);

create index s3_bucket_account on s3_bucket (account, name);

create table s3_object (
    bucket text not null,
    key text not null,
    sequence bigint not null,
    version_id text not null,
    current bigint not null,
    marker bigint not null,
    modified_ms bigint not null,
    size bigint not null,
    etag text not null,
    storage_class text not null,
    attributes text not null,
    tags text not null,
    upload_id text not null,
    blob text not null,
    body bytea,
    primary key (bucket, key, sequence)
);

create unique index s3_object_current on s3_object (bucket, key) where current = 1;

create index s3_object_blob on s3_object (blob) where blob <> '';

create table s3_upload (
    id text primary key,
    bucket text not null,
    key text not null,
    initiated_ms bigint not null,
    initiator text not null,
    storage_class text not null,
    attributes text not null,
    tags text not null
);

create index s3_upload_key on s3_upload (bucket, key, id);

create table s3_part (
    upload_id text not null,
    number bigint not null,
    size bigint not null,
    etag text not null,
    modified_ms bigint not null,
    checksums text not null,
    blob text not null,
    body bytea,
    primary key (upload_id, number)
);

create index s3_part_blob on s3_part (blob) where blob <> '';
