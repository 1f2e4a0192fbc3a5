"""Google credentials: where they lie, how they become tokens, and whose they are.

google-auth does the work, with its own transport over `requests`: its metadata server and X.509
federation import that library whatever transport is given, so that one of ours over httpx would add
code and save nothing. All of it is imported with the first token, never before.
"""
