"""`wcx session`: FIX sessions and their credentials, over REST, while the venue runs."""

import json
import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from config.settings import Settings
from fix_gateway.fix.dictionary import BEGIN_STRINGS, TRANSPORT, dictionary_path
from fix_gateway.operating import (
    EVERYWHERE,
    AsJson,
    find_user,
    in_words,
    operating,
    print_json,
    print_table,
    session_path,
    split_settings,
)
from fix_gateway.tools.rest import RestClient, RestError

KICKED: Final = "logged out by the operator"
DAY_S: Final = 24 * 3600
HEART_BT_INT_S: Final = 30
FIXT: Final = "FIXT.1.1"

Session = Annotated[
    str, typer.Argument(metavar="SESSION", help="The client's CompID, or the session's number.")
]
Settings_ = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A setting of PATCH /v1/sessions/{id}, its value in JSON: order_rate=50,"
        ' allowed_networks=["192.0.2.0/24"], cancel_on_disconnect=session.',
    ),
]
PublicKeyFile = Annotated[
    Path | None,
    typer.Option("--public-key", help="Ed25519 in PEM; without it a pair is made and shown once."),
]


class FixVersion(StrEnum):
    """The versions that a session may speak, by the names of their dictionaries."""

    FIX_4_2 = "4.2"
    FIX_4_4 = "4.4"
    FIX_5_0_SP2 = "5.0sp2"

    @property
    def begin_string(self) -> str:
        """BeginString(8)."""
        return next(text for text, version in BEGIN_STRINGS.items() if version == self.value)


app = typer.Typer(help="FIX sessions and their credentials.", no_args_is_help=True)


@app.command()
def add(
    client_comp_id: Annotated[str, typer.Argument(help="The client's SenderCompID(49).")],
    *,
    firm: Annotated[str, typer.Option(help="The firm's name.")],
    version: Annotated[
        FixVersion, typer.Option(help="Of FIX; 5.0sp2 is over FIXT.1.1.")
    ] = FixVersion.FIX_4_4,
    account: Annotated[
        str | None, typer.Option(help="The account of its orders; else one named like the session.")
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="The user of the firm whose its orders are: user_id.")
    ] = None,
    create: Annotated[
        bool, typer.Option("--create", help="Make the firm and the account if they are not there.")
    ] = False,
    ed25519: Annotated[
        bool, typer.Option("--ed25519", help="Log on with a signature instead of a password.")
    ] = False,
    public_key: PublicKeyFile = None,
    tls_host: Annotated[
        str | None,
        typer.Option(help="The gateway's name for a client elsewhere, which connects over TLS."),
    ] = None,
    settings: Settings_ = None,
) -> None:
    """Set up a session, and print a QuickFIX initiator's configuration for it, ready to be used.

    The secret stands in it as a comment and is shown this once.
    """
    body = _parse_settings(settings)
    with operating() as rest:
        firm_id = _find_firm(rest, firm, create=create)
        account_id = _find_account(rest, firm_id, account or client_comp_id, create=create)
        if user is not None:
            body["user_id"] = find_user(rest, user)
        session = rest.order(
            "POST",
            "/v1/sessions",
            {
                "firm_id": firm_id,
                "account_id": account_id,
                "client_comp_id": client_comp_id,
                "begin_string": version.begin_string,
                **body,
            },
        )
        wish: dict[str, Any] = {"kind": "ed25519" if ed25519 or public_key else "password"}
        if public_key is not None:
            wish["public_key"] = _read_file(public_key)
        made = rest.order("POST", f"/v1/sessions/{session['session_id']}/credentials", wish)
    _warn(made)
    print(make_initiator_config(session, made, Settings(), tls_host=tls_host))


@app.command(name="set")
def change(
    session: Session,
    settings: Annotated[list[str], typer.Argument(metavar="NAME=VALUE...")],
    *,
    as_json: AsJson = False,
) -> None:
    """Change settings of a session; values are JSON, as for --set of `add`."""
    body = _parse_settings(settings)
    with operating() as rest:
        changed = rest.order("PATCH", session_path(rest, session), body)
    _warn(changed)
    if as_json:
        print_json(changed)
    else:
        print_table([(name, in_words(changed[name])) for name in body])


@app.command(name="list")
def list_all(*, as_json: AsJson = False) -> None:
    """List all sessions."""
    with operating() as rest:
        firms = {item["firm_id"]: item["name"] for item in rest.get_all("/v1/firms")}
        accounts = {item["account_id"]: item["name"] for item in rest.get_all("/v1/accounts")}
        items = rest.get_all("/v1/sessions")
    if as_json:
        print_json(items)
        return
    rows = [("ID", "COMPID", "VERSION", "FIRM", "ACCOUNT", "STATE")]
    rows += [
        (
            str(item["session_id"]),
            item["client_comp_id"],
            item["begin_string"],
            firms.get(item["firm_id"], "?"),
            accounts.get(item["account_id"], "?"),
            "enabled" if item["is_enabled"] else "disabled",
        )
        for item in items
    ]
    print_table(rows)


