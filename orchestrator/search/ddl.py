"""The engines' own full-text structures, beside ``search_documents``: FTS5 with triggers, or a generated tsvector with GIN."""

from __future__ import annotations

_SQLITE = [
    """create virtual table if not exists search_fts using fts5(
        title_stems, stems, content='search_documents', content_rowid='id', tokenize="unicode61 remove_diacritics 0", prefix='3')""",
    """create trigger if not exists search_documents_added after insert on search_documents begin
        insert into search_fts(rowid, title_stems, stems) values (new.id, new.title_stems, new.stems); end""",
    """create trigger if not exists search_documents_gone after delete on search_documents begin
        insert into search_fts(search_fts, rowid, title_stems, stems) values ('delete', old.id, old.title_stems, old.stems); end""",
    """create trigger if not exists search_documents_changed after update on search_documents begin
        insert into search_fts(search_fts, rowid, title_stems, stems) values ('delete', old.id, old.title_stems, old.stems);
        insert into search_fts(rowid, title_stems, stems) values (new.id, new.title_stems, new.stems); end""",
]

_POSTGRESQL = [
    """alter table search_documents add column if not exists vector tsvector generated always as (
        setweight(to_tsvector('simple', title_stems), 'A') || setweight(to_tsvector('simple', stems), 'B')) stored""",
    "create index if not exists ix_search_documents_vector on search_documents using gin (vector)",
]


def extra_ddl(dialect_name: str) -> list[str]:
    """Return the statements for ``sqlite`` or ``postgresql``."""
    return list(_SQLITE if dialect_name == "sqlite" else _POSTGRESQL)
