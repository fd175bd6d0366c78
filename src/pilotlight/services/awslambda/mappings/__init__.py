"""Event source mappings: which queue a function reads from, and how. `event_sources/` does the reading.

Real: SQS queues, standard and FIFO: batch sizes, windows, filters, partial failures, maximum concurrency. Refused by
name: streams, Kafka, MQ and DocumentDB as sources, KMS keys, provisioned pollers, metrics and logging settings.
"""
