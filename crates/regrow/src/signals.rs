//! Signals that ask a process to end.

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Exit code after a second Ctrl-C: 128 and the number of the signal.
const FORCED: i32 = 130;

/// Becomes true at the first TERM or INT; the second one prints `last_words` and ends the process at
/// once.
///
/// # Errors
/// Signals cannot be listened for.
pub fn told(last_words: &'static str) -> Result<watch::Receiver<bool>> {
    told_saying(move || last_words.to_owned())
}

/// The same with words that are asked for when they are needed. They must come at once.
///
/// # Errors
/// Signals cannot be listened for.
pub fn told_saying(
    last_words: impl Fn() -> String + Send + 'static,
) -> Result<watch::Receiver<bool>> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for signals")?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        let mut times = 0;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            times += 1;
            if times > 1 {
                eprintln!("{}", last_words());
                std::process::exit(FORCED);
            }
            sender.send_replace(true);
        }
    });
    Ok(receiver)
}

/// Ends when it was told to stop.
pub async fn stopped(told: &mut watch::Receiver<bool>) {
    // The sender lives as long as the process.
    let _ = told.wait_for(|told| *told).await;
}
