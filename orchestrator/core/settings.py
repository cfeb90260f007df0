"""All settings: environment ``FERNWART_*`` or a TOML file (``FERNWART_CONFIG``), environment first.

The names here are what administrators and scripts rely on. Secrets are ``SecretStr`` and never printed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="FERNWART_", extra="ignore", frozen=True)

    config: Path | None = None
    data_dir: Path = Path("data")
    database_url: str = ""
    public_url: str = "http://127.0.0.1:8420"
    host: str = "127.0.0.1"
    port: int = 8420
    allow_plain_http: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None
    public_certs: str = ""
    trusted_proxies: str = ""

    mail_from: str = "Fernwart <support@localhost>"
    mail_addresses: str = ""
    smtp_host: str = ""
    smtp_port: int = 587
    smtp_user: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_tls: Literal["none", "starttls", "tls"] = "starttls"
    smtp_ca: Path | None = None
    smtp_listen: str = ""
    smtp_allow: str = ""
    smtp_max_bytes: int = 30 * 1024 * 1024

    default_language: Literal["de", "en"] = "de"
    time_zone: str = "Europe/Berlin"
    ticket_number_format: str = "{year}-{counter:06d}-{check}"
    metrics_token: SecretStr = SecretStr("")
    login_hours: int = 12
    step_up_minutes: int = 15
    consent_link_minutes: int = 60
    recording_reserve_bytes: int = 2 * 1024**3
    log_format: Literal["json", "console"] = "json"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        import os

        path = os.environ.get("FERNWART_CONFIG")
        files = (TomlConfigSettingsSource(settings_cls, Path(path)),) if path else ()
        return (init_settings, env_settings, *files)

    @field_validator("public_url")
    @classmethod
    def _without_trailing_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @property
    def sqlalchemy_url(self) -> str:
        """The main database: PostgreSQL by psycopg 3 where a URL is set, else SQLite in the data folder."""
        url = self.database_url
        if not url:
            return f"sqlite:///{self.data_dir / 'fernwart.sqlite'}"
        return url.replace("postgresql://", "postgresql+psycopg://", 1) if url.startswith("postgresql://") else url

    @property
    def recordings_url(self) -> str:
        """Recordings have a file of their own on SQLite; on PostgreSQL they share the database."""
        if self.sqlalchemy_url.startswith("sqlite"):
            return f"sqlite:///{self.data_dir / 'recordings.sqlite'}"
        return self.sqlalchemy_url

    @property
    def own_addresses(self) -> tuple[str, ...]:
        """Mail addresses that are ours, lower case: those we accept mail for, and the one we send from."""
        from email.utils import parseaddr

        listed = [part.strip().lower() for part in self.mail_addresses.split(",") if part.strip()]
        sender = parseaddr(self.mail_from)[1].lower()
        return tuple(dict.fromkeys([*listed, sender]))

    @property
    def secure_cookies(self) -> bool:
        """Cookies carry ``Secure`` and the ``__Host-`` prefix; browsers accept both on loopback http as well."""
        return True


_SECRET_HINTS = frozenset({"smtp_password", "metrics_token"})


def describe_settings(settings: Settings) -> dict[str, str]:
    """All settings as text, secrets hidden; the user part of a database URL is hidden as well."""
    from sqlalchemy import make_url

    shown: dict[str, str] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if name in _SECRET_HINTS:
            shown[name] = "********" if value.get_secret_value() else ""
        elif name == "database_url" and value:
            shown[name] = make_url(value).render_as_string(hide_password=True)
        else:
            shown[name] = "" if value is None else str(value)
    return shown


__all__ = ["Field", "Settings", "describe_settings"]
