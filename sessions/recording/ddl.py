"""DDL beside the metadata."""


def extra_ddl(dialect_name: str) -> list[str]:
    return []
