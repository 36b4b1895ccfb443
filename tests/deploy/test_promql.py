"""The checker of queries finds what is wrong with one."""

import pytest

from tests.deploy.promql import Figures, find_faults

TEXT = """\
# TYPE orders_total counter
orders_total{kind="new",reason="none"} 3
orders_total{kind="cancel",reason="none"} 1
# TYPE wait_seconds histogram
wait_seconds_bucket{le="0.1",stage="all"} 1
wait_seconds_bucket{le="+Inf",stage="all"} 1
wait_seconds_count{stage="all"} 1
wait_seconds_sum{stage="all"} 0.05
"""


@pytest.mark.parametrize(
    ("expression", "legend", "faults"),
    [
        ("sum by (kind) (rate(orders_total[1m]))", "{{kind}}", []),
        ('up{job="engine"} == 0', "{{job}}", []),
        ('rate(orders_total{kind=~"new|old"}[5m]) > 0.5 and sum(orders_total) > 1', "", []),
        (
            "histogram_quantile(0.99, sum by (le, stage) (rate(wait_seconds_bucket[1m])))",
            "{{stage}}",
            [],
        ),
        ("rate(order_total[1m])", "", ["nothing is exported as order_total"]),
        (
            'orders_total{kind="old"}',
            "",
            ["nothing is exported as orders_total[Matcher(label='kind', operator='=', "
             "value='old')]"],
        ),
        ("sum by (side) (orders_total)", "", ["grouped by side, which nothing has"]),
        ("sum by (kind) (orders_total)", "{{reason}}", ["the legend shows reason, which is not "
                                                         "left"]),
        ("rat(orders_total[1m])", "", ["there is no function rat"]),
        ("sum(orders_total", "", ["( is never closed"]),
        ("orders_total)", "", [") closes nothing"]),
        ("orders_total ; 1", "", ["cannot be read from '; 1' on"]),
    ],
)  # fmt: skip
def test_faults_are_found(expression: str, legend: str, faults: list[str]) -> None:
    """Names, labels, values, functions, brackets."""
    figures = Figures()
    figures.add("engine", TEXT)
    assert find_faults(expression, figures, legend) == faults
