"""The MQTT broker as the publisher sees it: a connection on which messages are confirmed.

MQTT 5 where the broker has it, else 3.1.1. Nothing else of the package knows the MQTT library.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from fix_gateway.market_data.messages import Published

IN_FLIGHT_MAX: Final = 10
ANSWER_WAIT_S: Final = 5.0
KEEPALIVE_S: Final = 10
PORT: Final = 1883
TLS_PORT: Final = 8883
AT_MOST_ONCE: Final = 0
AT_LEAST_ONCE: Final = 1
OLD_PROTOCOL: Final = "protocol=3.1.1"
MQTT_5: Final = aiomqtt.ProtocolVersion.V5
MQTT_3_1_1: Final = aiomqtt.ProtocolVersion.V311


class BrokerError(Exception):
    """The broker cannot be reached, refuses, or does not answer in time."""


@dataclass(frozen=True)
class BrokerAddress:
    """Where a broker is and who asks. With `is_tls` its certificate is checked.

    `is_old` for one that is known to speak MQTT 3.1.1 only.
    """

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    is_tls: bool = False
    is_old: bool = False


def parse_broker_url(url: str) -> BrokerAddress:
    """Return what `mqtt://user:password@host:port` or `mqtts://...` names. Raises ValueError.

    `?protocol=3.1.1` at its end says that the broker does not know MQTT 5.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname:
        raise ValueError("an MQTT broker is named like mqtt://user:password@host:1883, or mqtts://")
    is_tls = parts.scheme == "mqtts"
    return BrokerAddress(
        host=parts.hostname,
        port=parts.port or (TLS_PORT if is_tls else PORT),
        username=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
        is_tls=is_tls,
        is_old=parts.query == OLD_PROTOCOL,
    )


class Broker:
    """A broker and the connection to it. Belongs to one event loop.

    `protocol` is what it was last spoken to in. `last_will` is what the broker says when the
    connection ends without a proper goodbye.
    """

    def __init__(self, address: BrokerAddress, identifier: str, last_will: Published) -> None:
        self.protocol = MQTT_3_1_1 if address.is_old else MQTT_5
        self._address = address
        self._identifier = identifier
        self._last_will = last_will
        self._client: aiomqtt.Client

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Be connected inside. Raises BrokerError, then or whenever the connection is lost."""
        try:
            client = await self._connect()
        except (aiomqtt.MqttError, OSError) as error:
            raise BrokerError(str(error)) from error
        self._client = client
        try:
            yield
        finally:
            with contextlib.suppress(aiomqtt.MqttError):  # It may be lost already.
                await client.__aexit__(None, None, None)

    async def publish(self, messages: Sequence[Published], *, is_confirmed: bool) -> None:
        """Publish messages in order; return once all have left, or the broker has confirmed them.

        Raises BrokerError: then some may have been published.
        """
        qos = AT_LEAST_ONCE if is_confirmed else AT_MOST_ONCE
        for first in range(0, len(messages), IN_FLIGHT_MAX):
            part = messages[first : first + IN_FLIGHT_MAX]
            calls = (
                self._client.publish(
                    message.topic,
                    message.payload,
                    qos=qos,
                    retain=message.is_retained,
                    properties=self._properties(),
                )
                for message in part
            )
            # All of them end before anything else is done: none goes on in the background.
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, aiomqtt.MqttError):
                    raise BrokerError(str(outcome)) from outcome
                if isinstance(outcome, BaseException):
                    raise outcome

    async def _connect(self) -> aiomqtt.Client:
        if self.protocol is MQTT_5:
            try:
                return await self._client_of(MQTT_5).__aenter__()
            except MqttConnectError:
                # It answers, but does not want us so.
                self.protocol = MQTT_3_1_1
        return await self._client_of(MQTT_3_1_1).__aenter__()

    def _client_of(self, protocol: aiomqtt.ProtocolVersion) -> aiomqtt.Client:
        address = self._address
        will = self._last_will
        return aiomqtt.Client(
            address.host,
            address.port,
            username=address.username,
            password=address.password,
            identifier=self._identifier,
            protocol=protocol,
            clean_session=None if protocol is MQTT_5 else True,
            will=aiomqtt.Will(will.topic, will.payload, AT_LEAST_ONCE, retain=True),
            timeout=ANSWER_WAIT_S,
            keepalive=KEEPALIVE_S,
            tls_context=ssl.create_default_context() if address.is_tls else None,
        )

    def _properties(self) -> Properties | None:
        if self.protocol is not MQTT_5:
            return None
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ContentType = "application/json"
        return properties
