"""People with password, second factor and login, built in a real database."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from pyotp.totp import TOTP

from orchestrator.accounts.actor import Actor, Role
from orchestrator.accounts.logins import actor_for_login, begin_login, prove_login
from orchestrator.accounts.models import User
from orchestrator.accounts.queries import actor_for_user
from orchestrator.accounts.second_factor import new_totp_secret
from orchestrator.accounts.secret_box import set_totp_secret
from orchestrator.core.clock import FixedClock
from orchestrator.core.db import Database, WriteUnit


@dataclass(frozen=True, slots=True)
class Person:
    user: User
    totp_secret: str

    def code(self, database: Database, *, steps: int = 0) -> str:
        """The code of the present step of the database's clock, or of one ``steps`` away."""
        return TOTP(self.totp_secret).at(int(database.clock.now().timestamp()) + 30 * steps)


def stop_clock(database: Database) -> FixedClock:
    """Stop the clock of a database at the full half minute; the test moves it."""
    now = database.clock.now()
    clock = FixedClock(now.replace(second=now.second // 30 * 30, microsecond=0))
    database.clock = clock
    return clock


def pass_time(clock: FixedClock, **time: float) -> None:
    clock.moment += timedelta(**time)


def add_person(database: Database, *roles: Role, email: str = "anna@desk.example", name: str = "Anna Kaya",
               password_hash: str = "not a hash", ) -> Person:
    secret = new_totp_secret()
    with database.write() as unit:
        user = User(email=email, name=name, roles=[str(role) for role in roles or (Role.TECHNICIAN,)], password_hash=password_hash,
                    totp_last_step=None, created_at=unit.now, disabled_at=None)
        set_totp_secret(unit, user, secret)
        unit.db.add(user)
    return Person(user, secret)


def log_in(unit: WriteUnit, person: Person, *, address: str = "192.0.2.7") -> tuple[Actor, str]:
    """Log somebody in, second factor proved now; return the actor and the cookie."""
    login, _ = begin_login(unit, person.user, address=address, agent_name="Test")
    secret = prove_login(unit, login, hours=12)
    actor = actor_for_login(unit, secret, address)
    assert actor is not None
    return actor, secret


def make_actor(database: Database, person: Person) -> Actor:
    """An actor with a living login, without its cookie."""
    with database.write() as unit:
        return log_in(unit, person)[0]


def actor_without_login(database: Database, person: Person) -> Actor:
    with database.read() as unit:
        return replace(actor_for_user(unit, person.user))
