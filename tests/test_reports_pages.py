"""HTML and Markdown pages: self-contained, complete, and no content changes their structure."""

from __future__ import annotations

import re
from functools import lru_cache
from html.parser import HTMLParser

import pytest
from report_documents import FIXTURE, PAYLOADS, ROOT, meaningful, poisoned

import reports
from reports import document as doc
from reports import escape


@pytest.fixture
def incident():
    return doc.load(FIXTURE)


class Skeleton(HTMLParser):
    """Tags with all their attributes, in order, and the text between."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[object] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, *attrs))

    def handle_endtag(self, tag) -> None:
        self.tags.append(f"/{tag}")

    def handle_comment(self, data) -> None:
        self.tags.append(("comment", data))

    def handle_data(self, data) -> None:
        self.text.append(data)


def skeleton(html: str) -> Skeleton:
    parser = Skeleton()
    parser.feed(html)
    parser.close()
    return parser


@lru_cache(maxsize=4)
def harmless_html(keep) -> Skeleton:
    return skeleton(reports.render("html", poisoned(doc.load(FIXTURE), "zq", keep)))


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
@pytest.mark.parametrize("keep", [frozenset(), frozenset({"utc"})], ids=["", "timed"])
def test_html_structure_does_not_depend_on_content(payload, keep, incident) -> None:
    keep |= meaningful(payload)
    harmless = harmless_html(keep)
    hostile = skeleton(reports.render("html", poisoned(incident, payload, keep)))

    assert harmless.tags == hostile.tags
    assert escape.visible(payload.strip()) in "".join(hostile.text)


def test_html_is_self_contained(incident) -> None:
    html = reports.render("html", incident)
    page = skeleton(html)

    names = {tag[0] for tag in page.tags if isinstance(tag, tuple)}
    assert names & {"script", "link", "img", "iframe", "object", "embed", "form", "base", "video"} == set()
    attributes = [pair for tag in page.tags if isinstance(tag, tuple) for pair in tag[1:]]
    assert {name for name, _ in attributes if name.startswith("on")} == set()
    assert {value for name, value in attributes if name in ("href", "src") and not value.startswith("#")} == set()
    assert "default-src 'none'; style-src 'unsafe-inline'" in {value for name, value in attributes if name == "content"}
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_html_elements_are_closed(incident) -> None:
    void = {"meta", "br"}
    open_tags: list[str] = []
    for tag in skeleton(reports.render("html", incident)).tags:
        if isinstance(tag, tuple):
            open_tags += [tag[0]] if tag[0] not in void else []
        else:
            assert open_tags.pop() == tag[1:]
    assert open_tags == []


def test_html_links_lead_somewhere(incident) -> None:
    page = skeleton(reports.render("html", incident))

    pairs = [pair for tag in page.tags if isinstance(tag, tuple) for pair in tag[1:]]
    ids = [value for name, value in pairs if name == "id"]
    assert sorted(set(ids)) == sorted(ids)
    assert {value[1:] for name, value in pairs if name == "href"} <= set(ids)


def test_html_shows_the_bytes_and_both_readings(incident) -> None:
    html = reports.render("html", incident)
    said = " ".join(" ".join(skeleton(html).text).split())

    assert "offset 288: what was written ends" in said
    assert '<span class="word trail">fe 00 00 00</span>' in html
    assert "Trailing 96 bytes: allow-all" in said
    assert "slot 18: ANY, priority 0, DENY, any port" in said
    assert "Wrongly allowed" in said
    assert html.count('<article class="finding') == 14


def test_html_counts_what_it_does_not_show(incident) -> None:
    incident["findings"][0]["entries"] = [f"10.{high}.{low}.0/24" for high in range(4) for low in range(256)]
    incident["findings"][0]["details"]["entries"] *= 15

    said = " ".join(" ".join(skeleton(reports.render("html", incident)).text).split())

    assert "and 824 more, complete in the JSON report" in said
    assert "and 3 more values, complete in the JSON report" in said


def test_templates_never_switch_escaping_off() -> None:
    sources = [path for path in (ROOT / "reports").rglob("*") if path.suffix in (".py", ".j2")]
    assert len(sources) >= 10

    for path in sources:
        assert not re.search(r"\|\s*safe\b|autoescape\s+false|Markup\(|from_string", path.read_text()), path.name


def tokens(source: str):
    """Block and inline token types of a Markdown page; adjacent text is one."""
    parser = (
        pytest.importorskip("markdown_it").MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    )
    out: list[str] = []
    for token in parser.parse(source):
        out.append(f"{token.type} {token.tag} {token.info}")
        for child in token.children or ():
            if not (child.type == "text" and out[-1] == "text"):
                out.append(child.type)
    return out


@lru_cache(maxsize=4)
def harmless_markdown(keep) -> list[str]:
    return tokens(reports.render("markdown", poisoned(doc.load(FIXTURE), "zq", keep)))


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_markdown_structure_does_not_depend_on_content(payload, incident) -> None:
    keep = meaningful(payload)
    harmless = harmless_markdown(keep)
    hostile = tokens(reports.render("markdown", poisoned(incident, payload, keep)))

    assert harmless == hostile


@pytest.mark.parametrize(
    "payload", ["\n# h\n\n<script>x</script>\n\n", "\n```\n\n<b>\n", "\r\n| a |\r\n| - |\r\n", "\n---\n"]
)
def test_markdown_line_ends_open_nothing(payload, incident) -> None:
    harmless = tokens(reports.render("markdown", poisoned(incident, "zq")))
    hostile = tokens(reports.render("markdown", poisoned(incident, payload)))

    for kind in ("html_block", "html_inline", "heading_open h1 ", "heading_open h2 ", "table_open table ", "hr hr "):
        assert harmless.count(kind) == hostile.count(kind)
        assert [token for token in hostile if token.startswith("html")] == []


def test_markdown_is_a_post_mortem(incident) -> None:
    page = reports.render("markdown", incident)

    wanted = ["Summary", "Impact", "Policy against kernel", "Timeline", "Root cause", "Evidence", "Remedy"]
    assert [*wanted, "Open questions", "Coverage and problems"] == re.findall(r"^## (.*)$", page, re.MULTILINE)
    assert "- prod/api-5c9d7f4b8-qk2zt -> prod/frontend-6b8f5d7c9-t9w5k (10.100.1.5): every TCP port" in page
    assert "0120  fe 00 00 00  00 00 00 00" in page
    assert "```sh\nkubectl -n prod delete pod web-7d4f8c9b6-abcde api-5c9d7f4b8-qk2zt db-0\n```" in page
