"""The words of the wire format. README.md says what they carry."""

PROTOCOL = 1
"""Version of the wire format; both sides must have the same. `hello` and `refused` never change."""

LONGEST_INSTRUCTION = 2000
"""Characters."""

HELLO, WELCOME, REFUSED = "hello", "welcome", "refused"
RESET, READY = "reset", "ready"
ACT, DECISION = "act", "decision"
HEALTH = "health"
ERROR = "error"
