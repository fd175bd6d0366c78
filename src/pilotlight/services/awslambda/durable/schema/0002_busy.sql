alter table lambda_durable_execution add column busy integer not null default 1;

create index lambda_durable_execution_busy on lambda_durable_execution (busy, started_ms);
create index lambda_durable_execution_untold on lambda_durable_execution (untold);
