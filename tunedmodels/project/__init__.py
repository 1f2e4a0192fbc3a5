"""A project opened on disk, and resolved into the desired models."""

from tunedmodels.project.project import Project

__all__ = ["Project"]
