create table ecr_repository (
    id text primary key,
    account text not null,
    region text not null,
    name text not null,
    created_ms bigint not null,
    settings text not null
);

create unique index ecr_repository_name on ecr_repository (account, region, name);

create table ecr_image (
    repository text not null,
    digest text not null,
    media_type text not null,
    artifact_type text not null,
    subject text not null,
    manifest bytea not null,
    size bigint not null,
    pushed_ms bigint not null,
    pulled_ms bigint,
    primary key (repository, digest)
);

create table ecr_tag (
    repository text not null,
    tag text not null,
    digest text not null,
    primary key (repository, tag)
);

create index ecr_tag_digest on ecr_tag (repository, digest);

create table ecr_reference (
    repository text not null,
    image text not null,
    digest text not null,
    kind text not null,
    media_type text not null,
    primary key (repository, image, digest)
);

create index ecr_reference_digest on ecr_reference (repository, digest);

create table ecr_layer (
    repository text not null,
    digest text not null,
    id text not null,
    size bigint not null,
    touched_ms bigint not null,
    primary key (repository, digest)
);

create index ecr_layer_touched on ecr_layer (touched_ms);

create table ecr_upload (
    id text primary key,
    repository text not null,
    size bigint not null,
    parts bigint not null,
    started_ms bigint not null
);

create table ecr_blob (
    owner text not null,
    number bigint not null,
    blob text not null,
    size bigint not null,
    primary key (owner, number)
);

create index ecr_blob_name on ecr_blob (blob)
