//! `logging`.

use super::super::decode::Block;
use super::super::error::Fault;
use super::super::keys;
use super::super::model::{Format, Level, Logging, Sink};
use super::super::tree::Node;
use super::checked;

/// How is logged, and with which defaults.
pub(super) fn logging(node: Option<&Node>) -> Result<Logging, Fault> {
    let mut logging = Logging { level: Level::Info, format: Format::Default, output: Sink::Stdout };
    let Some(node) = node else { return Ok(logging) };
    let (block, level, format, output) = checked(|faults| {
        let block = Block::open(faults, String::new(), node, keys::LOGGING);
        let mut text = |name| block.text(faults, name);
        let (level, format, output) = (text("level"), text("format"), text("output"));
        (block, level, format, output)
    })?;
    if !level.is_empty() {
        logging.level = level_of(&level).ok_or_else(|| {
            let text = format!("Unknown log level '{level}': not a valid logrus Level: {level:?}");
            Fault::new(text, block.place_of("level"))
        })?;
    }
    logging.format = match format.as_str() {
        "" | "default" => Format::Default,
        "text" => Format::Text,
        "json" => Format::Json,
        _ => {
            let text = format!("Unknown log format '{format}'");
            return Err(Fault::new(text, block.place_of("format")));
        }
    };
    logging.output = match output.as_str() {
        "" | "stdout" => Sink::Stdout,
        "stderr" => Sink::Stderr,
        _ => Sink::File(output.into()),
    };
    Ok(logging)
}

fn level_of(text: &str) -> Option<Level> {
    Some(match text.to_ascii_lowercase().as_str() {
        "panic" => Level::Panic,
        "fatal" => Level::Fatal,
        "error" => Level::Error,
        "warn" | "warning" => Level::Warning,
        "info" => Level::Info,
        "debug" => Level::Debug,
        "trace" => Level::Trace,
        _ => return None,
    })
}
