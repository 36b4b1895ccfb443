"""A consumer of market data made from `docs/market-data.md`, and a check of the publisher."""
