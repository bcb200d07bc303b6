"""What an administrator does at the machine itself: with the hub running or not."""

from __future__ import annotations

import secrets
from pathlib import Path

from onnuri.base.errors import UserError, optional_package
from onnuri.hub.config import CreateAdminConfig


def create_administrator(config: CreateAdminConfig) -> None:
    """Make an account that administers the hub, and print its password and a token.

    Raises UserError for a name that is taken.
    """
    with optional_package("hub", "onnuri hub"):
        from onnuri.hub import accounts
        from onnuri.hub.database import Database
        from onnuri.hub.errors import HubError
    data = Path(config.data)
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database(data, config.database)
    password = secrets.token_urlsafe(15)
    try:
        with database.writing() as connection:
            user = accounts.create_user(connection, config.name, password=password, administrator=True)
            token = accounts.create_token(connection, user, "first", "admin")
    except HubError as error:
        raise UserError(f"name={config.name}: {error.message}") from None
    finally:
        database.close()
    print(f"administrator {config.name}; both are shown only now:")
    print(f"password  {password}")
    print(f"token     {token}")
