//! Work on files: `regrow supervise check|convert`.

use anyhow::{Result, bail};
use clap::Args;
use regrow_supervise::config::{Config, ConfigError, Source};

use super::surroundings;
use crate::output::print;

/// A configuration, and the application of one of version 2.
#[derive(Args, Debug)]
pub struct FileArgs {
    /// The configuration
    #[arg(value_name = "FILE")]
    file: String,
    /// With a configuration of version 2: the application and its arguments
    #[arg(last = true, value_name = "APPLICATION")]
    app: Vec<String>,
}

impl FileArgs {
    fn source(&self) -> Result<Source, ConfigError> {
        Source::from_word(&self.file).ok_or(ConfigError::NoFile)
    }

    /// Reads it and says what is wrong, or odd.
    pub fn check(self) -> Result<()> {
        let source = self.source()?;
        let loaded = source.load(&surroundings(self.app))?;
        for warning in &loaded.warnings {
            eprintln!("warning: {warning}");
        }
        print(&format!("{}: {}\n", self.file, summary(&loaded.config)))
    }

    /// Prints a configuration of version 2 as one of version 3.
    pub fn convert(self) -> Result<()> {
        let source = self.source()?;
        let surroundings = surroundings(self.app);
        let (text, notes) = source.convert(&surroundings)?;
        for note in notes {
            eprintln!("note: {note}");
        }
        print(&text)?;
        // A value that only version 3 looks at may still be wrong.
        if let Err(fault) = source.load(&surroundings) {
            bail!("load what was converted: {fault}");
        }
        Ok(())
    }
}

fn summary(config: &Config) -> String {
    let count = |number: usize, one: &str, more: &str| match number {
        1 => format!("1 {one}"),
        number => format!("{number} {more}"),
    };
    let jobs = config.jobs.iter().filter(|job| !job.telemetry).count();
    let services = config.jobs.iter().filter(|job| job.service.is_some()).count();
    format!(
        "good, {}, {}, {}",
        count(jobs, "job", "jobs"),
        count(services, "service", "services"),
        count(config.watches.len(), "watch", "watches")
    )
}
