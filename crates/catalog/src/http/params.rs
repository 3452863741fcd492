//! The query of a request, and percent-coding.

/// Parameters in the order given, decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Params {
    pairs: Vec<(String, String)>,
}

impl Params {
    pub fn parse(query: &str) -> Self {
        let pair = |part: &str| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Some((form_text(name)?, form_text(value)?))
        };
        let parts = query.split('&').filter(|part| !part.is_empty());
        Self { pairs: parts.filter_map(pair).collect() }
    }

    /// Whether a parameter is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(found, _)| found == name)
    }

    /// The first value of a parameter; empty where it is not there.
    pub fn get(&self, name: &str) -> &str {
        let found = self.pairs.iter().find(|(found, _)| found == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// All values of a parameter.
    pub fn all<'p>(&'p self, name: &'p str) -> impl Iterator<Item = &'p str> {
        self.pairs.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// As Go prints it: sorted by name.
    pub fn encoded(&self) -> String {
        let mut pairs: Vec<_> = self.pairs.iter().collect();
        pairs.sort_by(|left, right| left.0.cmp(&right.0));
        let pairs: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!("{}={}", form_coded(name), form_coded(value)))
            .collect();
        pairs.join("&")
    }
}

fn form_text(text: &str) -> Option<String> {
    percent_decoded(&text.replace('+', " "))
}

fn form_coded(text: &str) -> String {
    let mut coded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                coded.push(char::from(byte));
            }
            b' ' => coded.push('+'),
            byte => coded.push_str(&format!("%{byte:02X}")),
        }
    }
    coded
}

/// The text with `%41` made `A`, once; `None` for a broken code or for bytes that are no UTF-8.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_and_printed_as_go_does() {
        let params = Params::parse("cas=1&acquire=a%20b+c&pretty&=x");
        assert!(params.has("pretty") && !params.has("other"));
        assert_eq!((params.get("acquire"), params.get("other")), ("a b c", ""));
        assert_eq!(Params::parse("cas=1&acquire=zz").encoded(), "acquire=zz&cas=1");
        assert_eq!(Params::parse("a=%2F%20").encoded(), "a=%2F+");
        assert_eq!(percent_decoded("%4"), None);
        assert_eq!(percent_decoded("%ff"), None);
    }
}
