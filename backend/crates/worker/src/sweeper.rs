//! The work itself.

use app_core::{Store, StoreError};
use time::OffsetDateTime;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::counts::Counts;
use crate::interval::Interval;

/// Keeps the marks true, tick by tick.
#[derive(Debug)]
pub(crate) struct Sweeper {
    store: Store,
    counts: Counts,
}

impl Sweeper {
    pub(crate) fn new(store: Store, counts: Counts) -> Self {
        Self { store, counts }
    }

    /// Works until it is told to stop. A tick that has begun is finished.
    pub(crate) async fn run(self, interval: Interval, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(interval.duration());
        // After a long tick there is nothing to catch up with: the next one does all there is to do.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            if let Err(error) = self.tick().await {
                // The next tick tries again; until then the marks are only late.
                self.counts.failures.inc();
                tracing::error!(error = &error as &dyn std::error::Error, "the tick failed");
            }
        }
    }

    async fn tick(&self) -> Result<(), StoreError> {
        let timer = self.counts.duration.start_timer();
        self.counts.ticks.inc();
        let today = OffsetDateTime::now_utc().date();
        let sweep = self.store.sweep_overdue(today).await?;
        timer.observe_duration();
        self.counts.add(sweep);
        if sweep.marked + sweep.unmarked > 0 {
            let (marked, unmarked) = (sweep.marked, sweep.unmarked);
            tracing::info!(marked, unmarked, "the marks have changed");
        }
        Ok(())
    }
}
