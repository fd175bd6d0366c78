"""Logs, written once, and read by services, the command line and the console."""
