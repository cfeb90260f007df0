"""Text with `format=flowed` (RFC 3676) to lines as they were typed.

Here: joining soft line breaks. Not here: quotes (`replies.py`).
"""


def join_flowed(text: str, *, delete_spaces: bool) -> str:
    """Join lines that end with a space with the next line of the same quote depth; the signature line never joins."""
    out: list[str] = []
    current: list[str] = []
    current_depth = 0
    for line in text.split("\n"):
        depth = _quote_depth(line)
        content = line[depth:]
        content = content.removeprefix(" ")
        is_signature = content == "-- "
        if current and (depth != current_depth or is_signature):
            out.append(_quoted(current_depth, "".join(current)))
            current = []
        current_depth = depth
        if content.endswith(" ") and not is_signature:
            current.append(content[:-1] if delete_spaces else content)
            continue
        out.append(_quoted(depth, "".join(current) + content))
        current = []
    if current:
        out.append(_quoted(current_depth, "".join(current)))
    return "\n".join(out)


def _quote_depth(line: str) -> int:
    return len(line) - len(line.lstrip(">"))


def _quoted(depth: int, content: str) -> str:
    return f"{'>' * depth} {content}" if depth else content
