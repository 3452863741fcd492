//! From text to expression.

use regex::RegexBuilder;

use super::{FieldTest, Filter, REGEX_BYTES_MAX, Test};

/// How deep expressions may be nested.
const DEPTH_MAX: usize = 64;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// A bare word, or a quoted text.
    Word { text: String, quoted: bool },
    /// `==`, `!=`, `(`, `)`.
    Sign(&'static str),
}

pub(super) fn parse(text: &str) -> Result<Filter, String> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
    let filter = parser.or()?;
    match parser.tokens.get(parser.at) {
        None => Ok(filter),
        Some(token) => Err(format!("expected the end, found {token:?}")),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    const SIGNS: [&str; 4] = ["==", "!=", "(", ")"];
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
        let (token, length) = if let Some(sign) = sign {
            (Token::Sign(sign), sign.len())
        } else if first == '"' || first == '`' {
            let (text, length) = quoted(rest, first)?;
            (Token::Word { text, quoted: true }, length)
        } else {
            let ends = |c: char| c.is_whitespace() || "()=!\"`".contains(c);
            let length = rest.find(ends).unwrap_or(rest.len());
            if length == 0 {
                return Err(format!("unexpected {first:?}"));
            }
            let text = rest.get(..length).unwrap_or_default().to_owned();
            (Token::Word { text, quoted: false }, length)
        };
        tokens.push(token);
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    Ok(tokens)
}

/// A quoted text and how long it is with its quotes. Backslashes escape between double quotes.
fn quoted(text: &str, quote: char) -> Result<(String, usize), String> {
    let mut inner = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, char)) = chars.next() {
        if char == quote {
            return Ok((inner, at + 1));
        }
        match (char, quote) {
            ('\\', '"') => inner.extend(chars.next().map(|(_, char)| char)),
            (char, _) => inner.push(char),
        }
    }
    Err(format!("expected a closing {quote}"))
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    /// Takes a bare word, if it is next.
    fn word(&mut self, wanted: &str) -> bool {
        let next = matches!(
            self.tokens.get(self.at),
            Some(Token::Word { text, quoted: false }) if text == wanted
        );
        self.at += usize::from(next);
        next
    }

    fn sign(&mut self, wanted: &str) -> bool {
        let next = matches!(self.tokens.get(self.at), Some(Token::Sign(sign)) if *sign == wanted);
        self.at += usize::from(next);
        next
    }

    fn value(&mut self) -> Result<String, String> {
        match self.tokens.get(self.at) {
            Some(Token::Word { text, .. }) => {
                self.at += 1;
                Ok(text.clone())
            }
            Some(Token::Sign(sign)) => Err(format!("expected a value, found {sign:?}")),
            None => Err("expected a value, found the end".to_owned()),
        }
    }

    fn or(&mut self) -> Result<Filter, String> {
        let mut left = self.and()?;
        while self.word("or") {
            left = Filter::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Filter, String> {
        let mut left = self.not()?;
        while self.word("and") {
            left = Filter::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Filter, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("it is nested deeper than {DEPTH_MAX}"));
        }
        let filter = if self.word("not") {
            Filter::Not(Box::new(self.not()?))
        } else if self.sign("(") {
            let inner = self.or()?;
            if !self.sign(")") {
                return Err("expected \")\"".to_owned());
            }
            inner
        } else {
            self.test()?
        };
        self.depth -= 1;
        Ok(filter)
    }

    fn test(&mut self) -> Result<Filter, String> {
        let first = self.value()?;
        let (filter, negated) = if self.sign("==") {
            (field(&first, Test::Equal(self.value()?)), false)
        } else if self.sign("!=") {
            (field(&first, Test::Equal(self.value()?)), true)
        } else if self.word("is") {
            let negated = self.word("not");
            if !self.word("empty") {
                return Err("expected \"empty\"".to_owned());
            }
            (field(&first, Test::Empty), negated)
        } else {
            self.named_test(&first)?
        };
        Ok(if negated { Filter::Not(Box::new(filter)) } else { filter })
    }

    fn named_test(&mut self, first: &str) -> Result<(Filter, bool), String> {
        let negated = self.word("not");
        let filter = if self.word("in") {
            field(&self.value()?, Test::Contains(first.to_owned()))
        } else if self.word("contains") {
            field(first, Test::Contains(self.value()?))
        } else if self.word("matches") {
            let regex = RegexBuilder::new(&self.value()?).size_limit(REGEX_BYTES_MAX).build();
            field(first, Test::Matches(regex.map_err(|error| error.to_string())?))
        } else {
            let words = "==, !=, is, in, contains or matches";
            return Err(format!("expected {words} after {first:?}"));
        };
        Ok((filter, negated))
    }
}

fn field(selector: &str, test: Test) -> Filter {
    Filter::Field(selector.split('.').map(str::to_owned).collect(), FieldTest(test))
}
