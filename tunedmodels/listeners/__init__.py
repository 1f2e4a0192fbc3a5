"""Listeners: consumers of the events of a run outside this terminal.

A file of JSON lines, a webhook or an OpenTelemetry collector. Listeners make no decision and cannot
stop a run. They receive no dataset text: the message of a failure comes from the service and may
quote an example, so it is not passed on.
"""
