"""What makes a function slow or dear, measured here: `pilotlight analyze` and `pilotlight tune`.

A caller of the cloud like any other: it makes short-lived copies of a function, runs them, reads their reports and
removes them. The function itself is never changed, and its handler runs only where a payload was given.
"""
