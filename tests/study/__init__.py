import study  # noqa: F401  # sets what Ray reads when it is imported, by whichever test first
