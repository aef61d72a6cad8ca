"""The Prometheus page: what is on it, what is left off it, and promtool's opinion."""

import dataclasses
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from mqtt_broker import needed
from prometheus_client.parser import text_string_to_metric_families
from publish_samples import FLOW, STATE, SUPPLY, batch, point, status, unit_readings

from envmon.model.reading import Quality, Reading, Reason, Role, Severity
from envmon.pagers.queue import PageQueue
from envmon.profiles.units import UNITS
from envmon.publishers import families, texts
from envmon.publishers.daemon_metrics import PAGES, RUNTIME, DaemonMetrics
from envmon.publishers.metrics import MetricsPublisher
from envmon.publishers.mqtt import MqttCounts
from envmon.runtime.counters import Counters


@pytest.fixture
def metrics() -> MetricsPublisher:
    return MetricsPublisher("dallas", DaemonMetrics("0.1.0"))


def page(metrics: MetricsPublisher) -> dict[str, list[tuple[dict[str, str], float]]]:
    """The page as Prometheus reads it: sample name -> (labels, value)."""
    samples: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(metrics.scrape().decode()):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    return samples


def set_of(samples: list[tuple[dict[str, str], float]], label: str) -> dict[str, float]:
    return {labels[label]: value for labels, value in samples}


def test_every_family_that_is_made_is_exposed():
    made = {each for each in vars(families).values() if isinstance(each, families.Family)}
    assert made == set(families.FAMILIES)


def test_a_standby_is_scraped(metrics):
    metrics.offer_status({"standby": {"inherits": True}})
    assert page(metrics)["envmon_standby"] == [({"site": "dallas", "inherits": "yes"}, 1.0)]


def test_readings_in_base_units(metrics: MetricsPublisher) -> None:
    metrics.offer_batch(batch(*unit_readings()))
    samples = page(metrics)
    where = {"site": "dallas", "zone": "hall_a", "unit": "crac_3"}
    assert samples["envmon_temperature_celsius"] == [
        (where | {"point": "supply_air_temp", "role": "supply_temp"}, 18.5)
    ]
    assert samples["envmon_relative_humidity_ratio"] == [
        (where | {"point": "return_humidity", "role": "humidity"}, 0.57)
    ]
    assert samples["envmon_ratio"] == [(where | {"point": "fan_speed", "role": "fan_speed"}, 0.8)]
    assert samples["envmon_power_watts"] == [(where | {"point": "cooling_output", "role": "cooling_output"}, 42500.0)]
    assert samples["envmon_state"] == [
        (where | {"point": "unit_state", "role": "unit_running", "state": "running", "severity": "ok"}, 1.0)
    ]
    device = {"site": "dallas", "zone": "hall_a", "device": "crac_3_card"}
    assert samples["envmon_device_up"] == [(device, 1.0)]
    assert samples["envmon_device_last_success_timestamp_seconds"] == [(device, 1_800_000_000.0)]
    assert "envmon_build_info" in samples


@pytest.mark.parametrize(
    ("measure", "value", "name", "exposed"),
    [
        ("l/s", 12.5, "envmon_flow_cubic_meters_per_second", 0.0125),
        ("Pa", 25.0, "envmon_pressure_pascals", 25.0),
        ("rpm", 1500.0, "envmon_rotation_hertz", 25.0),
        ("s", 90.0, "envmon_duration_seconds", 90.0),
        ("", 3.0, "envmon_number", 3.0),
    ],
)
def test_measures(metrics: MetricsPublisher, measure: str, value: float, name: str, exposed: float) -> None:
    metrics.offer_batch(batch(Reading(point("p", measure), value)))
    assert page(metrics)[name][0][1] == exposed


def test_humidity_is_known_by_role_or_name(metrics: MetricsPublisher) -> None:
    by_role = Reading(point("rh", "%", role=Role.HUMIDITY), 40.0)
    metrics.offer_batch(
        batch(by_role, Reading(point("humidity_setpoint", "%"), 50.0), Reading(point("valve", "%"), 60.0))
    )
    samples = page(metrics)
    assert [value for _, value in samples["envmon_relative_humidity_ratio"]] == [0.4, 0.5]
    assert [value for _, value in samples["envmon_ratio"]] == [0.6]


def test_a_point_that_changed_by_a_reload_is_described_anew(metrics: MetricsPublisher) -> None:
    metrics.offer_batch(batch(Reading(point("air", "degC", role=Role.SUPPLY_TEMP), 18.0)))
    metrics.offer_batch(batch(Reading(point("air", "degC", role=Role.RETURN_TEMP), 18.0)))
    assert [labels["role"] for labels, _ in page(metrics)["envmon_temperature_celsius"]] == ["return_temp"]


