"""What an address of the web says by itself. Apart from ``web``, so that other cameras need no client of HTTP."""

from __future__ import annotations


def is_web(address: str) -> bool:
    """Whether an address is one of a web server."""
    return address.lower().startswith(("http://", "https://"))


def looks_like_picture(address: str) -> bool:
    """Whether the path of a web address ends like the name of a picture. It may be a stream all the same."""
    return is_web(address) and address.partition("?")[0].lower().endswith((".jpg", ".jpeg", ".png", ".webp"))
