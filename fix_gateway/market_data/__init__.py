"""Market data: what anybody may know of the books and trades, published over MQTT."""
