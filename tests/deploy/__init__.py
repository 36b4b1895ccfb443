"""Files for those who run a venue: dashboards, alerts, containers, units."""
