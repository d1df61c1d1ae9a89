#!/usr/bin/env python3
"""Makes one document of the status page's files, and C of the document.

    inline.py INDEX_HTML OUTPUT_C

The stylesheet and the scripts that the page names take the places of their tags. The browser is to
run these and nothing else: the policy that allows them by their hashes is made with them.
"""

import base64
import hashlib
import re
import sys
from pathlib import Path

TAG = re.compile(r'<link rel="stylesheet" href="(?P<style>[^"]+)">'
                 r'|<script src="(?P<script>[^"]+)"></script>')
REFUSED = re.compile(r'<(?:script|style|img|iframe|link\b(?![^>]*href="data:))|\s(?:on[a-z]+|style)="')


def inlined(index):
    """The document, and the hashes of its styles and scripts."""
    hashes = {"style": [], "script": []}

    def block(tag):
        kind = "style" if tag["style"] else "script"
        text = "\n" + (index.parent / tag[kind]).read_text(encoding="utf-8")
        if f"</{kind}" in text.lower() or "<!--" in text or "\r" in text:
            sys.exit(f"{tag[kind]}: cannot stand inside of <{kind}>")
        digest = hashlib.sha256(text.encode()).digest()
        hashes[kind].append(f"'sha256-{base64.b64encode(digest).decode()}'")
        return f"<{kind}>{text}</{kind}>"

    source = index.read_text(encoding="utf-8")
    if refused := REFUSED.search(TAG.sub("", source)):
        sys.exit(f"{index}: the policy forbids {refused[0].strip()}")
    return TAG.sub(block, source), hashes


def policy(hashes):
    return "; ".join([
        "default-src 'none'",
        f"style-src {' '.join(hashes['style'])}",
        f"script-src {' '.join(hashes['script'])}",
        "connect-src 'self'", "img-src data:",
        "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"])


def c_string(text):
    """The text as C string literals, one a line; whatever is not plain ASCII in octal."""
    def escaped(byte):
        char = chr(byte)
        if char in '"\\?':  # ? because of trigraphs
            return "\\" + char
        return char if 32 <= byte < 127 else f"\\{byte:03o}"

    return "\n".join('    "' + "".join(map(escaped, line.encode())) + '"'
                     for line in text.splitlines(keepends=True))


def main():
    index, output = map(Path, sys.argv[1:])
    document, hashes = inlined(index)
    output.write_text(f"""/* Made by {Path(__file__).name} of the files beside {index.name}. */
#include "admin/status-page.h"

const char status_page[] =
{c_string(document)};

const size_t status_page_size = sizeof(status_page) - 1;

const char status_page_csp[] =
{c_string(policy(hashes))};
""", encoding="ascii")


main()
