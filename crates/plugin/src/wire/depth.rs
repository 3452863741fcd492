use std::fmt;

/// Levels of lists and objects that a message may have: what the JSON parser takes.
pub(crate) const MAX_DEPTH_LEVELS: usize = 128;

/// A message is nested too deeply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooDeep;

impl fmt::Display for TooDeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the JSON is nested deeper than {MAX_DEPTH_LEVELS} levels")
    }
}

/// Checks the nesting of a JSON text.
///
/// The parser bounds what it turns into types, but hands raw fields through at any depth; whoever
/// reads those later would be the victim.
pub(crate) fn check(json: &[u8]) -> Result<(), TooDeep> {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH_LEVELS {
                    return Err(TooDeep);
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => at = end_of_text(json, at),
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// Position of the quote that ends the text which begins at `start`.
fn end_of_text(json: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn counts_levels_outside_of_texts_only() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(check(nested(128).as_bytes()).is_ok());
        assert!(check(nested(129).as_bytes()).is_err());
        assert!(check("[".repeat(100_000).as_bytes()).is_err());
        assert!(check(format!("\"{}\"", "[".repeat(1000)).as_bytes()).is_ok());
        assert!(check(format!("\"\\\"{}\"", "[".repeat(1000)).as_bytes()).is_ok());
        assert!(check(format!("\"a\\\\\"{}", "{".repeat(200)).as_bytes()).is_err());
        assert!(check("[] ".repeat(1000).as_bytes()).is_ok());
        assert!(check(b"\"never ends [[[\\").is_ok());
    }
}
