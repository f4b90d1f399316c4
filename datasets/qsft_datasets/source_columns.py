"""Columns that keep what a source itself said of its labels, whatever rule the label columns follow."""

SOURCE_PREFIX = "source."
SOURCE_REWARD = f"{SOURCE_PREFIX}reward"
SOURCE_TERMINATED = f"{SOURCE_PREFIX}terminated"
