"""Google credentials: where they are found, how they become tokens, and whose they are.

google-auth does the work, with its own transport over `requests`: its metadata server and X.509
federation import that library in any case, so that a transport over httpx would add code and save
nothing. google-auth is imported with the first token, never before.
"""
