# SPDX-License-Identifier: MPL-2.0
"""Reads the pages of reports."""

import html.parser
import json
import re
from pathlib import Path
from typing import Any


class Page(html.parser.HTMLParser):
    """Collects ids, addresses and the texts of the elements of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        for name, value in attrs:
            if name == "id" and value:
                self.ids.append(value)
            if name in ("src", "href", "xlink:href", "action") and value:
                self.addresses.append(value)

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass


def page_of(file: Path) -> tuple[Page, dict[str, Any]]:
    text = file.read_text("utf-8")
    page = Page(text)
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return page, json.loads(found[1])
