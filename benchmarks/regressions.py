"""The guard against slow decay: a run's ratios beside those that were stored.

Ratios, not times: both sides of each were measured in the same run, so that another machine or
another day changes them little.
"""

from collections.abc import Mapping
from typing import Any, Final

from benchmarks.acceptors import FIXCORE, NAIVE, VENUE
from benchmarks.journal import ALL_CONTROLS

LOSS_MAX: Final = 0.25

Ratios = dict[str, float]
"""By what is compared with what. The higher the better."""


def ratios_of(results: Mapping[str, Any]) -> Ratios:
    """Return the ratios of all that a run has measured."""
    ratios: Ratios = {}
    if "engine" in results:
        worst = results["engine"]
        ratios |= {
            f"our book beside {engine}": worst["our book"] / rate
            for engine, rate in worst.items()
            if not engine.startswith("our")
        }
        ratios |= {
            f"{engine} beside our book": rate / worst["our book"]
            for engine, rate in worst.items()
            if engine.startswith("our exchange")
        }
        if "journal" in results:
            ratios["engine with risk and journal beside our book"] = (
                results["journal"]["os"] / worst["our book"]
            )
            ratios["engine with all controls and journal beside our book"] = (
                results["journal"]["os" + ALL_CONTROLS] / worst["our book"]
            )
        if "recovery" in results:
            ratios["replay beside our book"] = (
                results["recovery"]["replay_per_s"] / worst["our book"]
            )
    if "fix" in results:
        ratios |= _ratios_over_fix(results["fix"])
    return ratios


def _ratios_over_fix(fix: Mapping[str, Any]) -> Ratios:
    ratios: Ratios = {}
    ours = fix[VENUE]
    for name in (NAIVE, FIXCORE):
        for mix, figures in ours["mixes"].items():
            theirs = fix[name]["mixes"][mix]
            words = f"venue beside {name}, {mix}"
            ratios[f"{words}: orders"] = figures["orders_per_s"] / theirs["orders_per_s"]
            path_us = figures["cpu_us"]["gateway"] + figures["cpu_us"]["engine"]
            ratios[f"{words}: processor time"] = theirs["cpu_us"][name] / path_us
        ratios[f"venue beside {name}: ping-pong"] = (
            fix[name]["ping_us"]["p50"] / ours["ping_us"]["p50"]
        )
    return ratios


def find_losses(stored: Ratios, measured: Ratios) -> list[str]:
    """Return, in words, each stored ratio that is now more than a quarter less, or is missing.

    One that is measured and not stored yet is nothing to be compared with.
    """
    losses = []
    for name, before in stored.items():
        now = measured.get(name)
        if now is None:
            losses.append(f"{name}: not measured, was {before:.2f}")
        elif now < before * (1 - LOSS_MAX):
            losses.append(f"{name}: {now:.2f}, was {before:.2f} ({now / before - 1:+.0%})")
    return losses
