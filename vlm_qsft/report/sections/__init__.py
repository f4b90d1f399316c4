"""The sections of the page, top to bottom; each takes what was loaded and returns HTML."""
