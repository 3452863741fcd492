//! Log lines on standard error.

use std::io::IsTerminal as _;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// Names what is logged, as `tracing-subscriber` reads it: `info,regrow_plugin=debug`.
const FILTER_VARIABLE: &str = "REGROW_LOG";

/// Form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Term,
    /// The same without colours.
    Logfmt,
    /// One JSON document a line.
    Json,
}

/// The flags about logs; the names are InfraKit's.
#[derive(Args, Clone, Debug, Default)]
pub struct LogArgs {
    /// Log level: 0 and 1 errors, 2 warnings, 3 and 4 information, 5 debug, 6 all
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=6))]
    log: Option<u8>,
    /// Form of log lines
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value = "term")]
    log_format: Format,
    /// Log to standard output
    #[arg(long, global = true, hide_short_help = true)]
    log_stdout: bool,
    /// Accepted as InfraKit has it; without effect
    #[arg(long, global = true, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    log_caller: Option<bool>,
    /// Accepted as InfraKit has it; without effect
    #[arg(long, global = true, hide = true)]
    log_stack: bool,
    /// Accepted as InfraKit has it; without effect
    #[arg(long = "log-debug-V", global = true, hide = true, value_name = "N")]
    log_debug_v: Option<u32>,
    /// Accepted as InfraKit has it; without effect
    #[arg(long, global = true, hide = true, value_name = "K=V")]
    log_debug_match: Vec<String>,
    /// Accepted as InfraKit has it; without effect
    #[arg(long, global = true, hide = true)]
    log_debug_match_exclude: bool,
}

impl LogArgs {
    /// Starts logging; `usual` is the level when neither flag nor environment says one.
    pub fn start(&self, usual: &'static str) {
        let level = self.log.map(|level| match level {
            0 | 1 => "error",
            2 => "warn",
            3 | 4 => "info",
            5 => "debug",
            _ => "trace",
        });
        let filter = match level {
            Some(level) => EnvFilter::new(level),
            None => {
                EnvFilter::try_from_env(FILTER_VARIABLE).unwrap_or_else(|_| EnvFilter::new(usual))
            }
        };
        let ansi = self.log_format == Format::Term && std::io::stderr().is_terminal();
        let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(ansi);
        // A second start, as in a test, keeps the first one.
        let _ = match (self.log_format, self.log_stdout) {
            (Format::Json, true) => builder.json().with_writer(std::io::stdout).try_init(),
            (Format::Json, false) => builder.json().with_writer(std::io::stderr).try_init(),
            (_, true) => builder.with_writer(std::io::stdout).try_init(),
            (_, false) => builder.with_writer(std::io::stderr).try_init(),
        };
    }
}
