"""The text of a HWPX document (OWPML, KS X 6101: a zip of XML): what a reader reads, top to bottom.

Paragraphs are lines. A table row is a line with tabs between cells; the lines of a cell are joined by
spaces where all cells of the row are short, else each is a line of its own. Notes, captions and text boxes
follow the paragraph that they hang on; equations, ruby, form fields and caption numbers stand in their
place. Page headers and footers, comments and tracked deletions are left out.

One pass of expat with handlers. hwp-hwpx-parser 1.0.0 runs shapes into the paragraph around them and
writes tables as Markdown; extract-hwp 0.2.1 keeps headers, footers and deleted text, and turns every error
into an empty text; python-hwpx 6.9.0 reads into an object model, 13 times slower; unhwp 0.23.1 is a
native library without a build for aarch64. None bounds what a file can cost.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from xml.parsers import expat

MOST_XML_BYTES = 24 << 20
"""Of all sections, unpacked: some 600 pages."""
MOST_DEPTH = 400
"""Of elements; a table in a table is six deeper."""
MOST_ELEMENTS = 1_000_000
MOST_ATTRIBUTES = 10_000
MOST_ENTRIES = 10_000

MOST_CELL_CHARACTERS = 200
"""Of a cell that may be joined into one line."""

_LEFT_OUT = frozenset(
    ("header", "footer", "hiddenComment", "fieldBegin", "secPr", "subText", "linesegarray")
)
_TEXTS = ("t", "script", "mainText", "text")
_MARKS = {"tab": "\t", "lineBreak": "\n", "nbSpace": "\u00a0", "fwSpace": " ", "hyphen": "-"}
_FORM_FIELDS = {"checkBtn": "caption", "radioBtn": "caption", "btn": "caption", "comboBox": "selectedValue"}
"""Form fields to the attribute that shows; that of an edit is in an element, text."""
_NUMBERED = frozenset(("TABLE", "PICTURE", "EQUATION"))
_LONG_TAG = re.compile(rb"<[^<]{262144,}")
_SECTION = re.compile(r"contents/section(\d{1,5})\.xml", re.IGNORECASE)


def text(raw: bytes) -> str:
    """The text of a document, paragraphs apart by line feeds.

    Raises ValueError with the cause in one line: not a HWPX file, damaged, under a password, or too large.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as package:
            entries = package.infolist()
            if len(entries) > MOST_ENTRIES:
                raise ValueError(f"{len(entries):,} entries in a HWPX file")
            found = [
                (int(match[1]), entry) for entry in entries if (match := _SECTION.fullmatch(entry.filename))
            ]
            if not found:
                raise ValueError("not a HWPX file: it has no Contents/section0.xml")
            _refuse_protected(package, entries)
            room = MOST_XML_BYTES
            lines: list[str] = []
            for _, entry in sorted(found, key=lambda numbered: numbered[0]):
                xml = _read(package, entry, room)
                room -= len(xml)
                lines += _Section().read(xml)
            return "\n".join(lines)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise ValueError(f"damaged HWPX file: {error}") from None


def table_lines(rows: list[list[list[str]]]) -> list[str]:
    """The lines of a table, from rows of cells of lines. Empty rows are left out."""
    lines = []
    for row in rows:
        cells = [[line for line in cell if line.strip()] for cell in row]
        if all(len(cell) <= 1 for cell in cells) or (len(cells) > 1 and all(map(_is_short, cells))):
            line = "\t".join(" ".join(cell) for cell in cells).rstrip("\t")
            lines += [line] if line.strip() else []
        else:
            lines += [line for cell in cells for line in cell]
    return lines


def _is_short(cell: list[str]) -> bool:
    """Whether the lines of a cell are words of a table, rather than text or a table of their own."""
    return sum(map(len, cell)) <= MOST_CELL_CHARACTERS and not any("\t" in line for line in cell)


def _read(package: zipfile.ZipFile, entry: zipfile.ZipInfo, room: int) -> bytes:
    if entry.flag_bits & 1:
        raise ValueError("a HWPX file protected by a password")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"a HWPX file packed by method {entry.compress_type}")
    with package.open(entry) as stream:
        xml = stream.read(room + 1)
    if len(xml) > room:
        raise ValueError(f"a HWPX file with more than {MOST_XML_BYTES:,} bytes of XML")
    return xml


