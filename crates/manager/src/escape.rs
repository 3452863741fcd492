//! Any text as one part of a key.

/// Letters, digits, `-` and `_` as they are, everything else as `%XX`: without slashes and dots, which
/// mean something in keys. Two texts never give the same.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn nothing_that_means_something_in_a_key_is_left() {
        assert_eq!(escaped("us-east/Web_1"), "us-east%2FWeb_1");
        assert_eq!(escaped(".."), "%2E%2E");
        assert_ne!(escaped("%2F"), escaped("/"));
    }
}
