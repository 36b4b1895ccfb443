"""Engine, journal, link and doors on a simulated clock, network and disk, all from one seed."""
