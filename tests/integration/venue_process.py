"""A venue as tests start it: with servers of its own, or with a share of the outside ones."""

from pathlib import Path

from fix_gateway.tools.chaos import venue
from tests.integration.outside_servers import SERVERS


class VenueProcess(venue.VenueProcess):
    """`wcx up --demo`. `settings` go before those that outside servers lead to."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        shared: dict[str, str] = {}
        if SERVERS is not None:
            publishes = settings.get("WCX_MARKET_DATA__ENABLED") == "true"
            shared = SERVERS.settings_for(
                data_dir, has_market_data=publishes and "WCX_MQTT_URL" not in settings
            )
        super().__init__(data_dir, **shared | settings)
