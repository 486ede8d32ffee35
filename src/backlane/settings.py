"""Every setting, once. A missing or malformed one stops start-up with a line that names it and the mend."""

import os
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from backlane.core.schedule import Timings
from backlane.errors import SettingsError


class Settings(BaseSettings):
    """What the environment says. Durations are seconds; sizes are bytes."""

    model_config = SettingsConfigDict(
        env_prefix="BACKLANE_", extra="ignore", populate_by_name=True, env_ignore_empty=True
    )

    app: str | None = Field(None, description="`module:attribute` of the App with the job types")
    database_url: str = Field("sqlite:///.backlane/backlane.db", description="SQLite or PostgreSQL")
    artifacts_url: str = Field("file:.backlane/artifacts", description="a folder for outputs")
    engine: str = Field("embedded", description="`embedded`")
    host: str = Field("127.0.0.1", description="where the API listens")
    port: int = Field(8321, ge=0, le=65535, description="where the API listens")
    secret: SecretStr | None = Field(None, description="signs cursors; made in `.backlane/secret` on SQLite")
    url: str | None = Field(None, description="the service the client and the CLI talk to")
    api_key: SecretStr | None = Field(None, description="the key the client and the CLI use")
    simulated: bool = Field(False, description="the account `default` is a simulator")
    accounts_file: str | None = Field(
        None, description="a TOML file with more provider accounts; see `docs/operating.md`"
    )
    slots: int = Field(100, ge=1, le=10_000, description="jobs one worker carries at a time")
    call_timeout: float = Field(30, gt=0, le=600, description="one provider call, seconds")
    lease: float = Field(90, gt=0, le=3600, description="a worker's hold on a job, seconds")
    unknown_wait: float = Field(
        15, ge=0, le=3600, description="before a lost create becomes a question, seconds"
    )
    cancel_wait: float = Field(
        60, gt=0, le=60, description="how long a cancel waits for the provider, seconds"
    )
    busy_timeout: float = Field(
        5, gt=0, le=60, description="how long a statement waits for another's lock in the database, seconds"
    )
    incident_probe: float = Field(
        30, gt=0, le=300, description="the first pause before a held lane is tried again, seconds"
    )
    look_first: float = Field(1, gt=0, le=60, description="the first look at a run, seconds")
    look_max: float = Field(60, gt=0, le=3600, description="the longest pause between looks, seconds")
    stream_silence: float = Field(
        60, gt=0, le=3600, description="how long a live stream may say nothing, seconds"
    )
    looks_per_second: float = Field(20, gt=0, le=10_000, description="the look budget of an account")
    delete_at_provider: bool = Field(False, description="delete a run at the provider once its end is stored")
    reply_at_most: int = Field(
        32_000_000, ge=10_000, description="how much of one provider reply is read, bytes"
    )
    body_at_most: int = Field(1_000_000, gt=0, description="one request's body, bytes")
    upload_at_most: int = Field(50_000_000, gt=0, description="one uploaded file, bytes")
    file_inline_at_most: int = Field(
        256_000, ge=0, description="a file up to this size travels inside the provider's request, bytes"
    )
    files_inline_at_most: int = Field(
        1_000_000, ge=0, description="all files inside one request together, bytes; others are uploaded"
    )
    provider_file_days: float = Field(
        7, gt=0, le=30, description="when the provider forgets an uploaded file by itself, days"
    )
    openai_api_key: SecretStr | None = Field(None, validation_alias="OPENAI_API_KEY")
    openai_base_url: str | None = Field(None, validation_alias="OPENAI_BASE_URL")
    openai_webhook_secret: SecretStr | None = Field(
        None,
        validation_alias="OPENAI_WEBHOOK_SECRET",
        description="what the provider signs webhooks with; several, apart by spaces or commas, during a rotation",
    )

    def webhook_secrets(self) -> tuple[str, ...]:
        """The secrets of account `default`; none closes the door for webhooks."""
        secret = self.openai_webhook_secret
        return () if secret is None else tuple(secret.get_secret_value().replace(",", " ").split())

    def timings(self) -> Timings:
        """The waits of the product, in milliseconds."""
        return Timings(
            call_timeout=int(self.call_timeout * 1000),
            lease=int(self.lease * 1000),
            unknown_wait=int(self.unknown_wait * 1000),
            cancel_wait=int(self.cancel_wait * 1000),
            incident_probe=int(self.incident_probe * 1000),
            look_first=int(self.look_first * 1000),
            look_max=int(self.look_max * 1000),
        )


def load_settings(**given: Any) -> Settings:
    """The settings from the environment, with arguments on top. Raises SettingsError."""
    try:
        settings = Settings(**given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0]).upper() if first["loc"] else "SETTINGS"
        known = name if name.startswith("OPENAI_") else f"BACKLANE_{name}"
        raise SettingsError(f"{known}: {first['msg']}; set it to a valid value or leave it out") from None
    if settings.engine != "embedded":
        raise SettingsError("BACKLANE_ENGINE: only 'embedded' is available in this version")
    return settings


def read_secret(settings: Settings) -> bytes:
    """The key that signs cursors. Made once beside a SQLite file, required with PostgreSQL."""
    if settings.secret is not None:
        value = settings.secret.get_secret_value()
        if len(value) < 16:
            raise SettingsError("BACKLANE_SECRET: must be at least 16 characters")
        return value.encode()
    if not settings.database_url.startswith("sqlite"):
        raise SettingsError("BACKLANE_SECRET: is required with PostgreSQL; set it to a long random string")
    folder = Path(settings.database_url.split("///", 1)[-1]).parent
    path = folder / "secret"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"BACKLANE_DATABASE_URL: cannot write {path}: {error.strerror}; make the folder writable"
        ) from None
    with os.fdopen(handle, "wb") as file:
        file.write(os.urandom(32).hex().encode())
    return path.read_bytes()
