"""What the figures share: style, captions, image grids, saving, and which trials stand for a study."""
