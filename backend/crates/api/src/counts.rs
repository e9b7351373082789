//! What happened to the items, for the metrics.

use app_service::Metrics;
use app_service::metrics::{IntCounter, MetricsError};

/// Counters of what happened to the items.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    pub(crate) created: IntCounter,
    pub(crate) updated: IntCounter,
    pub(crate) deleted: IntCounter,
}

impl Counts {
    pub(crate) fn new(metrics: &Metrics) -> Result<Self, MetricsError> {
        Ok(Self {
            created: metrics.counter("items_created_total", "Items that were created.")?,
            updated: metrics.counter("items_updated_total", "Items that were changed.")?,
            deleted: metrics.counter("items_deleted_total", "Items that were deleted.")?,
        })
    }
}
