//! What the worker did, for the metrics.

use app_core::store::Sweep;
use app_service::Metrics;
use app_service::metrics::{Histogram, IntCounter, MetricsError};

/// Counters of what the worker did.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    pub(crate) ticks: IntCounter,
    pub(crate) failures: IntCounter,
    pub(crate) duration: Histogram,
    marked: IntCounter,
    unmarked: IntCounter,
}

impl Counts {
    pub(crate) fn new(metrics: &Metrics) -> Result<Self, MetricsError> {
        Ok(Self {
            ticks: metrics.counter("worker_ticks_total", "Times the marks were checked.")?,
            failures: metrics.counter(
                "worker_tick_failures_total",
                "Times the marks could not be checked.",
            )?,
            duration: metrics.histogram(
                "worker_tick_duration_seconds",
                "Time that checking the marks took.",
            )?,
            marked: metrics.counter(
                "items_marked_overdue_total",
                "Items that were marked as overdue.",
            )?,
            unmarked: metrics.counter(
                "items_unmarked_overdue_total",
                "Items that were marked as overdue and no longer are.",
            )?,
        })
    }

    pub(crate) fn add(&self, sweep: Sweep) {
        self.marked.inc_by(sweep.marked);
        self.unmarked.inc_by(sweep.unmarked);
    }
}
