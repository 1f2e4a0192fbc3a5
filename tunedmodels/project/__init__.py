"""The one place where the parts meet: manifests, datasets, providers, planner and executor.

Everything here is composition. A question (survey, plan, models) changes nothing; orders go through
the executor or to one provider. Each opens the providers that it needs, and closes them again.
"""

from tunedmodels.project.project import Project

__all__ = ["Project"]
