"""The two pages of the service: the search page with its policy, and a plain page of the API's documentation."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from html import escape
from pathlib import Path

from ..store import Store

PAGE = Path(__file__).with_name("page.html")
NOTICES = {  # by the weights that made a collection's vectors; what LICENSE-PQF asks for in its section 5
    "resnet50-pqf.pth": "The vectors are output of the Work permute-quantize-finetune by UATC, LLC (Uber), compressed "
    "image classification networks: https://github.com/uber-research/permute-quantize-finetune. It is available under "
    "its license, LICENSE-PQF, which allows non-commercial use only."
}


def notice(store: Store) -> str:
    """What whoever sees a store's vectors or searches is to be told of the weights that made them; empty for others.

    >>> from neighborhood_drift import Collection
    >>> notice(Collection(2)), notice(Collection(2, encoder={"name": "resnet50", "weights": "resnet50-pqf.pth"}))[:11]
    ('', 'The vectors')
    """
    encoder = getattr(store, "encoder", None) or {}
    return NOTICES.get(str(encoder.get("weights")).removesuffix(".xz"), "")


@cache
def search_page() -> tuple[str, str]:
    """The page and its content security policy: its own script and style, by their hashes, and nothing else."""
    text = PAGE.read_text(encoding="utf-8")
    return text, "; ".join(
        [
            "default-src 'none'",
            f"script-src {_hashes(text, 'script')}",
            f"style-src {_hashes(text, 'style')}",
            "img-src 'self' blob: data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


def _hashes(text: str, tag: str) -> str:
    """Sources of a policy that allow the elements of that name.

    >>> _hashes("<style>a {}</style>", "style")
    "'sha256-mkSHzL7faOU7/U/v8Umg+058R69+vN2A2xmE3Fz1q98='"
    """
    found = re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", text, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in found]
    return " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"


def docs_page(openapi: dict) -> tuple[str, str]:
    """A page of what an OpenAPI document says, which needs no script and no network, and its policy."""
    style = (
        ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;"
        "padding:0 1rem}pre{overflow:auto}h2{margin-top:2rem}p{margin:.4rem 0}"
    )
    rows = [
        f"<section><h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(one.get('description', ''))}</p>"
        f"{_takes(one)}{_answers(one)}</section>"
        for path, methods in openapi["paths"].items()
        for method, one in methods.items()
    ]
    schemas = "".join(
        f"<h3 id='{escape(name)}'>{escape(name)}</h3><pre>{escape(json.dumps(schema, indent=1, ensure_ascii=False))}"
        "</pre>"
        for name, schema in openapi.get("components", {}).get("schemas", {}).items()
    )
    title = escape(openapi["info"]["title"])
    text = (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}: API</title>"
        f"<meta name='viewport' content='width=device-width'><style>{style}</style></head><body><h1>{title}: API</h1>"
        f"<p>{escape(openapi['info'].get('description', ''))} The same as an OpenAPI document: "
        f"<a href='/openapi.json'>/openapi.json</a>.</p>{''.join(rows)}<h2>Schemas</h2>{schemas}</body></html>"
    )
    return text, f"default-src 'none'; style-src {_hashes(text, 'style')}; base-uri 'none'; frame-ancestors 'none'"


def _takes(operation: dict) -> str:
    fields = [
        f"<code>{escape(one['name'])}</code> {escape(one.get('description', ''))}"
        for one in operation.get("parameters", ())
    ]
    for media, body in operation.get("requestBody", {}).get("content", {}).items():
        fields.append(f"a body <code>{escape(media)}</code>: {_named(body['schema'])}")
    return f"<p>Takes {'; '.join(fields)}</p>" if fields else ""


def _answers(operation: dict) -> str:
    answers = []
    for status, one in sorted(operation["responses"].items()):
        schemas = [media.get("schema", {}) for media in one.get("content", {}).values()] if status == "200" else []
        named = " or ".join(_named(part) for schema in schemas for part in schema.get("anyOf", [schema]) if part)
        answers.append(f"{escape(status)} {named or escape(one['description'])}")
    return f"<p>Answers {'; '.join(answers)}</p>"


def _named(schema: dict) -> str:
    name = escape(schema.get("$ref", "").rpartition("/")[2])
    return f"<a href='#{name}'>{name}</a>" if name else "see below"
