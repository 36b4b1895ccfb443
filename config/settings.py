"""Settings: one file, `wcx.toml`, and for every key an environment variable that overrides it.

`[fix] port` is `WCX_FIX__PORT`; the keys outside any section are `WCX_DATA_DIR` and so on. What is
secret can also be a file in the directory `WCX_SECRETS_DIR`, named like the variable in lower case.
Unknown keys and values out of range stop the start with an error that names the line and what is
allowed.
"""

import hashlib
import os
import tempfile
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from config.sources import Places, check_syntax, explain, find_places

SETTINGS_FILE = Path(__file__).with_name("wcx.toml")

Port = Annotated[int, Field(ge=0, le=65535)]
UserRole = Literal["admin", "risk_officer", "support", "auditor", "firm_admin", "trader", "viewer"]


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect there."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Section(BaseModel):
    """A section of the file. Keys that it does not know are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EngineSettings(Section):
    """The engine process.

    `cl_ord_ids_max` ClOrdIDs of orders that have ended are known per account, the newest, for 24
    hours at most. A start with another number changes it from then on, as a command in the journal.
    """

    metrics_port: Port = 9102
    cl_ord_ids_max: Annotated[int, Field(ge=1, le=10_000_000)] = 200_000


class JournalSettings(Section):
    """The journal. `durability` "os" leaves flushing to the system: a power cut loses orders.

    With less than `free_bytes_min` free on its disk new orders are refused. At least 128 MiB, four
    segments: room for half a million cancels. A file of the journal that would grow beyond
    `segment_bytes_max` is closed and a new one begun.
    """

    durability: Literal["fsync", "os"] = "fsync"
    free_bytes_min: Annotated[int, Field(ge=128 << 20)] = 512 << 20
    segment_bytes_max: Annotated[int, Field(ge=4096, le=32 << 20)] = 32 << 20


class SnapshotSettings(Section):
    """Snapshots of the engine's state, which `wcx up` lets a process of its own make.

    Every `interval_s` seconds (0: never) that process looks whether there are `records_min` new
    records in the journal. `kept_max` snapshots are kept.
    """

    interval_s: Annotated[float, Field(ge=0)] = 60.0
    records_min: Annotated[int, Field(ge=1)] = 50_000
    kept_max: Annotated[int, Field(ge=1)] = 3


class ProjectorSettings(Section):
    """The projector, which keeps the read model in PostgreSQL true to the journal.

    Without it searches over REST find nothing new; it goes on from where it was.
    """

    enabled: bool = True
    metrics_port: Port = 9104


class FixSettings(Section):
    """The FIX gateway.

    Heartbeat bounds, and the rates of orders and cancels (messages per second, and at once), hold
    for sessions without values of their own. Plain text is for loopback addresses, unless
    `allow_plain_text_from_anywhere`. Without a certificate the gateway makes one of its own, which
    no client has a reason to trust. Of several workers, which share the ports, number n serves its
    metrics on `metrics_port` + n.
    """

    workers: Annotated[int, Field(ge=1, le=32)] = 1
    host: str = "127.0.0.1"
    port: Port = 9876
    allow_plain_text_from_anywhere: bool = False
    tls_host: str = "0.0.0.0"  # noqa: S104 - It is there for clients from outside.
    tls_port: Port = 9878
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    metrics_port: Port = 9101
    comp_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")] = "WCX"
    logon_wait_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    logout_wait_s: Annotated[float, Field(gt=0, le=60)] = 2.0
    proof_wait_s: Annotated[float, Field(gt=0, le=3600)] = 10.0
    heart_bt_int_min_s: Annotated[int, Field(ge=1)] = 5
    heart_bt_int_max_s: Annotated[int, Field(ge=1)] = 60
    resend_order_age_max_s: Annotated[float, Field(gt=0)] = 5.0
    connections_max: Annotated[int, Field(ge=1)] = 2000
    connections_per_address_max: Annotated[int, Field(ge=1)] = 500
    connection_rate: Annotated[int, Field(ge=1)] = 50
    connection_burst: Annotated[int, Field(ge=1)] = 500
    session_message_rate: Annotated[int, Field(ge=1)] = 100
    session_message_burst: Annotated[int, Field(ge=1)] = 1000
    refusal_delay_s: Annotated[float, Field(gt=0, le=10)] = 0.5
    probe_wait_s: Annotated[float, Field(gt=0, le=60)] = 2.0
    sending_time_behind_max_s: Annotated[float, Field(gt=0, le=3600)] = 30.0
    sending_time_ahead_max_s: Annotated[float, Field(gt=0, le=3600)] = 5.0
    notices_s: list[Annotated[float, Field(gt=0, le=86400)]] = [60.0, 10.0]
    order_rate: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    order_burst: Annotated[int, Field(ge=1, le=1_000_000)] = 2000
    cancel_rate: Annotated[int, Field(ge=1, le=1_000_000)] = 2000
    cancel_burst: Annotated[int, Field(ge=1, le=1_000_000)] = 4000

    @model_validator(mode="after")
    def check_plain_text(self) -> Self:
        """Passwords in plain text do not travel through networks by accident."""
        if not self.allow_plain_text_from_anywhere and not is_loopback(self.host):
            raise ValueError(
                f"host {self.host} is not a loopback address: clients from outside connect to "
                "tls_port, or allow_plain_text_from_anywhere must be true"
            )
        return self

    @model_validator(mode="after")
    def check_key(self) -> Self:
        """A certificate is no use without its key."""
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        return self

    @model_validator(mode="after")
    def check_shared_ports(self) -> Self:
        """Several workers cannot each take any free port."""
        if self.workers > 1 and 0 in (self.port, self.tls_port):
            raise ValueError("several workers share their ports, which must not be 0 then")
        return self

    def metrics_port_of(self, worker: int) -> int:
        """Return the port of a worker's metrics, 0 for any."""
        return self.metrics_port + worker if self.metrics_port else 0