def test_every_measure_a_profile_can_have_has_a_family() -> None:
    assert {unit.measure for unit in UNITS.values()} <= set(families.MEASURES)


def test_an_unknown_measure_is_exposed_with_its_name(metrics: MetricsPublisher) -> None:
    metrics.offer_batch(batch(Reading(point("p", "furlong"), 2.0)))
    [(labels, value)] = page(metrics)["envmon_other"]
    assert (labels["measure"], value) == ("furlong", 2.0)


@pytest.mark.parametrize(
    ("quality", "value", "shown"),
    [
        (Quality.GOOD, 18.5, True),
        (Quality.UNCERTAIN, 18.5, True),
        (Quality.BAD, 18.5, False),
        (Quality.BAD, None, False),
        (Quality.MISSING, None, False),
    ],
)
def test_only_a_believable_value_is_a_value(
    metrics: MetricsPublisher, quality: Quality, value: float | None, shown: bool
) -> None:
    metrics.offer_batch(batch(Reading(SUPPLY, 17.0)))
    metrics.offer_batch(batch(Reading(SUPPLY, value, quality, Reason.OUT_OF_RANGE)))
    samples = page(metrics)
    assert [value for _, value in samples.get("envmon_temperature_celsius", [])] == ([18.5] if shown else [])
    faults = [(labels["quality"], labels["reason"]) for labels, _ in samples.get("envmon_reading_fault", [])]
    assert faults == ([] if quality is Quality.GOOD else [(quality.value, "out_of_range")])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_no_sample(metrics: MetricsPublisher, value: float) -> None:
    metrics.offer_batch(batch(Reading(SUPPLY, value)))
    assert "envmon_temperature_celsius" not in page(metrics)


def test_a_state_that_changes_leaves_its_old_series(metrics: MetricsPublisher) -> None:
    metrics.offer_batch(batch(Reading(STATE, "running", severity=Severity.OK)))
    metrics.offer_batch(batch(Reading(STATE, "failed", severity=Severity.CRITICAL)))
    assert set_of(page(metrics)["envmon_state"], "state") == {"failed": 1.0}


def test_units_and_faults_between_good_numbers_keep_their_own_labels(metrics: MetricsPublisher) -> None:
    other = dataclasses.replace(point("air", "degC"), unit="crac_4")
    doubtful = Reading(point("doubt", "degC"), 3.0, Quality.UNCERTAIN, Reason.NOT_COMMISSIONED)
    told = batch(Reading(SUPPLY, 18.0), Reading(other, 19.0), doubtful, Reading(point("last", "degC"), -0.0))
    for _ in range(2):
        metrics.offer_batch(told)
        shown = [(where["unit"], where["point"], value) for where, value in page(metrics)["envmon_temperature_celsius"]]
        assert sorted(shown) == [
            ("crac_3", "doubt", 3.0), ("crac_3", "last", 0.0), ("crac_3", "supply_air_temp", 18.0),
            ("crac_4", "air", 19.0),
        ]  # fmt: skip
    assert b"} 0\n" in metrics.scrape() and b"} -0\n" not in metrics.scrape()


def test_numbers_are_written_anew_when_too_many_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "_MOST", 2)
    written: list[float] = []
    known = texts.Texts(lambda number: written.append(number) or str(number))  # type: ignore[func-returns-value]
    assert [known[number] for number in (1.0, 1.0, 2.0, 3.0, 1.0)] == ["1.0", "1.0", "2.0", "3.0", "1.0"]
    assert (written, len(known)) == ([1.0, 2.0, 3.0, 1.0], 2)


def test_free_text_makes_no_series(metrics: MetricsPublisher) -> None:
    metrics.offer_batch(batch(Reading(point("serial"), "SN-1"), Reading(point("b", role=Role.ON_BATTERY), "no")))
    assert set_of(page(metrics)["envmon_state"], "state") == {"no": 1.0}


def test_labels_are_escaped(metrics: MetricsPublisher) -> None:
    nasty = 'a"b\\c\nd'
    metrics.offer_batch(batch(Reading(STATE, nasty, severity=Severity.OK)))
    assert set_of(page(metrics)["envmon_state"], "state") == {nasty: 1.0}


