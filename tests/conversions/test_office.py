"""Office documents through LibreOffice, in the sandbox: real files of each kind, and bad ones."""

import io
import re
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pypdfium2  # type: ignore[import-untyped]
import pytest
from PIL import Image

from entrepot.core.catalogue import media_group_of, sniff
from entrepot.core.conversions import office
from entrepot.core.conversions.pipelines import compile_pipeline
from entrepot.core.conversions.port import ConversionFailed
from entrepot.core.conversions.recipes import Recipe, recipe_to_document
from entrepot.core.conversions.rules import load_media_rules
from entrepot.errors import Invalid
from entrepot.jobs import CONVERSIONS, VIDEOS
from entrepot.worker.converters import Converters
from tests.conversions.trials import source_file

OPC = "application/vnd.openxmlformats-officedocument."
ODF = "application/vnd.oasis.opendocument."
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
WORDS = "The price of four lemons"
XML = '<?xml version="1.0" encoding="UTF-8"?>'
NAMES = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{kind}:1.0"'
    for name, kind in {
        "office": "office",
        "text": "text",
        "table": "table",
        "draw": "drawing",
        "script": "script",
        "presentation": "presentation",
        "svg": "svg-compatible",
        "manifest": "manifest",
    }.items()
)
LINKS = 'xmlns:xlink="http://www.w3.org/1999/xlink"'