class RestSettings(Section):
    """The admin API.

    `registration`: whether strangers may register ("open": they wait until they are given a role),
    those with an invitation, or nobody. Users of `mfa_roles` must set up a second factor before
    anything else; `wcx up --demo` asks nobody to. What is dangerous asks for a second factor shown
    within `step_up_s` seconds. With `four_eyes` what loosens something, a limit or a kill switch,
    waits until another user approves it. Rates are calls a second, bursts calls at once: of a user,
    of an address that logs in, and orders of a user; cancels and kill switches are never held up.
    Pages of `cors_origins` may call from a browser. A login may be refreshed for
    `login_lifetime_s`.
    """

    host: str = "127.0.0.1"
    port: Port = 8080
    registration: Literal["closed", "invitation", "open"] = "invitation"
    mfa_roles: list[UserRole] = ["admin", "risk_officer", "firm_admin"]
    four_eyes: bool = True
    user_rate: Annotated[int, Field(ge=1, le=100_000)] = 50
    user_burst: Annotated[int, Field(ge=1, le=100_000)] = 200
    login_rate: Annotated[int, Field(ge=1, le=100_000)] = 2
    login_burst: Annotated[int, Field(ge=1, le=100_000)] = 100
    order_rate: Annotated[int, Field(ge=1, le=100_000)] = 50
    order_burst: Annotated[int, Field(ge=1, le=100_000)] = 100
    cors_origins: list[str] = []
    step_up_s: Annotated[int, Field(ge=30, le=3600)] = 300
    login_lifetime_s: Annotated[int, Field(ge=900, le=30 * 86400)] = 12 * 3600


class MarketDataSettings(Section):
    """The market data publisher and the MQTT broker that it publishes to.

    Depth is published at each of the speeds `depth_intervals_ms`. A snapshot holds at most
    `snapshot_levels_max` levels a side. The embedded broker listens on `mqtt_port` of the loopback
    address, 0 for a free one. With `fix_enabled` a gateway process of its own serves the FIX
    sessions that are for market data, on the hosts of `[fix]` and ports of its own; what changes
    within `fix_interval_ms` is told together.
    """

    enabled: bool = True
    metrics_port: Port = 9103
    mqtt_port: Port = 0
    depth_intervals_ms: Annotated[
        list[Annotated[int, Field(ge=10, le=60_000)]], Field(min_length=1, max_length=8)
    ] = [20, 100, 1000]
    snapshot_interval_s: Annotated[float, Field(ge=0.1, le=60)] = 1.0
    snapshot_levels_max: Annotated[int, Field(ge=1, le=50_000)] = 1000
    fix_enabled: bool = True
    fix_port: Port = 9877
    fix_tls_port: Port = 9879
    fix_interval_ms: Annotated[int, Field(ge=10, le=60_000)] = 50
    fix_metrics_port: Port = 9105


