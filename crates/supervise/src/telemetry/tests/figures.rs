//! What is counted, and how it is shown.

use std::time::{Duration, Instant};

use super::super::{MetricError, SERIES};
use super::{lines, metric, telemetry};
use crate::config::MetricKind;
use crate::event::{Code, Event};

#[test]
fn the_page_is_in_the_text_form_of_prometheus() {
    let telemetry = telemetry(&[
        metric(["a", "b", "gauge"], MetricKind::Gauge),
        metric(["a", "", "count"], MetricKind::Counter),
        metric(["", "", "took"], MetricKind::Histogram),
        metric(["", "", "sums"], MetricKind::Summary),
    ]);
    telemetry.event(&Event::new(Code::ExitSuccess, "a \"b\"\\"));
    telemetry.event(&Event::new(Code::ExitSuccess, "a \"b\"\\"));
    telemetry.control_request(200, "/v3/ping");
    telemetry.watch_instances("db", 3);
    telemetry.metric("a_b_gauge", "-2.5").expect("taken");
    telemetry.metric("a__count", " 1e6 ").expect("taken");
    telemetry.metric("took", "0.3").expect("taken");
    telemetry.metric("took", "20").expect("taken");
    telemetry.metric("sums", "3").expect("taken");
    let page = telemetry.render();
    let ours: String = page
        .split_inclusive('\n')
        .filter(|line| !line.contains("process_") && !line.contains("regrow_"))
        .collect();
    assert_eq!(
        ours,
        r#"# HELP a_b_gauge a metric
# TYPE a_b_gauge gauge
a_b_gauge -2.5
# HELP a_count a metric
# TYPE a_count counter
a_count 1000000
# HELP containerpilot_control_http_requests count of requests to control socket, partitioned by path and HTTP code
# TYPE containerpilot_control_http_requests counter
containerpilot_control_http_requests{code="200",path="/v3/ping"} 1
# HELP containerpilot_events count of events, partitioned by type and source
# TYPE containerpilot_events counter
containerpilot_events{code="ExitSuccess",source="a \"b\"\\"} 2
# HELP containerpilot_watch_instances number of instances found for each watch, partitioned by service
# TYPE containerpilot_watch_instances gauge
containerpilot_watch_instances{service="db"} 3
# HELP sums a metric
# TYPE sums summary
sums{quantile="0.5"} 3
sums{quantile="0.9"} 3
sums{quantile="0.99"} 3
sums_sum 3
sums_count 1
# HELP took a metric
# TYPE took histogram
took_bucket{le="0.005"} 0
took_bucket{le="0.01"} 0
took_bucket{le="0.025"} 0
took_bucket{le="0.05"} 0
took_bucket{le="0.1"} 0
took_bucket{le="0.25"} 0
took_bucket{le="0.5"} 1
took_bucket{le="1"} 1
took_bucket{le="2.5"} 1
took_bucket{le="5"} 1
took_bucket{le="10"} 1
took_bucket{le="+Inf"} 2
took_sum 20.3
took_count 2
"#
    );
}

