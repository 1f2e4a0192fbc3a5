"""The places where changes are reviewed, behind one contract: the plan's one comment lives there.

A floor above the providers, because it borrows their HTTP client: retrying stays in one place.
"""
