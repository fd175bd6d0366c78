"""Durable functions: executions that are checkpointed, wait without running, and go on after a crash.

A handler under AWS's durable execution SDK checkpoints what it has done, and answers PENDING when it has to wait. What
it waits for (a time, a retry, a callback, another function) is a row; when that has come about, the handler is invoked
again, is shown its operations, and runs over those that are done. All waits are cloud time.

`state`: what is remembered. `checks`, `fold`: the pure core. `store`: the rows. `runner`: commits each step, and then
invokes. `starts`, `chained`: how executions begin. `operations`: the API.

AWS does not say how often an invocation that dies is tried again: here five times, after 1, 2, 4 and 8 seconds.
Refused by name: KMS keys, tenants, trace headers of chained invokes; dead-letter queues, and settings of asynchronous
invocations, which are not those of executions. Runtimes that AWS's SDK does not support yet are not refused.
"""
