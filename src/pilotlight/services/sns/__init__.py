"""SNS: topics, their subscriptions, and messages on their way to each.

A publication writes one event of the outbox for each subscription that wants the message, in one transaction; all are
delivered at the same time, retried and dead-lettered by themselves (`delivery/targets/notifying.py`). FIFO topics
keep a line for each subscription and group: an event delivers whatever is at its head, so that order holds.

Real: topics, subscriptions to queues, functions, http and https; mail and text messages go to a mailbox at
`/_pilotlight/mailbox`. Stored: `KmsMasterKeyId`, `TracingConfig`, `FifoThroughputScope`, `DisplayName`, the feedback
roles. Refused by name: subscriptions to Firehose and to mobile applications, message archives, data protection.
"""
