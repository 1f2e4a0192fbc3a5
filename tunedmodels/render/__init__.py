"""Render plans, models, reports and events: one pure function per subject and form."""
