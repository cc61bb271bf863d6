"""Presentation only: Jinja templates, one folder for each target and one for the reports."""
