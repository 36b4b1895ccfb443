"""The admin API's parts, without a venue."""
