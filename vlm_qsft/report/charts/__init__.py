"""Charts as pure functions from numbers to SVG text; colours come from classes that the page's style sheet defines."""