def _refuse_protected(package: zipfile.ZipFile, entries: list[zipfile.ZipInfo]) -> None:
    for entry in entries:
        if entry.filename == "META-INF/manifest.xml" and b"encryption-data" in _read(
            package, entry, 1 << 20
        ):
            raise ValueError("a HWPX file protected by a password")


class _Section:
    """The handlers of one section. `lines` grow in the innermost open paragraph list."""

    def __init__(self) -> None:
        self.lists: list[tuple[list[str], bool]] = [([], False)]
        """Paragraph lists that are open: the body, then cells (True), notes, captions, ..."""
        self.paragraphs: list[tuple[list[str], list[str]]] = []
        """Open paragraphs: pieces of their text, and the lines that follow it."""
        self.tables: list[list[list[list[str]]]] = []
        self.elements = 0
        self.depth = 0
        self.skipped_from = 0
        """Depth of the element that is being left out, 0 for none."""
        self.cell_begins = False
        self.texts = 0
        """Open elements whose characters are text."""
        self.deleted = False

    def read(self, xml: bytes) -> list[str]:
        for tag in _LONG_TAG.finditer(xml):
            if xml.count(b"=", tag.start(), tag.end()) > MOST_ATTRIBUTES:
                raise ValueError(f"a HWPX file with a tag of more than {MOST_ATTRIBUTES:,} attributes")
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.characters
        parser.StartDoctypeDeclHandler = self.doctype
        try:
            parser.Parse(xml, True)
        except (expat.ExpatError, LookupError) as error:  # the latter for an unknown encoding
            raise ValueError(f"damaged HWPX file: XML {error}") from None
        return self.lists[0][0]

    def doctype(self, *_: object) -> None:
        raise ValueError("a HWPX file with a document type declaration, which none needs")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        self.elements += 1
        if self.depth > MOST_DEPTH:
            raise ValueError(f"a HWPX file nested more than {MOST_DEPTH} deep")
        if self.elements > MOST_ELEMENTS:
            raise ValueError(f"a HWPX file with more than {MOST_ELEMENTS:,} elements in a section")
        if self.skipped_from:
            return
        kind = name.rpartition(":")[2]
        if kind in _LEFT_OUT:
            self.skipped_from = self.depth
        elif kind == "p":
            self.paragraphs.append(([], []))
        elif kind in _TEXTS:
            self.texts += 1
        elif shown := attributes.get(_FORM_FIELDS.get(kind, ""), ""):
            self.insert(f"{shown} ")
        elif kind in _MARKS:
            self.characters(_MARKS[kind])
        elif kind in ("deleteBegin", "deleteEnd"):
            self.deleted = kind == "deleteBegin"
        elif kind == "subList":
            self.lists.append(([], self.cell_begins))
            self.cell_begins = False
        elif kind == "tc":
            self.cell_begins = True
        elif kind == "tbl":
            self.tables.append([])
        elif kind == "tr" and self.tables:
            self.tables[-1].append([])
        elif kind == "compose":
            self.insert(attributes.get("composeText", ""))
        elif kind == "autoNum" and attributes.get("numType") in _NUMBERED:
            self.insert(attributes.get("num", ""))

    def end(self, name: str) -> None:
        if self.skipped_from:
            if self.depth == self.skipped_from:
                self.skipped_from = 0
            self.depth -= 1
            return
        self.depth -= 1
        kind = name.rpartition(":")[2]
        if kind in _TEXTS:
            self.texts -= 1
            if kind == "text":
                self.insert(" ")
        elif kind == "p":
            pieces, following = self.paragraphs.pop()
            line = "".join(pieces)
            if line or not following:
                self.lists[-1][0].append(line)
            self.lists[-1][0].extend(following)
        elif kind == "subList":
            lines, is_cell = self.lists.pop()
            if is_cell and self.tables and self.tables[-1]:
                self.tables[-1][-1].append(lines)
            else:
                self.follow(lines)
        elif kind == "tbl" and self.tables:
            self.follow(table_lines(self.tables.pop()))

    def characters(self, characters: str) -> None:
        if self.texts and not self.skipped_from and not self.deleted:
            self.insert(characters)

    def insert(self, characters: str) -> None:
        if self.paragraphs:
            self.paragraphs[-1][0].append(characters)

    def follow(self, lines: list[str]) -> None:
        (self.paragraphs[-1][1] if self.paragraphs else self.lists[-1][0]).extend(lines)
