//! Counts the statements by which something reads a database, of either kind: what is said of
//! each of them is said in the span of whoever made it, also by the thread that SQLite has.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Span, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// The name of the spans in which they are counted.
const COUNTED: &str = "counted";

static COUNTS: Mutex<Option<HashMap<u64, usize>>> = Mutex::new(None);

fn with<T>(look: impl FnOnce(&mut HashMap<u64, usize>) -> T) -> T {
    let mut counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    look(counts.get_or_insert_default())
}

/// What is made within [`Self::span`] is counted.
pub struct Statements {
    pub span: Span,
}

impl Statements {
    pub fn counted() -> Self {
        super::leaks::listen();
        Self { span: tracing::info_span!("counted") }
    }

    /// How many there were since it was last asked.
    pub async fn take(&self) -> usize {
        // A thread says it when the rows are on their way already.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let id = self.span.id().expect("somebody listens").into_u64();
        with(|counts| counts.insert(id, 0).expect("it is counted"))
    }
}

/// What counts, as a part of what listens to all logs.
pub struct Counter;

impl<S: Subscriber + for<'l> LookupSpan<'l>> Layer<S> for Counter {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        if attributes.metadata().name() == COUNTED {
            with(|counts| counts.insert(id.into_u64(), 0));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut reading = Reading(false);
        if event.metadata().target() == "sqlx::query" {
            event.record(&mut reading);
        }
        if !reading.0 {
            return;
        }
        let within = context.event_scope(event).into_iter().flatten();
        for span in within.filter(|span| span.name() == COUNTED) {
            with(|counts| *counts.entry(span.id().into_u64()).or_default() += 1);
        }
    }
}

/// Whether a statement reads: a new connection sets things up, too.
struct Reading(bool);

impl Visit for Reading {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0 |= field.name() == "summary" && value.starts_with("select");
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
