//! What the service counts, in the text format of Prometheus.

use std::time::Duration;

use prometheus::{
    HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};

pub use prometheus::{Error as MetricsError, Histogram, IntCounter};

use crate::identity::Identity;

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

const HTTP_LABELS: [&str; 3] = ["method", "route", "status"];

/// The metrics of one service. Cheap to clone: every clone counts into the same.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
}

impl Metrics {
    /// The metrics that every service has.
    pub fn new(identity: &Identity) -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new("http_requests_total", "HTTP requests that were answered."),
            &HTTP_LABELS,
        )?;
        registry.register(Box::new(requests.clone()))?;
        let durations = HistogramVec::new(
            HistogramOpts::new(
                "http_request_duration_seconds",
                "Time from the head of the request to the head of the response.",
            ),
            &HTTP_LABELS,
        )?;
        registry.register(Box::new(durations.clone()))?;
        let build = IntGaugeVec::new(
            Opts::new(
                "build_info",
                "Which program this is; the value is always 1.",
            ),
            &["service", "version", "build_id"],
        )?;
        build
            .get_metric_with_label_values(&[identity.service, identity.version, identity.build_id])?
            .set(1);
        registry.register(Box::new(build))?;
        #[cfg(target_os = "linux")]
        registry.register(Box::new(
            prometheus::process_collector::ProcessCollector::for_self(),
        ))?;
        Ok(Self {
            registry,
            requests,
            durations,
        })
    }

    /// A new counter, which starts at 0.
    pub fn counter(&self, name: &str, help: &str) -> Result<IntCounter, MetricsError> {
        let counter = IntCounter::new(name, help)?;
        self.registry.register(Box::new(counter.clone()))?;
        Ok(counter)
    }

    /// A new histogram of durations in seconds.
    pub fn histogram(&self, name: &str, help: &str) -> Result<Histogram, MetricsError> {
        let histogram = Histogram::with_opts(HistogramOpts::new(name, help))?;
        self.registry.register(Box::new(histogram.clone()))?;
        Ok(histogram)
    }

    /// Counts a request that was answered.
    pub(crate) fn observe_request(
        &self,
        method: &str,
        route: &str,
        status: &str,
        duration: Duration,
    ) {
        let labels = [method, route, status];
        self.requests.with_label_values(&labels).inc();
        self.durations
            .with_label_values(&labels)
            .observe(duration.as_secs_f64());
    }

    /// Everything that was counted.
    pub fn render(&self) -> Result<String, MetricsError> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_rendered() {
        let metrics = Metrics::new(&Identity::new("api", "1.2.3", Some("abc"))).unwrap();
        metrics.observe_request("GET", "/things/{id}", "200", Duration::from_millis(3));
        metrics
            .counter("things_total", "Things.")
            .unwrap()
            .inc_by(2);
        let text = metrics.render().unwrap();
        for line in [
            r#"http_requests_total{method="GET",route="/things/{id}",status="200"} 1"#,
            r#"http_request_duration_seconds_bucket{method="GET",route="/things/{id}",status="200",le="0.005"} 1"#,
            r#"build_info{build_id="abc",service="api",version="1.2.3"} 1"#,
            "things_total 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn a_name_is_taken_once() {
        let metrics = Metrics::new(&Identity::new("api", "1.2.3", None)).unwrap();
        assert!(metrics.counter("things_total", "Things.").is_ok());
        assert!(metrics.counter("things_total", "Things.").is_err());
    }
}
