"""Texts that would do harm if any page took them for more than text. Each says `<x-mark>` in some way.

Where one of them becomes markup, the page has an element `x-mark`; where it runs, it calls `pwned`.
"""

from __future__ import annotations

MARKUP = [
    "<img src=x onerror=pwned()><x-mark>",
    "</script><script>pwned()</script><x-mark>",
    '"><svg onload=pwned()><x-mark>',
    "'><iframe srcdoc='<script>parent.pwned()</script>'><x-mark>",
    "</title></textarea><script>pwned()</script><x-mark>",
    '<a href="javascript:pwned()">here</a><x-mark>',
    "javascript:pwned()//<x-mark>",
    "<!--<x-mark><script>pwned()</script>-->",
    "&lt;x-mark&gt;&#60;x-mark&#62;&lt;img src=x onerror=pwned()&gt;",
    '{{constructor.constructor("pwned()")()}}${pwned()}<x-mark>',
    "<math><mtext><style><img src=x onerror=pwned()></style><x-mark>",
    '[here](javascript:pwned()) ![x](x" onerror="pwned()) <x-mark>',
    "data:text/html,<script>pwned()</script><x-mark>",
    'https://shop.example/"onmouseover="pwned()"x="<x-mark>',
    "<x-mark style=position:fixed;inset:0>",
    "\\u003cx-mark\\u003e\\x3cscript>pwned()<x-mark>",
]


def markup(number: int) -> str:
    """One of them; the same for the same number."""
    return MARKUP[number % len(MARKUP)]
