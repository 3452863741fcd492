//! JSON5 with the place of each value.
//!
//! The crate `json5` reads values and does not say where they stand. So a first pass over the text
//! notes where each value begins, and how deep it is, and the crate reads the text after it; both
//! meet the values in the same order. The first pass knows no rules: what is not JSON5 is refused
//! by the crate.

use std::iter::Peekable;
use std::str::Chars;

use super::raw::Raw;
use super::{MAX_DEPTH, Node, Place, SyntaxError};

/// Reads a text.
pub(super) fn read(text: &str) -> Result<Node, SyntaxError> {
    let mut scan = Scan::new(text);
    scan.run().map_err(|place| {
        let reason = format!("lists and objects are nested more than {MAX_DEPTH} deep");
        SyntaxError::new(text, reason, Some(place))
    })?;
    let end = scan.place();
    let raw: Raw = json5::from_str(text).map_err(|error| {
        let at = error.position().map(|at| Place { line: at.line + 1, column: at.column + 1 });
        match (at, reason(&error)) {
            // The text ends within something: the crate says where that begins.
            (Some(begin), reason) if reason.starts_with("EOF") => {
                SyntaxError::new(text, format!("{reason} that begins at {begin}"), Some(end))
            }
            (at, reason) => SyntaxError::new(text, reason, Some(at.unwrap_or(end))),
        }
    })?;
    Ok(raw.placed(&mut scan.values.into_iter()))
}

/// What is wrong, without the place that the crate puts behind it.
fn reason(error: &json5::Error) -> String {
    match error.code() {
        Some(code) => code.to_string(),
        None => {
            let text = error.to_string();
            text.split(" at line ").next().unwrap_or(&text).to_owned()
        }
    }
}

/// Where it stands in the text, and what it is in.
struct Scan<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
    column: usize,
    /// The open lists and objects, true for objects.
    open: Vec<bool>,
    /// The next thing in an object is a value, not a key.
    after_colon: bool,
    /// Where values begin, in the order of the text.
    values: Vec<Place>,
}

impl<'a> Scan<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            rest: text.chars().peekable(),
            line: 1,
            column: 1,
            open: Vec::new(),
            after_colon: false,
            values: Vec::new(),
        }
    }

    fn place(&self) -> Place {
        Place { line: self.line, column: self.column }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        match c {
            '\r' if self.rest.peek() == Some(&'\n') => self.column += 1,
            '\n' | '\r' | '\u{2028}' | '\u{2029}' => {
                self.line += 1;
                self.column = 1;
            }
            _ => self.column += 1,
        }
        Some(c)
    }

    /// Walks over the text; fails where it is too deep.
    fn run(&mut self) -> Result<(), Place> {
        loop {
            let place = self.place();
            let Some(c) = self.next() else { return Ok(()) };
            match c {
                '{' | '[' => {
                    self.value(place);
                    self.open.push(c == '{');
                    if self.open.len() > MAX_DEPTH {
                        return Err(place);
                    }
                }
                '}' | ']' => {
                    self.open.pop();
                    self.after_colon = false;
                }
                ':' => self.after_colon = true,
                ',' => self.after_colon = false,
                '/' => self.comment(),
                '"' | '\'' => {
                    self.value(place);
                    self.string(c);
                }
                c if c.is_whitespace() || c == '\u{feff}' => {}
                _ => {
                    self.value(place);
                    self.word();
                }
            }
        }
    }

    /// Something begins here: a value, unless it is the key of an object.
    fn value(&mut self, place: Place) {
        if self.after_colon || self.open.last() != Some(&true) {
            self.values.push(place);
        }
        self.after_colon = false;
    }

    fn comment(&mut self) {
        if self.rest.next_if_eq(&'/').is_some() {
            let line = self.line;
            while self.line == line && self.next().is_some() {}
        } else if self.rest.peek() == Some(&'*') {
            self.next();
            while let Some(c) = self.next() {
                if c == '*' && self.rest.peek() == Some(&'/') {
                    self.next();
                    return;
                }
            }
        }
    }

    fn string(&mut self, quote: char) {
        while let Some(c) = self.next() {
            if c == '\\' {
                self.next();
            } else if c == quote {
                return;
            }
        }
    }

    /// A number, a word or a key without quotes: up to what cannot be in one.
    fn word(&mut self) {
        let ends = |c: char| c.is_whitespace() || "{}[]:,/\"'\u{feff}".contains(c);
        while self.rest.peek().is_some_and(|c| !ends(*c)) {
            self.next();
        }
    }
}