class EmbeddedSettings(Section):
    """The servers that `wcx up` starts itself.

    PostgreSQL refuses to run as root. As root, "namespace" lets it run in a user namespace, as
    "nobody" it runs under that name with a data directory under /var/lib; "auto" tries in turn.
    """

    postgres_user: Literal["auto", "namespace", "nobody"] = "auto"


class LogSettings(Section):
    """Logs go to standard error, one line an event."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Settings(BaseSettings):
    """All settings of a venue. Read once, by the composition root of each process."""

    model_config = SettingsConfigDict(
        env_prefix="WCX_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    data_dir: Path = Path("var")
    runtime_dir: Path | None = None
    database_url: SecretStr | None = None
    redis_url: SecretStr | None = None
    mqtt_url: SecretStr | None = None
    fault_dir: Path | None = None  # For tests only: processes fail there on command.
    engine: EngineSettings = EngineSettings()
    journal: JournalSettings = JournalSettings()
    snapshot: SnapshotSettings = SnapshotSettings()
    fix: FixSettings = FixSettings()
    rest: RestSettings = RestSettings()
    projector: ProjectorSettings = ProjectorSettings()
    market_data: MarketDataSettings = MarketDataSettings()
    embedded: EmbeddedSettings = EmbeddedSettings()
    log: LogSettings = LogSettings()

    def __init__(self, **values: Any) -> None:  # noqa: ANN401 - Pydantic checks them.
        """Read all sources.

        Raises SettingsError, which ends the process with its text unless it is caught.
        """
        places = self.places()
        check_syntax(places.file)
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise explain(error, type(self), places) from None

    @staticmethod
    def places() -> Places:
        """Return where the settings of this process stand. Raises SettingsError."""
        return find_places(SETTINGS_FILE)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment goes before secret files, and those before the file."""
        places = find_places(SETTINGS_FILE)
        file_settings = TomlConfigSettingsSource(settings_cls, places.file)
        if places.secrets_dir is None:
            return init_settings, env_settings, file_settings
        secrets = SecretsSettingsSource(settings_cls, places.secrets_dir)
        return init_settings, env_settings, secrets, file_settings

    @property
    def journal_dir(self) -> Path:
        """Where the engine keeps its journal."""
        return self.data_dir / "journal"

    @property
    def snapshots_dir(self) -> Path:
        """Where the engine keeps its snapshots."""
        return self.data_dir / "snapshots"

    @property
    def projector_position_file(self) -> Path:
        """How far the projector has read the journal."""
        return self.data_dir / "projector-position"

    @property
    def fix_store_dir(self) -> Path:
        """Where each FIX session has its message store and its position."""
        return self.data_dir / "fix"

    @property
    def market_data_dir(self) -> Path:
        """Where the market data publisher keeps what it goes on from."""
        return self.data_dir / "market-data"

    @property
    def self_signed_file(self) -> Path:
        """The certificate that is used while no other is named."""
        return self.data_dir / "tls" / "self-signed.pem"

    @property
    def sockets_dir(self) -> Path:
        """The directory of Unix sockets: short, since their paths end at 107 bytes."""
        if self.runtime_dir is not None:
            return self.runtime_dir
        name = hashlib.sha256(str(self.data_dir.resolve()).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"wcx-{os.getuid()}-{name}"

    @property
    def engine_socket(self) -> Path:
        """The engine's link."""
        return self.sockets_dir / "engine.sock"

    @property
    def status_file(self) -> Path:
        """What `wcx up` says of the processes it runs."""
        return self.data_dir / "status.json"

    @property
    def token_key_file(self) -> Path:
        """The key that signs access tokens."""
        return self.data_dir / "token-key.pem"

    @property
    def mfa_key_file(self) -> Path:
        """The key that seals the secrets of second factors. Without it they are worth nothing."""
        return self.data_dir / "mfa-key"

    @property
    def admin_password_file(self) -> Path:
        """The password of the operator `admin` of a demo venue."""
        return self.data_dir / "admin-password"
