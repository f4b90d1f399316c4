"""Markup as text: one element, one escaped string. The same two functions write SVG and HTML."""

from __future__ import annotations

from html import escape

VOID_TAGS = frozenset({"meta", "br", "hr", "img", "input", "source"})


def element(tag: str, *children: str, **attributes: str | float | bool | None) -> str:
    """Return `<tag attributes>children</tag>`; attribute values are escaped, children are markup already.

    A trailing underscore of an attribute name is dropped (`class_`), inner ones become hyphens, floats keep two
    decimals, `True` writes the bare name, `None` and `False` leave the attribute out.
    """
    written = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in VOID_TAGS:
        return f"<{tag}{written}>"
    return f"<{tag}{written}>{''.join(children)}</{tag}>"


def text(content: object) -> str:
    """Return `content` as text that markup cannot misread."""
    return escape(str(content), quote=False)


def _attribute(name: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    # SVG alone spells some attributes in camel case; those arrive as they are.
    written = name.rstrip("_").replace("_", "-")
    if value is True:
        return f" {written}"
    if isinstance(value, float):
        value = f"{value:.2f}".rstrip("0").rstrip(".")
    return f' {written}="{escape(str(value))}"'
