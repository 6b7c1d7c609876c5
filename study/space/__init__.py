"""Search spaces: YAML files read into grids or searches of trial configs."""
