"""The demo's knowledge articles: real advice, German and English versions of the same article in one group."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SampleArticle:
    language: str
    title: str
    problem: str
    body: str
    internal: bool = False


ARTICLES: tuple[tuple[SampleArticle, ...], ...] = (
    (
        SampleArticle("de", "Spooler startet nicht (CUPS)", "Die Druckerwarteschlange hängt nach einem Update, der Spooler ist angehalten, niemand kann drucken.",
                      "1. Journal lesen\n\n   ```\n   journalctl -u cups -n 50\n   ```\n\n2. Gehört der Ordner der richtigen Gruppe?\n\n   ```\n   ls -ld /var/spool/cups\n"
                      "   chgrp -R lp /var/spool/cups\n   ```\n\n3. Warteschlange freigeben und prüfen\n\n   ```\n   cupsenable Etage2 && lpstat -t\n   ```\n"),
        SampleArticle("en", "Print spooler does not start (CUPS)", "The print queue is stuck after an update, the spooler is stopped, nobody can print.",
                      "1. Read the journal\n\n   ```\n   journalctl -u cups -n 50\n   ```\n\n2. Does the folder belong to the right group?\n\n   ```\n   ls -ld /var/spool/cups\n"
                      "   chgrp -R lp /var/spool/cups\n   ```\n\n3. Enable the print queue and check\n\n   ```\n   cupsenable Floor2 && lpstat -t\n   ```\n"),
    ),
    (
        SampleArticle("de", "Datenträger voll: große Dateien finden", "Ein Server meldet einen vollen Datenträger, Dienste schreiben nicht mehr.",
                      "```\ndf -h\ndu -xh --max-depth=2 / | sort -h | tail -20\njournalctl --vacuum-size=500M\n```\n\nGelöschte, noch offene Dateien: `lsof +L1`."),
        SampleArticle("en", "Volume full: find large files", "A server reports a full volume, the backup fails, services cannot write.",
                      "```\ndf -h\ndu -xh --max-depth=2 / | sort -h | tail -20\njournalctl --vacuum-size=500M\n```\n\nDeleted files that are still open: `lsof +L1`."),
    ),
    (
        SampleArticle("de", "VPN trennt regelmäßig", "Die VPN-Verbindung trennt sich im Homeoffice nach einigen Minuten.",
                      "Meist ist die MTU zu groß oder der Router beendet ruhende Verbindungen.\n\n- MTU am Client auf 1380 setzen\n- Keepalive auf 25 Sekunden"),
    ),
    (
        SampleArticle("en", "Certificate of a web server expires", "The browser warns about a certificate that expires or has expired.",
                      "```\nopenssl s_client -connect HOST:443 -servername HOST </dev/null | openssl x509 -noout -dates\nsystemctl status certbot.timer\n```\n"),
    ),
    (
        SampleArticle("de", "Passwort abgelaufen: was wir prüfen, bevor wir es zurücksetzen", "Jemand kommt nicht mehr in das Konto.",
                      "Rückruf an die **hinterlegte** Nummer, nie an die aus der Mail. Dann zurücksetzen und Änderung bei der nächsten Anmeldung verlangen.", internal=True),
    ),
)
