"""`python -m tunedmodels` is the same as `tunedmodels`."""

from tunedmodels.cli.main import main

main()