def test_a_dead_device_keeps_its_last_success(metrics: MetricsPublisher) -> None:
    metrics.offer_batch(batch(*unit_readings(), wall=100.0))
    missing = Reading(SUPPLY, None, Quality.MISSING, Reason.TIMEOUT)
    metrics.offer_batch(batch(missing, error="no answer", wall=200.0))
    samples = page(metrics)
    assert samples["envmon_device_up"][0][1] == 0.0
    assert samples["envmon_device_last_success_timestamp_seconds"][0][1] == 100.0
    assert "envmon_temperature_celsius" not in samples


def test_silence_is_not_repeated() -> None:
    metrics = MetricsPublisher("dallas", DaemonMetrics("0"), stale_s=-1.0)  # everything is too old at once
    metrics.offer_batch(batch(*unit_readings(), wall=100.0))
    metrics.offer_status(status())
    samples = page(metrics)
    assert "envmon_temperature_celsius" not in samples and "envmon_zone_verdict" not in samples
    assert samples["envmon_device_up"][0][1] == 0.0
    assert samples["envmon_device_last_success_timestamp_seconds"][0][1] == 100.0


def test_a_device_no_longer_configured_is_forgotten(metrics: MetricsPublisher) -> None:
    metrics.offer_batch(batch(*unit_readings()))
    metrics.keep_only(["another"])
    assert "envmon_device_up" not in page(metrics)


def test_status(metrics: MetricsPublisher) -> None:
    metrics.offer_status(status("degraded", 26.0, "shifting"))
    samples = page(metrics)
    assert set_of(samples["envmon_zone_verdict"], "verdict") == {"ok": 0, "degraded": 1, "critical": 0, "unknown": 0}
    assert set_of(samples["envmon_route_position"], "position")["shifting"] == 1
    assert sum(set_of(samples["envmon_route_position"], "position").values()) == 1
    assert set_of(samples["envmon_route_proof"], "proof")["proven"] == 1
    assert set_of(samples["envmon_route_threat"], "threat") == {"none": 0, "watch": 1, "act": 0}
    assert set_of(samples["envmon_route_edges"], "says")["pending"] == 1
    assert set_of(samples["envmon_pages_raised"], "urgency") == {"critical": 0, "error": 1, "warning": 0, "info": 0}
    assert set_of(samples["envmon_mode"], "mode") == {"observe": 0, "automatic": 1, "held": 0}
    assert set_of(samples["envmon_readiness"], "item") == {"probe": 1, "parity": 0}, "cannot tell is not ready"
    for name, value in {
        "envmon_zone_temperature_celsius": 26.0,
        "envmon_zone_time_to_limit_seconds": 900.0,
        "envmon_zone_cooling_margin_watts": 35000.0,
        "envmon_zone_spare_units": 1.0,
        "envmon_zone_projected": 0.0,
        "envmon_zone_worst_celsius": 25.0,
        "envmon_zone_lost_units": 1.0,
        "envmon_zone_here": 1.0,
        "envmon_route_latched": 0.0,
        "envmon_route_ready": 0.0,
        "envmon_route_time_to_evacuate_seconds": 480.0,
        "envmon_edge_backup_ratio": 0.5,
        "envmon_route_backup_ratio": 0.0,
        "envmon_route_calls_left": 3.0,
        "envmon_armed": 1.0,
        "envmon_maintenance": 1.0,
        "envmon_shelved_pages": 0.0,
        "envmon_hold_end_timestamp_seconds": 1_800_003_600.0,
        "envmon_lease_held": 1.0,
        "envmon_lease_epoch": 7.0,
        "envmon_status_timestamp_seconds": 1_800_000_000.0,
    }.items():
        assert [sample for _, sample in samples[name]] == [value], name


@pytest.mark.parametrize("sight", ["none_in_sight", "cannot_tell"])
def test_no_forecast_is_no_number(metrics: MetricsPublisher, sight: str) -> None:
    shown = status()
    shown["zones"]["hall_a"]["time_to_limit"]["sight"] = sight
    metrics.offer_status(shown)
    samples = page(metrics)
    assert "envmon_zone_time_to_limit_seconds" not in samples
    assert set_of(samples["envmon_zone_forecast"], "sight")[sight] == 1


def test_a_status_with_holes_never_raises(metrics: MetricsPublisher) -> None:
    holes: list[dict[str, Any]] = [{}, {"zones": {"a": {}}, "routes": {"r": {}}}, status(time=None, armed=None)]
    for shown in holes:
        metrics.offer_status(shown)
        assert page(metrics)["envmon_armed"] == [({"site": "dallas"}, 0.0)]


