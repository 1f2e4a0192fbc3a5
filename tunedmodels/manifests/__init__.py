"""From YAML files to declared models, with every problem of every file in one run."""
