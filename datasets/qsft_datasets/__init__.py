"""Robot logs of other formats, streamed one episode at a time into the canonical data set."""
