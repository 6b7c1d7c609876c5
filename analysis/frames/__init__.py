"""Results folders as tidy dataframes, and the trials behind their rows."""