#[test]
fn figures_of_the_process_and_of_the_log_are_in_the_page() {
    let page = telemetry(&[]).render();
    let value = |name: &str| -> f64 {
        let line = page.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.expect(name).rsplit_once(' ').expect("a value").1.parse().expect("a number")
    };
    assert!(value("process_resident_memory_bytes") > 1e5);
    assert!(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"));
    assert!(value("process_open_fds") >= 3.0);
    assert!(value("process_max_fds") >= value("process_open_fds"));
    assert!(value("process_cpu_seconds_total") >= 0.0);
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a time").as_secs_f64();
    let age = now - value("process_start_time_seconds");
    assert!((-5.0..3600.0).contains(&age), "{age}");
    for name in ["stalled_seconds", "dropped_records", "lost_records"] {
        assert!(value(&format!("regrow_log_{name}_total")) < f64::EPSILON);
    }
}

#[test]
fn complaint_22_error_texts_make_no_series_without_end() {
    let telemetry = telemetry(&[]);
    for code in 0..300 {
        telemetry.event(&Event::new(Code::Error, format!("app: exit status {code}")));
    }
    telemetry.event(&Event::new(Code::Metric, "zed|1"));
    let series = lines(&telemetry.render(), "containerpilot_events");
    assert_eq!(series, ["containerpilot_events{code=\"Error\",source=\"app\"} 300"]);

    for job in 0..2 * SERIES {
        telemetry.event(&Event::new(Code::ExitFailed, format!("job-{job}")));
        telemetry.watch_instances(&format!("service-{job}"), 1);
    }
    let page = telemetry.render();
    let series = lines(&page, "containerpilot_events");
    assert_eq!(series.len(), SERIES + 1);
    let other = "containerpilot_events{code=\"ExitFailed\",source=\"other\"} ";
    let rest = 2 * SERIES - (SERIES - 1);
    assert!(series.contains(&format!("{other}{rest}")), "{:?}", lines(&page, other));
    assert_eq!(lines(&page, "containerpilot_watch_instances").len(), SERIES + 1);
}

#[test]
fn a_metric_answers_to_its_name_with_and_without_empty_parts() {
    let telemetry = telemetry(&[metric(["", "", "zed"], MetricKind::Counter)]);
    telemetry.metric("__zed", "1").expect("with empty parts");
    telemetry.metric("zed", "2").expect("without");
    let unknown = telemetry.metric("_zed", "1");
    assert_eq!(unknown, Err(MetricError::Unknown { key: "_zed".to_owned() }));
    assert_eq!(lines(&telemetry.render(), "zed"), ["zed 3"]);
}

#[test]
fn values_that_cannot_be_taken_are_refused_with_their_text() {
    let telemetry = telemetry(&[metric(["", "", "n"], MetricKind::Counter)]);
    let text = |value: &str| telemetry.metric("n", value).expect_err("refused").to_string();
    assert_eq!(
        text("many"),
        "metric produced non-numeric value: many: strconv.ParseFloat: parsing \"many\": invalid syntax"
    );
    assert_eq!(
        text("1e999"),
        "metric produced non-numeric value: 1e999: strconv.ParseFloat: parsing \"1e999\": value out of range"
    );
    for value in ["-1", "inf", "nan"] {
        assert!(text(value).contains("n is a counter"), "{value}");
    }
    assert_eq!(lines(&telemetry.render(), "n "), ["n 0"]);
}

#[test]
fn after_a_reload_metrics_begin_at_zero_and_gone_ones_keep_their_value() {
    let both = [
        metric(["", "", "gone"], MetricKind::Gauge),
        metric(["", "", "kept"], MetricKind::Counter),
    ];
    let telemetry = telemetry(&both);
    telemetry.metric("gone", "5").expect("taken");
    telemetry.metric("kept", "5").expect("taken");
    telemetry.reconfigure(&both[1..]);
    assert!(telemetry.metric("gone", "6").is_err());
    telemetry.metric("kept", "1").expect("taken");
    let page = telemetry.render();
    assert_eq!(lines(&page, "gone"), ["gone 5"]);
    assert_eq!(lines(&page, "kept"), ["kept 1"]);
    telemetry.reconfigure(&both);
    assert_eq!(lines(&telemetry.render(), "gone"), ["gone 0"]);
}

#[test]
fn a_summary_forgets_after_ten_minutes_and_stays_small() {
    let telemetry = telemetry(&[metric(["", "", "s"], MetricKind::Summary)]);
    let begun = Instant::now();
    let at = |seconds| begun + Duration::from_secs(seconds);
    let median = |seconds| {
        let page = telemetry.render_at(at(seconds));
        let line = lines(&page, "s{quantile=\"0.5\"}").concat();
        line.rsplit_once(' ').expect("a value").1.parse::<f64>().expect("a number")
    };
    assert!(median(0).is_nan());
    for value in 1..=100 {
        telemetry.metric_at("s", &value.to_string(), at(1)).expect("taken");
    }
    assert!((median(2) - 50.0).abs() < 1.0);
    assert!((median(590) - 50.0).abs() < 1.0);
    assert!(median(721).is_nan());
    // Far more values than are kept: the sample stands for all of them.
    for value in 0..20_000 {
        telemetry.metric_at("s", &value.to_string(), at(800)).expect("taken");
    }
    assert!((median(801) - 10_000.0).abs() < 2_000.0, "{}", median(801));
    assert_eq!(lines(&telemetry.render(), "s_count"), ["s_count 20100"]);
}

#[test]
fn a_name_that_prometheus_would_not_read_is_made_one() {
    let telemetry = telemetry(&[metric(["9a", "", "b-c"], MetricKind::Gauge)]);
    assert_eq!(lines(&telemetry.render(), "_a_b_c"), ["_a_b_c 0"]);
}
