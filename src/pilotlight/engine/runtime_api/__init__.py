"""What a function's own processes ask of the platform, over HTTP from inside their sandbox.

The Runtime API (2018-06-01), the Extensions API (2020-01-01), the Telemetry API (2022-07-01) and the Logs API
(2020-08-15), on one port for each instance. Whoever calls is known by the socket: it listens in that instance's own
network. Left out: `restore/next` and `restore/error`, since SnapStart does not go through HTTP here.
"""