@app.command()
def show(
    session: Session,
    *,
    as_json: AsJson = False,
) -> None:
    """Show a session's settings, how it is at the moment, and its credentials without secrets."""
    with operating() as rest:
        path = session_path(rest, session)
        found = {
            "session": rest.get(path),
            "status": rest.get(f"{path}/status"),
            "credentials": rest.get_all(f"{path}/credentials"),
        }
    if as_json:
        print_json(found)
        return
    status = {key: value for key, value in found["status"].items() if key not in found["session"]}
    print_table([(key, in_words(value)) for key, value in found["session"].items()])
    print()
    print_table([(key, in_words(value)) for key, value in status.items()])
    print()
    rows = [("CREDENTIAL", "KIND", "USERNAME", "STATE", "LAST USED")]
    rows += [
        (
            str(item["credential_id"]),
            item["kind"],
            item["username"],
            _credential_state(item),
            in_words(item["last_used_at"]),
        )
        for item in found["credentials"]
    ]
    print_table(rows)


@app.command()
def rotate(
    session: Session,
    *,
    credential: Annotated[
        int | None, typer.Option(help="Which one; needed when several are live.")
    ] = None,
    overlap_s: Annotated[
        int, typer.Option(help="For how many seconds the old one works on.")
    ] = DAY_S,
    public_key: PublicKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a new credential like a session's old one, which works on for a while.

    The new secret is shown this once.
    """
    body: dict[str, Any] = {"overlap_s": overlap_s}
    if public_key is not None:
        body["public_key"] = _read_file(public_key)
    with operating() as rest:
        path = f"{session_path(rest, session)}/credentials"
        old = credential or _only_live(rest.get_all(path))
        made = rest.order("POST", f"{path}/{old}/rotate", body)
    _warn(made)
    if as_json:
        print_json(made)
        return
    print(f"credential  {made['credential_id']}, replaces {old}, which ends in {overlap_s} s")
    print(f"username    {made['username']}")
    for line in _secret_lines(made):
        print(line)


@app.command()
def revoke(
    session: Session,
    credential: Annotated[int, typer.Argument(help="The credential's number.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Revoke a credential at once: a client that has logged on with it is logged out."""
    with operating() as rest:
        path = f"{session_path(rest, session)}/credentials/{credential}"
        done = rest.order("DELETE", path)
    _tell(done, f"credential {credential} is revoked", as_json=as_json)


@app.command()
def disable(session: Session, *, as_json: AsJson = False) -> None:
    """Log a session's client out and let nobody log on to it any more."""
    with operating() as rest:
        done = rest.order("POST", f"{session_path(rest, session)}/disable")
    _tell(done, f"session {session} is disabled", as_json=as_json)


@app.command()
def enable(session: Session, *, as_json: AsJson = False) -> None:
    """Let clients log on to a session again; its sequence numbers go on."""
    with operating() as rest:
        done = rest.order("POST", f"{session_path(rest, session)}/enable")
    _tell(done, f"session {session} is enabled", as_json=as_json)


@app.command()
def kick(
    session: Session,
    *,
    text: Annotated[str, typer.Option(help="Text(58) of the Logout.")] = KICKED,
    as_json: AsJson = False,
) -> None:
    """Log a session's client out. It may log on again at once: see `disable`."""
    with operating() as rest:
        done = rest.order("POST", f"{session_path(rest, session)}/disconnect", {"text": text})
    what = "is logged out" if done["was_logged_on"] else "had no client"
    _tell(done, f"session {session} {what}", as_json=as_json)


@app.command()
def reset(session: Session, *, as_json: AsJson = False) -> None:
    """Begin both sequence numbers of a session at 1 again; a client is logged out."""
    with operating() as rest:
        done = rest.order("POST", f"{session_path(rest, session)}/reset")
    words = f"session {session} begins at 1 again, in epoch {done['epoch']}"
    _tell(done, words, as_json=as_json)


def make_initiator_config(
    session: dict[str, Any], made: dict[str, Any], settings: Settings, *, tls_host: str | None
) -> str:
    """Return a QuickFIX initiator's configuration for a session and its new credential.

    With `tls_host` it connects there over TLS, else to this machine's port for plain text.
    """
    fix = settings.fix
    comp_id = session["client_comp_id"]
    low = session["heart_bt_int_min_s"] or fix.heart_bt_int_min_s
    high = session["heart_bt_int_max_s"] or fix.heart_bt_int_max_s
    return "\n".join(
        [
            f"# Session {session['session_id']}, credential {made['credential_id']}.",
            *_logon_comment(made),
            "[DEFAULT]",
            "ConnectionType=initiator",
            "ReconnectInterval=1",
            "NonStopSession=Y",
            "SocketNodelay=Y",
            f"FileStorePath=store-{comp_id}",
            "UseDataDictionary=Y",
            *_dictionary_lines(session["begin_string"]),
            "",
            "[SESSION]",
            f"BeginString={session['begin_string']}",
            f"SenderCompID={comp_id}",
            f"TargetCompID={fix.comp_id}",
            *_connect_lines(settings, tls_host),
            f"HeartBtInt={min(max(HEART_BT_INT_S, low), high)}",
            "ResetOnLogon=N",
        ]
    )


def _dictionary_lines(begin_string: str) -> list[str]:
    version = BEGIN_STRINGS[begin_string]
    if begin_string != FIXT:
        return [f"DataDictionary={dictionary_path(version)}"]
    return [
        "DefaultApplVerID=FIX.5.0SP2",
        f"TransportDataDictionary={dictionary_path(TRANSPORT)}",
        f"AppDataDictionary={dictionary_path(version)}",
    ]


def _connect_lines(settings: Settings, tls_host: str | None) -> list[str]:
    fix = settings.fix
    if tls_host is None:
        host = "127.0.0.1" if fix.host in EVERYWHERE else fix.host
        return [f"SocketConnectHost={host}", f"SocketConnectPort={fix.port}"]
    trusted = "ca.pem"
    if fix.tls_certificate is None:
        trusted = str(settings.self_signed_file.resolve())
    return [
        f"SocketConnectHost={tls_host}",
        f"SocketConnectPort={fix.tls_port}",
        "# For an SSLSocketInitiator: the certificates that it trusts.",
        f"CertificationAuthoritiesFile={trusted}",
        "SSLProtocol=+TLSv1_2 +TLSv1_3",
    ]


def _logon_comment(made: dict[str, Any]) -> list[str]:
    lines = [
        "# QuickFIX has no settings for these: set them on the Logon(A) in toAdmin.",
        f"#   Username(553)={made['username']}",
    ]
    if made["kind"] == "password":
        return [*lines, f"#   Password(554)={made['password']}"]
    lines.append(
        "#   RawDataLength(95), RawData(96): the signature, in base64, by this Ed25519 key"
    )
    return [*lines, *(f"#   {line}" for line in _secret_lines(made))]


def _secret_lines(made: dict[str, Any]) -> list[str]:
    if made["password"] is not None:
        return [f"password    {made['password']}"]
    text: str = made["private_key"] or made["public_key"]
    return text.splitlines()


def _find_firm(rest: RestClient, name: str, *, create: bool) -> int:
    if create:
        return int(rest.order("POST", "/v1/firms", {"name": name})["firm_id"])
    for item in rest.get_all("/v1/firms"):
        if item["name"] == name:
            return int(item["firm_id"])
    raise RestError(f"no firm {name}: with --create it is made")


def _find_account(rest: RestClient, firm_id: int, name: str, *, create: bool) -> int:
    if create:
        body = {"firm_id": firm_id, "name": name}
        return int(rest.order("POST", "/v1/accounts", body)["account_id"])
    for item in rest.get_all("/v1/accounts"):
        if (item["firm_id"], item["name"]) == (firm_id, name):
            return int(item["account_id"])
    raise RestError(f"the firm has no account {name}: name one with --account, or add --create")


def _only_live(items: list[dict[str, Any]]) -> int:
    live = [int(item["credential_id"]) for item in items if item["is_live"]]
    if len(live) == 1:
        return live[0]
    if not live:
        raise RestError("the session has no live credential to replace")
    numbers = ", ".join(str(number) for number in live)
    raise RestError(f"credentials {numbers} are live: choose with --credential")


def _parse_settings(settings: list[str] | None) -> dict[str, Any]:
    """Return settings by name; a value that is no JSON is taken as text."""
    body: dict[str, Any] = {}
    for name, value in split_settings(settings or []).items():
        try:
            body[name] = json.loads(value)
        except ValueError:
            body[name] = value
    return body


def _read_file(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path} cannot be read: {error}") from None


def _warn(answer: dict[str, Any]) -> None:
    for gateway, reason in answer.get("gateways_failed", {}).items():
        print(f"wcx: {gateway} has not taken it over: {reason}", file=sys.stderr)


def _tell(done: dict[str, Any], words: str, *, as_json: bool) -> None:
    _warn(done)
    if as_json:
        print_json(done)
    else:
        print(words)


def _credential_state(item: dict[str, Any]) -> str:
    if item["revoked_at"] is not None:
        return "revoked"
    if item["expires_at"] is None:
        return "live"
    ends = datetime.fromisoformat(item["expires_at"]).astimezone(UTC)
    return f"{'live until' if item['is_live'] else 'expired'} {ends:%Y-%m-%dT%H:%M:%SZ}"
