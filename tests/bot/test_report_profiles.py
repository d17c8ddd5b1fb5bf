from __future__ import annotations

from bot import profiles
from bot.report import profiles as report
from tests.bot.profiles import made

BASE = made({"aten::convolution": (20, 12e-3), "aten::relu": (17, 2e-3), "aten::old": (1, 1e-3)})
HEAD = made({"aten::convolution": (21, 15.72e-3), "aten::relu": (17, 1.9e-3), "aten::fresh": (4, 1.4e-3)})


def test_the_table_orders_by_self_time_with_shares_and_sums_up_the_rest() -> None:
    lines = report.text(report.table(BASE, rows=2)).splitlines()
    assert lines[0] == "test_eval[net-cpu-eager] of mine, size small: torch 2.9.0 on box, 1 thread"
    assert "15.0 ms under the profiler" in lines[1] and "per step, of 3 steps" in lines[1]
    assert lines[4].split() == ["aten::convolution", "12.0", "ms", "80.0", "%", "12.0", "ms", "20", "0"]
    assert lines[-1].split() == ["and", "1", "more", "operator", "1.00", "ms", "6.7", "%"]


def test_the_difference_shows_what_is_new_what_vanished_and_calls_that_changed() -> None:
    text = report.text(report.difference(profiles.compare(BASE, HEAD)))
    rows = {line.split()[0]: line for line in text.splitlines() if line.startswith("aten::")}
    assert "20 → 21" in rows["aten::convolution"] or "accounts" in rows["aten::convolution"]
    assert " vanished " in rows["aten::old"]
    assert "15.0 → 19.0 ms (+26.8 %)" in text
    assert "accounts for 93 % of the change" in text


def test_no_markup_and_no_control_character_of_a_profile_reaches_the_terminal() -> None:
    evil = made({"[red]aten::mm[/red]\x1b[2J\n": (1, 1e-3)}, test="[bold]\x07x")
    slower = made({"[red]aten::mm[/red]\x1b[2J\n": (1, 2e-3)}, test="[bold]\x07x")
    for shown in (report.table(evil, shapes=True), report.difference(profiles.compare(evil, slower))):
        text = report.text(shown)
        assert "\x1b" not in text and "\x07" not in text
        assert "[red]aten::mm[/red]" in text
