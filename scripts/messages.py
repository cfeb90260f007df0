"""Collect the source texts of the program into the catalogues, and check that every one is translated.

    python scripts/messages.py            collect: new texts are added empty, texts that are gone are removed
    python scripts/messages.py --check    change nothing; name what is missing, empty, fuzzy, or has other placeholders
    python scripts/messages.py --list     print the texts that still need a translation, as a Python literal

Two catalogues: `orchestrator/locales` for `orchestrator` and `sessions`, `web/locales` for pages and templates. A text is
collected where it is marked with `_()`, translated at once (`words(...)`, `words.plural(...)`), is the sentence of an error
of our tree, or is the `flash` of a redirect.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
LANGUAGES = ("de",)
_PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|\{\w*\}")
_ERROR_ROOT = "AppError"

Text = str | tuple[str, str]


@dataclass(frozen=True, slots=True)
class CatalogueFolder:
    """One catalogue: where it lies and which packages its texts come from."""

    locales: Path
    packages: tuple[str, ...]

    def path(self, language: str) -> Path:
        """Return the catalogue file of a language."""
        return self.locales / language / "LC_MESSAGES" / "fernwart.po"


FOLDERS = (
    CatalogueFolder(ROOT / "orchestrator" / "locales", ("orchestrator", "sessions")),
    CatalogueFolder(ROOT / "web" / "locales", ("web",)),
)


def list_python_files(packages: Iterable[str]) -> list[Path]:
    """List the source files of packages, migrations left out."""
    return [path for package in packages for path in sorted((ROOT / package).rglob("*.py")) if "migrations" not in path.parts]


def find_error_names(trees: Iterable[ast.Module]) -> frozenset[str]:
    """Return the names of the classes that descend from the root of the error tree, by name alone."""
    bases = {
        node.name: {_name(base) for base in node.bases} - {""}
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    names = {_ERROR_ROOT}
    while True:
        more = {name for name, parents in bases.items() if parents & names} - names
        if not more:
            return frozenset(names)
        names |= more


def _constant(node: ast.AST | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value else None


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def find_python_texts(tree: ast.Module, error_names: frozenset[str]) -> Iterator[Text]:
    """Yield the texts of one Python file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name in error_names:
            yield from _find_error_defaults(node)
        if not isinstance(node, ast.Call):
            continue
        name, first = _name(node.func), _constant(node.args[0]) if node.args else None
        if name == "plural" and len(node.args) > 1:
            second = _constant(node.args[1])
            if first and second:
                yield (first, second)
        elif first and (name in ("_", "words", "gettext") or name in error_names):
            yield first
        elif name == "translate" and len(node.args) > 1 and (second := _constant(node.args[1])):
            yield second
        for keyword in node.keywords:
            if keyword.arg == "flash":
                yield from _find_choices(keyword.value)


def _find_choices(node: ast.expr) -> Iterator[str]:
    """Yield a text, or the texts of a choice between two."""
    if isinstance(node, ast.IfExp):
        yield from _find_choices(node.body)
        yield from _find_choices(node.orelse)
    elif text := _constant(node):
        yield text


def _find_error_defaults(node: ast.ClassDef) -> Iterator[str]:
    for function in node.body:
        if not isinstance(function, ast.FunctionDef) or function.name != "__init__":
            continue
        for default in function.args.defaults:
            text = _constant(default)
            if text and " " in text:
                yield text
        for call in ast.walk(function):
            if isinstance(call, ast.Call) and _name(call.func) == "__init__" and call.args and (text := _constant(call.args[0])):
                yield text


