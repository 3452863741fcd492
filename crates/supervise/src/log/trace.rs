//! What the parts of the program tell by `tracing`, as records of the supervisor.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::Logger;
use crate::config::Level;

/// A layer that says each event: its message, then its fields as `name=value`. A field `job` names
/// the job that it is about. Of crates that are not ours only warnings and errors are said.
#[derive(Debug)]
pub struct Trace(Arc<Logger>);

impl Trace {
    /// A layer that says events to this log, as its level wants them at that time.
    pub fn new(logger: Arc<Logger>) -> Self {
        Self(logger)
    }
}

impl<S: Subscriber> Layer<S> for Trace {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // The level may change while the program runs.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let level = level(*metadata.level());
        let ours = metadata.target().starts_with("regrow");
        (ours || level <= Level::Warning) && level <= self.0.level()
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut told = Told::default();
        event.record(&mut told);
        let text = told.message + &told.fields;
        self.0.say(level(*event.metadata().level()), told.job.as_deref(), text.trim_start());
    }
}

/// The fields of an event.
#[derive(Default)]
struct Told {
    message: String,
    fields: String,
    job: Option<String>,
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "job" => self.job = Some(value.to_owned()),
            _ => self.record_debug(field, &format_args!("{value}")),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a text does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            "job" => {
                self.job = Some(format!("{value:?}"));
                Ok(())
            }
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

fn level(level: tracing::Level) -> Level {
    match level {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warning,
        tracing::Level::INFO => Level::Info,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::TRACE => Level::Trace,
    }
}
