//! The other side of the door: commands on the same machine that ask an agent.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use crate::door::{Reply, Request, SOCKET};
use crate::error::AgentError;

/// Longest wait for the first line of an answer: an election, and a slow disk.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// A connection to an agent's door, after its first line.
pub struct Answer {
    /// What was answered.
    pub reply: Reply,
    /// What follows, for a backup.
    pub rest: BufReader<UnixStream>,
}

/// Asks the agent whose state folder this is.
///
/// # Errors
/// No agent runs there, this user may not ask it, it did not answer within a minute, or it did not do
/// it.
pub async fn ask(state: &Path, request: &Request) -> Result<Answer, AgentError> {
    let path: PathBuf = state.join(SOCKET);
    let answered = tokio::time::timeout(ANSWER_WITHIN, ask_at(&path, request)).await;
    let answered = answered.unwrap_or_else(|_| {
        let text = format!("no answer within {ANSWER_WITHIN:?}; look at what it prints");
        Err(std::io::Error::new(std::io::ErrorKind::TimedOut, text))
    });
    match answered {
        Ok(Answer { reply: Reply::Error(reason), .. }) => Err(AgentError::Refused { reason }),
        Ok(answer) => Ok(answer),
        Err(source) => Err(AgentError::File { doing: "ask the agent at", path, source }),
    }
}

async fn ask_at(path: &Path, request: &Request) -> std::io::Result<Answer> {
    let mut stream = UnixStream::connect(path).await.map_err(|source| {
        let text = format!("{source}; is `regrow agent` running with this --state, as this user?");
        std::io::Error::new(source.kind(), text)
    })?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    let refused = || {
        let text = "it hung up; ask as its own user or as root";
        std::io::Error::new(std::io::ErrorKind::PermissionDenied, text)
    };
    // It may hang up before it has heard the question.
    let hung_up = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::ConnectionReset => refused(),
        _ => error,
    };
    stream.write_all(&line).await.map_err(hung_up)?;
    let mut rest = BufReader::new(stream);
    let mut text = String::new();
    rest.read_line(&mut text).await.map_err(hung_up)?;
    if text.is_empty() {
        return Err(refused());
    }
    Ok(Answer { reply: serde_json::from_str(&text)?, rest })
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_does_not_answer_is_not_waited_for_without_end()
    -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let _silent = UnixListener::bind(dir.path().join(SOCKET))?;
        let error = ask(dir.path(), &Request::Status).await.err();
        let error = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("no answer within 60s"), "{error}");
        Ok(())
    }
}
