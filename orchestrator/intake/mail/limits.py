"""The bounds within which one mail is understood.

Here live only numbers. Past a bound nothing is lost: the raw mail is stored whole before it is parsed, the parser
keeps what it could not open as one attachment and sets a flag.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ParseLimits:
    """Say how much of one mail the parser opens.

    All work is linear in the size of the mail times `max_depth` at worst, so these bounds are also the bound on time:
    the same mail always gives the same result, on a slow machine too.
    """

    max_parts: int = 1000
    max_depth: int = 50
    max_header_bytes: int = 256 * 1024
    max_header_fields: int = 1000
    max_field_bytes: int = 64 * 1024
    max_addresses: int = 500
    max_references: int = 200
    max_text_characters: int = 1_000_000
    max_html_characters: int = 1_000_000
    max_html_tags: int = 30_000
    max_file_name_characters: int = 200


DEFAULT_LIMITS = ParseLimits()
