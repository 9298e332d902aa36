"""Text that wants to be more than text, and what a renderer and a browser would make of it."""

from __future__ import annotations

from html.parser import HTMLParser

from markdown_it import MarkdownIt

# Raw HTML passes and links are found: the most that a renderer would make of the text.
RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</article></mark><script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "![pixel](https://evil.example/x.png)",
    "![ref][1]\n\n[1]: https://evil.example/x.png",
    "[click](https://evil.example/)",
    "[1](javascript:alert(1))",
    "[1]: https://evil.example/",
    "<https://evil.example/>",
    "https://evil.example/ www.evil.example mailto:a@b.example",
    "<a href='https://evil.example/'>x</a>",
    "<style>body{display:none}</style>",
    "<!-- comment",
    "<![CDATA[x]]>",
    "<?php x ?>",
    "# heading\n## other\n===\n---\n***",
    "**bold** _em_ `code` ~~gone~~ | a | b |",
    "```\ncode\n```",
    "~~~\ncode\n~~~",
    "> quote\n- item\n+ item\n* item\n1. one\n2) two",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "&lt;script&gt; &#60;img&#62; &amp; &copy;",
    "\\<script\\> \\[1](x) \\",
    "line\\\nbreak  \nspaces",
    "$$\\href{javascript:alert(1)}{x}$$ \\(x\\) $x$",
    "\x00 \u202e right to left \u200d",
    "    indented code",
    "\tindented code",
]


class Tags(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.tags.append(("comment", {}))

    def handle_decl(self, decl: str) -> None:
        self.tags.append(("declaration", {}))

    def handle_pi(self, data: str) -> None:
        self.tags.append(("instruction", {}))

    def unknown_decl(self, data: str) -> None:
        self.tags.append(("declaration", {}))