def find_template_texts(path: Path) -> Iterator[Text]:
    """Yield the texts of one template, as Jinja itself finds them."""
    options = {"trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}
    for _line, found, _comments, _context in extract("jinja2.ext:babel_extract", io.BytesIO(path.read_bytes()), options=options):
        if isinstance(found, str):
            if found:
                yield found
        else:
            yield (found[0], found[1])


def collect_texts(folder: CatalogueFolder) -> Catalog:
    """Return a catalogue of every source text of a folder's packages, without translations."""
    every = {path: ast.parse(path.read_text("utf-8")) for path in list_python_files(("orchestrator", "sessions", "web"))}
    error_names = find_error_names(every.values())
    catalogue = Catalog(domain="fernwart", project="Fernwart", charset="utf-8")
    for path, tree in every.items():
        if path.relative_to(ROOT).parts[0] in folder.packages:
            for text in find_python_texts(tree, error_names):
                catalogue.add(text)
    for package in folder.packages:
        for path in sorted((ROOT / package).rglob("templates/**/*")):
            if path.suffix in (".html", ".txt") and path.is_file():
                for text in find_template_texts(path):
                    catalogue.add(text)
    return catalogue


def read_catalogue(path: Path, language: str) -> Catalog:
    """Read a catalogue file; an absent one is empty."""
    if not path.is_file():
        return Catalog(locale=language, domain="fernwart")
    with path.open("rb") as file:
        return read_po(file, locale=language, domain="fernwart")


def refresh(folder: CatalogueFolder, language: str) -> None:
    """Bring the catalogue file of one language up to date with the sources."""
    catalogue = read_catalogue(folder.path(language), language)
    catalogue.update(collect_texts(folder), no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    for message in list(catalogue):
        message.locations, message.auto_comments = [], []
        message.flags.discard("python-format")
        message.flags.discard("python-brace-format")
    out = io.BytesIO()
    write_po(out, catalogue, no_location=True, omit_header=True, sort_output=True, width=0, ignore_obsolete=True)
    head = f'msgid ""\nmsgstr ""\n"Language: {language}\\n"\n"Content-Type: text/plain; charset=utf-8\\n"\n' \
           '"Plural-Forms: nplurals=2; plural=(n != 1);\\n"\n\n'
    folder.path(language).parent.mkdir(parents=True, exist_ok=True)
    folder.path(language).write_text(head + out.getvalue().decode("utf-8"), "utf-8")


def _texts(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def list_faults(folder: CatalogueFolder, language: str) -> list[tuple[Text, str]]:
    """Compare sources and catalogue; return each faulty text with what is wrong."""
    catalogue = read_catalogue(folder.path(language), language)
    faults: list[tuple[Text, str]] = []
    for wanted in collect_texts(folder):
        if not wanted.id:
            continue
        text: Text = wanted.id if isinstance(wanted.id, str) else (wanted.id[0], wanted.id[1])
        found = catalogue.get(wanted.id)
        translated = _texts(found.string) if found is not None and found.string else ()
        if not translated or not all(translated):
            faults.append((text, "not translated"))
        elif found is not None and found.fuzzy:
            faults.append((text, "fuzzy"))
        else:
            expected = set(_PLACEHOLDER.findall(_texts(text)[-1]))
            used = [set(_PLACEHOLDER.findall(part)) for part in translated]
            if any(part - expected for part in used) or used[-1] != expected:
                faults.append((text, "other placeholders"))
    return faults


def main() -> int:
    """Run the command line described in the module's docstring."""
    parser = argparse.ArgumentParser(description="Collect or check the texts of the program.")
    parser.add_argument("--check", action="store_true", help="change nothing, fail when something is missing")
    parser.add_argument("--list", action="store_true", help="print what needs a translation")
    options = parser.parse_args()
    count = 0
    for folder in FOLDERS:
        for language in LANGUAGES:
            if not (options.check or options.list):
                refresh(folder, language)
            faults = list_faults(folder, language)
            count += len(faults)
            for text, fault in faults:
                print(f"    {text!r}: ''," if options.list else f"{folder.path(language).relative_to(ROOT)}: {fault}: {text!r}")
    if count and not options.list:
        print(f"messages: {count} texts need work", file=sys.stderr)
    return 1 if count and options.check else 0


if __name__ == "__main__":
    raise SystemExit(main())
