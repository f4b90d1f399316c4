"""Which nodes a robot needs, with which parameters and topics: plain data for launch files, `start` and tests."""
