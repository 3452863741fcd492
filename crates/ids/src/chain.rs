//! What an error and its causes say, for one line of a log or of an answer.

use std::error::Error;

/// An error with its causes in one line, each behind a colon. Libraries say what they were doing and
/// leave why it failed to the cause.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("write the file")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn causes_follow_in_one_line() {
        let inner = std::io::Error::other("the disk is full");
        assert_eq!(chain(&inner), "the disk is full");
        assert_eq!(chain(&Outer(inner)), "write the file: the disk is full");
    }
}
