"""SQS: standard and FIFO queues, their messages, dead-letter queues and what moves messages back.

A message is one row. Its `sequence` begins with the moment it was sent, so that a queue's rows lie in order and
retention is a range; a receive takes the first rows of an index and never looks at what is in flight. FIFO queues keep
a row for each message group that says when its head may be received. Purged and deleted queues lose their id at once,
and their rows later.

Real: everything but what follows. Stored: encryption settings (`KmsMasterKeyId`, `KmsDataKeyReusePeriodSeconds`,
`SqsManagedSseEnabled`) and `FifoThroughputLimit`: nothing here is throttled.
"""
