"""Readers of the stream of events beyond this terminal: a file, a webhook, a collector of traces.

None of them decides anything, none of them can stop a run, and none of them gets what a dataset
says: the words of a failure are the service's own and may quote an example, so they stay here.
"""
