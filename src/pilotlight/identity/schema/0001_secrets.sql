-- The node's own secrets, such as the master key that session tokens are sealed with.
create table identity_secret (
    name text not null primary key,
    value bytea not null
);
