"""Outcomes from a person: a local web page that shows the end of every episode and takes a key for each."""