def packed(files: dict[str, str | bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in files.items():
            kind = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            package.writestr(name, content, kind)
    return made.getvalue()


def opc(part: str, kind: str, files: dict[str, str]) -> bytes:
    types = (
        f'{XML}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.'
        'relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/{part}" ContentType="{OPC}{kind}.main+xml"/></Types>'
    )
    root = (
        f'{XML}<Relationships xmlns="{RELATIONS}"><Relationship Id="r1" '
        f'Type="{OFFICE_RELATIONS}/officeDocument" Target="{part}"/></Relationships>'
    )
    return packed({"[Content_Types].xml": types, "_rels/.rels": root, **files})


def docx() -> bytes:
    main = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    body = f"<w:body><w:p><w:r><w:t>{WORDS}</w:t></w:r></w:p></w:body>"
    text = f'{XML}<w:document xmlns:w="{main}">{body}</w:document>'
    return opc("word/document.xml", "wordprocessingml.document", {"word/document.xml": text})


def odf(kind: str, body: str, head: str = "", more: dict[str, str] | None = None) -> bytes:
    content = (
        f'{XML}<office:document-content {NAMES} {LINKS} office:version="1.2">{head}'
        f"<office:body>{body}</office:body></office:document-content>"
    )
    listed = "".join(
        f'<manifest:file-entry manifest:full-path="{name}" manifest:media-type="text/xml"/>'
        for name in ("content.xml", *(more or {}))
    )
    manifest = (
        f'{XML}<manifest:manifest {NAMES} manifest:version="1.2"><manifest:file-entry '
        f'manifest:full-path="/" manifest:media-type="{ODF}{kind}"/>{listed}</manifest:manifest>'
    )
    return packed(
        {
            "mimetype": ODF + kind,
            "content.xml": content,
            **(more or {}),
            "META-INF/manifest.xml": manifest,
        }
    )


def ods() -> bytes:
    cell = f'<table:table-cell office:value-type="string"><text:p>{WORDS}</text:p>'
    row = f"<table:table-row>{cell}</table:table-cell></table:table-row>"
    table = f'<table:table table:name="One">{row}</table:table>'
    return odf("spreadsheet", f"<office:spreadsheet>{table}</office:spreadsheet>")


def odp() -> bytes:
    box = f"<draw:text-box><text:p>{WORDS}</text:p></draw:text-box>"
    frame = f'<draw:frame svg:width="20cm" svg:height="4cm" svg:x="1cm" svg:y="1cm">{box}'
    page = f'<draw:page draw:name="one">{frame}</draw:frame></draw:page>'
    return odf("presentation", f"<office:presentation>{page}</office:presentation>")


def rtf() -> bytes:
    return b"{\\rtf1\\ansi{\\fonttbl\\f0 Serif;}\\f0 " + WORDS.encode() + b"\\par}"


MACRO = (
    f'{XML}<!DOCTYPE script:module PUBLIC "-//OpenOffice.org//DTD OfficeDocument 1.0//EN" '
    '"module.dtd"><script:module xmlns:script="http://openoffice.org/2000/script" '
    'script:name="Module1" script:language="StarBasic">Sub Main\n'
    'ThisComponent.Text.setString("A macro ran")\nEnd Sub\n</script:module>'
)
LIBRARY = (
    f'{XML}<!DOCTYPE library:library PUBLIC "-//OpenOffice.org//DTD OfficeDocument 1.0//EN" '
    '"library.dtd"><library:library xmlns:library="http://openoffice.org/2000/library" '
    'library:name="Standard" library:readonly="false" library:passwordprotected="false">'
    '<library:element library:name="Module1"/></library:library>'
)
LIBRARIES = (
    f'{XML}<!DOCTYPE library:libraries PUBLIC "-//OpenOffice.org//DTD OfficeDocument 1.0//EN" '
    '"libraries.dtd"><library:libraries xmlns:library="http://openoffice.org/2000/library" '
    f'{LINKS}><library:library library:name="Standard" library:link="false"/></library:libraries>'
)


def hostile() -> bytes:
    """A macro that runs when it is opened, and a picture that lies outside of the document."""
    listener = (
        "<office:scripts><office:event-listeners><script:event-listener script:language="
        '"ooo:script" script:event-name="dom:load" xlink:type="simple" xlink:href="'
        'vnd.sun.star.script:Standard.Module1.Main?language=Basic&amp;location=document"/>'
        "</office:event-listeners></office:scripts>"
    )
    linked = (
        '<draw:frame text:anchor-type="paragraph" svg:width="5cm" svg:height="5cm"><draw:image '
        f'xlink:href="{PICTURE.as_uri()}" xlink:type="simple"/></draw:frame>'
    )
    section = (
        '<text:section text:name="other"><text:section-source xlink:type="simple" '
        'xlink:href="file:///etc/libreoffice/sofficerc"/><text:p>kept</text:p></text:section>'
    )
    body = f"<office:text><text:p>{WORDS}{linked}</text:p>{section}</office:text>"
    scripts = {
        "Basic/script-lc.xml": LIBRARIES,
        "Basic/Standard/script-lb.xml": LIBRARY,
        "Basic/Standard/Module1.xml": MACRO,
    }
    return odf("text", body, listener, scripts)


# In sight of the sandbox, and so what a document could reach: part of LibreOffice itself.
PICTURE = Path("/usr/lib/libreoffice/program/intro.png")


@pytest.fixture(scope="module")
def converter() -> Iterator[Converters]:
    opened = Converters(load_media_rules(None), {CONVERSIONS: 1, VIDEOS: 1})
    yield opened
    opened.close()


def recipe(content_type: str, *steps: tuple[str, Any]) -> Recipe:
    told = [{"type": name, "value": value} for name, value in steps]
    return compile_pipeline(told, media_group="Documents", content_type=content_type, field="x")


def converted(converter: Converters, data: bytes, wanted: Recipe) -> bytes:
    with source_file(data) as source, tempfile.TemporaryFile() as target:
        converter.convert(source, recipe_to_document(wanted), target)
        target.seek(0)
        return target.read()


def words_of(pdf: bytes) -> str:
    with pypdfium2.PdfDocument(pdf) as document:
        found = [page.get_textpage().get_text_bounded() for page in document]
    return re.sub(r"\s+", " ", " ".join(found)).strip()


@pytest.mark.needs("soffice")
@pytest.mark.parametrize(
    ("make", "name"), [(docx, "a.docx"), (ods, "a.ods"), (odp, "a.odp"), (rtf, "a.rtf")]
)
def test_an_office_document_becomes_a_pdf(converter: Converters, make: Any, name: str) -> None:
    data = make()
    content_type = sniff(data, name)
    assert office.OFFICE_TYPES[content_type][0] == name[2:]
    assert media_group_of(content_type) == "Documents"
    made = converted(converter, data, recipe(content_type, ("fileExtension", "pdf")))
    assert WORDS in words_of(made)


@pytest.mark.needs("soffice")
def test_the_same_document_gives_the_same_bytes_and_pages_as_pictures(
    converter: Converters,
) -> None:
    wanted = load_media_rules(None).rendition("pdf", "Documents", f"{ODF}text")
    assert wanted is not None
    data = odf("text", f"<office:text><text:p>{WORDS}</text:p></office:text>")
    assert converted(converter, data, wanted) == converted(converter, data, wanted)
    small = recipe(f"{ODF}text", ("resize", {"longest_edge": 200}), ("fileExtension", "png"))
    with Image.open(io.BytesIO(converted(converter, data, small))) as shown:
        assert max(shown.size) == 200
        assert len(shown.convert("L").getcolors() or ()) > 2  # there is something on the page


@pytest.mark.needs("soffice")
def test_macros_do_not_run_and_nothing_outside_of_the_document_is_read(
    converter: Converters,
) -> None:
    assert PICTURE.is_file()
    made = converted(converter, hostile(), recipe(f"{ODF}text", ("fileExtension", "pdf")))
    words = words_of(made)
    assert WORDS in words
    assert "macro" not in words.lower()
    assert "Bootstrap" not in words
    with pypdfium2.PdfDocument(made) as document:
        for page in document:
            kinds = [each.type for each in page.get_objects()]
            assert pypdfium2.raw.FPDF_PAGEOBJ_IMAGE not in kinds


@pytest.mark.needs("soffice")
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(docx()[:300], id="cut off"),
        pytest.param(b"%PDF-1.4 not a document of Word", id="another type"),
        pytest.param(bytes(5000), id="nothing"),
    ],
)
def test_what_is_no_such_document_is_refused(converter: Converters, data: bytes) -> None:
    wanted = recipe(f"{OPC}wordprocessingml.document", ("fileExtension", "pdf"))
    with pytest.raises(ConversionFailed) as caught:
        converted(converter, data, wanted)
    assert caught.value.code == "media-damaged"


def test_without_libreoffice_it_is_refused_when_ordered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(office, "_COMMANDS", (Path("/usr/bin/no-such-office"),))
    office.find_office.cache_clear()
    try:
        with pytest.raises(Invalid, match="without LibreOffice") as caught:
            recipe("application/msword", ("fileExtension", "pdf"))
    finally:
        office.find_office.cache_clear()
    assert caught.value.code == "conversion-impossible"