def test_mqtt_and_daemon_counters() -> None:
    daemon = DaemonMetrics("0.1.0")
    metrics = MetricsPublisher("dallas", daemon)
    daemon.watch_mqtt(lambda: MqttCounts(connected=True, sent=5, refused=2, dropped=1, connects=3))
    daemon.watch_pages(lambda: {"depth": {"duty": 3}, "failures": {"duty": 1}})
    daemon.watch_journal(lambda: {"seq": 12, "head": {"ab12": 12}})
    daemon.watch_runtime(lambda: {"late_polls": {"card_1": 4}, "journal_failing": True, "unheard_of": 1})
    samples = page(metrics)
    for name, value in {
        "envmon_mqtt_connected": 1.0,
        "envmon_mqtt_sent_total": 5.0,
        "envmon_mqtt_refused_total": 2.0,
        "envmon_mqtt_dropped_total": 1.0,
        "envmon_mqtt_reconnects_total": 2.0,
        "envmon_late_polls_total": 4.0,
        "envmon_journal_failing": 1.0,
        "envmon_journal_seq": 12.0,
        "envmon_journal_head": 12.0,
        "envmon_page_queue_depth": 3.0,
        "envmon_page_failures_total": 1.0,
    }.items():
        assert [sample for _, sample in samples[name]] == [value], name


def test_publish_lag_runs_from_the_devices_answer_to_each_place_it_can_be_seen() -> None:
    daemon = DaemonMetrics("0.1.0", lambda: 10_000_000_000)
    metrics = MetricsPublisher("dallas", daemon)
    answered = batch(*unit_readings())
    metrics.offer_batch(dataclasses.replace(answered, at=dataclasses.replace(answered.at, mono_ns=9_900_000_000)))
    metrics.offer_batch(batch(device="crac_4_card", error="no answer"))  # nobody answered: nothing to be late with
    daemon.publish_lag("mqtt")(7_000_000_000)
    samples = page(metrics)
    assert set_of(samples["envmon_publish_lag_seconds_count"], "to") == {"metrics": 1.0, "mqtt": 1.0}
    assert set_of(samples["envmon_publish_lag_seconds_sum"], "to") == pytest.approx({"metrics": 0.1, "mqtt": 3.0})


def test_every_counter_of_the_runtime_has_a_name() -> None:
    fields = dataclasses.fields(Counters)
    assert {field.name for field in fields} == set(RUNTIME)
    assert {field.name for field in fields if "Counter[" in str(field.type)} == {
        key for key, row in RUNTIME.items() if row.label
    }


def test_without_a_broker_there_are_no_mqtt_counters() -> None:
    daemon = DaemonMetrics("0.1.0")
    daemon.watch_mqtt(lambda: None)
    assert "envmon_mqtt_connected" not in page(MetricsPublisher("dallas", daemon))


async def test_every_number_of_the_page_queue_has_a_name(tmp_path: Path) -> None:
    queue = PageQueue(tmp_path / "pages", "dallas", {})
    assert all(isinstance(getattr(queue, key), Mapping) for key in PAGES)


def test_promtool_finds_nothing_to_say() -> None:
    daemon = DaemonMetrics("0.1.0")
    daemon.watch_mqtt(lambda: MqttCounts(sent=1))
    daemon.watch_runtime(lambda: {key: {"x": 1} if row.label else 1 for key, row in RUNTIME.items()})
    daemon.watch_pages(lambda: {key: {"duty": 1} for key in PAGES})
    metrics = MetricsPublisher("dallas", daemon)
    every = [Reading(point(f"p{number}", measure), 1.5) for number, measure in enumerate([*families.MEASURES, "odd"])]
    for device in ("card_1", "card_2", "card_3"):  # three devices, yet one group per family
        readings = [Reading(point(r.point.name, r.point.measure, device=device, unit=device), 1.5) for r in every]
        faulty = Reading(point("flow", "l/s", device=device, unit=device), None, Quality.MISSING, Reason.ABSENT)
        metrics.offer_batch(batch(*readings, faulty, *unit_readings(), device=device))
    metrics.offer_status({**status(), "standby": {"inherits": False}})
    text = metrics.scrape()
    for family in families.FAMILIES:
        assert text.count(f"# TYPE {family.name} ".encode()) == 1, f"{family.name} is not exercised once"
    ran = subprocess.run([needed("promtool"), "check", "metrics"], input=text, capture_output=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")


def test_absent_flow_is_told_as_a_fault(metrics: MetricsPublisher) -> None:
    metrics.offer_batch(batch(Reading(FLOW, None, Quality.MISSING, Reason.ABSENT)))
    [(labels, _)] = page(metrics)["envmon_reading_fault"]
    assert (labels["point"], labels["reason"]) == ("water_flow", "absent")
