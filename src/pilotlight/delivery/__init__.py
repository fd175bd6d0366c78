"""The one road of everything asynchronous: an event that was written with its cause is brought to its target.

An event is a row of the outbox. The dispatcher claims it under a lease, its kind's target makes one attempt, and the
row is removed, put back for later, or replaced by what follows from it. Nothing here is kept in memory that a restart
would lose.
"""
