//! Text to tokens.

use super::ast::Pos;
use super::parser::{SyntaxError, SyntaxErrorKind};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Text(String),
    /// Opens an action.
    Left,
    /// Closes an action.
    Right,
    Space,
    Identifier(String),
    /// `.name`
    Field(String),
    /// `$name`, or `$`
    Variable(String),
    Dot,
    Literal(String),
    Number(String),
    /// A character constant, by its code point.
    Character(char),
    Pipe,
    Comma,
    Declare,
    Assign,
    Open,
    Close,
    End,
}

#[derive(Debug, Clone)]
pub(super) struct Spanned {
    pub(super) token: Token,
    pub(super) pos: Pos,
    /// Byte offset of the token in the source.
    pub(super) offset: usize,
}

pub(super) struct Lexer<'a> {
    source: &'a str,
    left: &'a str,
    right: &'a str,
    at: usize,
    pos: Pos,
    tokens: Vec<Spanned>,
}

const TRIM: &[char] = &[' ', '\t', '\r', '\n'];

/// All tokens of `source`, the last one `End`.
pub(super) fn tokenize(source: &str, left: &str, right: &str) -> Result<Vec<Spanned>, SyntaxError> {
    let pos = Pos { line: 1, column: 1 };
    let mut lexer = Lexer { source, left, right, at: 0, pos, tokens: Vec::new() };
    lexer.text(false)?;
    Ok(lexer.tokens)
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn advance(&mut self, bytes: usize) {
        for c in self.source[self.at..self.at + bytes].chars() {
            if c == '\n' {
                self.pos = Pos { line: self.pos.line + 1, column: 1 };
            } else {
                self.pos.column += 1;
            }
        }
        self.at += bytes;
    }

    /// Emits the next `bytes` as `token`.
    fn emit(&mut self, token: Token, bytes: usize) {
        self.tokens.push(Spanned { token, pos: self.pos, offset: self.at });
        self.advance(bytes);
    }

    fn error(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError { pos: self.pos, kind: SyntaxErrorKind::Syntax(message.into()) }
    }

    /// The whole template: text, actions and comments in turn.
    fn text(&mut self, mut trim_start: bool) -> Result<(), SyntaxError> {
        loop {
            if trim_start {
                let rest = self.rest();
                let blank = rest.len() - rest.trim_start_matches(TRIM).len();
                self.advance(blank);
            }
            let Some(length) = self.rest().find(self.left) else { break };
            let after = &self.rest()[length + self.left.len()..];
            let trims = after.starts_with('-') && after[1..].starts_with(TRIM);
            let text = &self.rest()[..length];
            let text = if trims { text.trim_end_matches(TRIM) } else { text };
            if !text.is_empty() {
                let token = Token::Text(text.to_owned());
                self.tokens.push(Spanned { token, pos: self.pos, offset: self.at });
            }
            self.advance(length);
            trim_start = self.action(trims)?;
        }
        if !self.rest().is_empty() {
            let token = Token::Text(self.rest().to_owned());
            let length = self.rest().len();
            self.emit(token, length);
        }
        self.emit(Token::End, 0);
        Ok(())
    }

    /// One action or comment; says whether it trims the text that follows.
    fn action(&mut self, trims: bool) -> Result<bool, SyntaxError> {
        let opening = self.left.len() + if trims { 2 } else { 0 };
        if self.rest()[opening..].starts_with("/*") {
            return self.comment(opening);
        }
        let start = self.pos;
        self.tokens.push(Spanned { token: Token::Left, pos: start, offset: self.at });
        // The blank of a trim marker is left in place, so that tokens stay separated.
        self.advance(self.left.len() + usize::from(trims));
        let mut parens = 0usize;
        loop {
            if let Some(trims) = self.closing() {
                if parens > 0 {
                    return Err(self.error("unclosed left paren"));
                }
                let length = self.right.len() + if trims { 2 } else { 0 };
                self.emit(Token::Right, length);
                return Ok(trims);
            }
            match self.rest().chars().next() {
                None => {
                    self.pos = start;
                    return Err(self.error("unclosed action: this action has no closing delimiter"));
                }
                Some('(') => {
                    parens += 1;
                    self.emit(Token::Open, 1);
                }
                Some(')') => {
                    parens = parens
                        .checked_sub(1)
                        .ok_or_else(|| self.error("unexpected right paren"))?;
                    self.emit(Token::Close, 1);
                }
                Some(c) => self.inside(c)?,
            }
        }
    }

    /// Whether the closing delimiter is next, and whether it trims.
    fn closing(&self) -> Option<bool> {
        let rest = self.rest();
        if rest.starts_with(self.right) {
            return Some(false);
        }
        // ` -}}`: one blank, a minus, the delimiter. Further blanks were taken as a space token.
        let mut chars = rest.chars();
        let blank = chars.next().is_some_and(|c| TRIM.contains(&c));
        let minus = chars.next() == Some('-');
        (blank && minus && chars.as_str().starts_with(self.right)).then_some(true)
    }

    fn comment(&mut self, opening: usize) -> Result<bool, SyntaxError> {
        let body = opening + 2;
        let Some(length) = self.rest()[body..].find("*/") else {
            return Err(self.error("unclosed comment"));
        };
        self.advance(body + length + 2);
        match self.closing() {
            Some(trims) => {
                let length = self.right.len() + if trims { 2 } else { 0 };
                self.advance(length);
                Ok(trims)
            }
            None => Err(self.error("comment ends before closing delimiter")),
        }
    }

    fn inside(&mut self, c: char) -> Result<(), SyntaxError> {
        match c {
            ' ' | '\t' | '\r' | '\n' => self.space(),
            '|' => self.emit(Token::Pipe, 1),
            ',' => self.emit(Token::Comma, 1),
            ':' if self.rest().starts_with(":=") => self.emit(Token::Declare, 2),
            ':' => return Err(self.error("expected :=")),
            '=' => self.emit(Token::Assign, 1),
            '"' => return self.quoted(),
            '`' => return self.raw(),
            '\'' => return self.character(),
            '.' => return self.dot(),
            '$' => {
                let name = self.word(1);
                let length = name.len() + 1;
                self.emit(Token::Variable(format!("${name}")), length);
                return self.terminated();
            }
            '+' | '-' | '0'..='9' => return self.number(),
            c if c == '_' || c.is_alphabetic() => {
                let word = self.word(0);
                let length = word.len();
                self.emit(Token::Identifier(word), length);
                return self.terminated();
            }
            c => {
                return Err(self.error(format!("unexpected character {c:?} in action")));
            }
        }
        Ok(())
    }

    fn space(&mut self) {
        let rest = self.rest();
        let mut length = rest.len() - rest.trim_start_matches(TRIM).len();
        // The last blank may belong to a trim marker ` -}}`.
        let after = &rest[length..];
        if after.starts_with('-') && after[1..].starts_with(self.right) {
            length -= 1;
        }
        if length > 0 {
            self.emit(Token::Space, length);
        }
    }

    fn word(&self, skip: usize) -> String {
        self.rest()[skip..].chars().take_while(|c| *c == '_' || c.is_alphanumeric()).collect()
    }

    /// Go wants a blank or punctuation after a name, so that `a"b"` is an error.
    fn terminated(&self) -> Result<(), SyntaxError> {
        let rest = self.rest();
        match rest.chars().next() {
            None | Some(' ' | '\t' | '\r' | '\n' | '.' | ',' | '|' | ':' | '=' | '(' | ')') => {
                Ok(())
            }
            _ if rest.starts_with(self.right) => Ok(()),
            Some(c) => Err(self.error(format!("bad character {c:?}: put a blank before it"))),
        }
    }

    fn dot(&mut self) -> Result<(), SyntaxError> {
        let rest = &self.rest()[1..];
        if rest.starts_with(|c: char| c.is_ascii_digit()) {
            return self.number();
        }
        let name = self.word(1);
        let length = name.len() + 1;
        self.emit(if name.is_empty() { Token::Dot } else { Token::Field(name) }, length);
        self.terminated()
    }

    fn quoted(&mut self) -> Result<(), SyntaxError> {
        let mut text = String::new();
        let mut chars = self.rest()[1..].char_indices();
        loop {
            match chars.next() {
                Some((end, '"')) => {
                    self.emit(Token::Literal(text), end + 2);
                    return Ok(());
                }
                Some((_, '\\')) => match super::number::escape(&mut chars, '"') {
                    Some(c) => text.push(c),
                    None => {
                        return Err(self.error("bad escape in string; write \\\\ for a backslash"));
                    }
                },
                None | Some((_, '\n')) => return Err(self.error("unterminated quoted string")),
                Some((_, c)) => text.push(c),
            }
        }
    }

    fn raw(&mut self) -> Result<(), SyntaxError> {
        match self.rest()[1..].find('`') {
            Some(length) => {
                // Go drops carriage returns in raw strings.
                let text = self.rest()[1..=length].replace('\r', "");
                self.emit(Token::Literal(text), length + 2);
                Ok(())
            }
            None => Err(self.error("unterminated raw quoted string")),
        }
    }

    fn character(&mut self) -> Result<(), SyntaxError> {
        let mut chars = self.rest()[1..].char_indices();
        let c = match chars.next() {
            Some((_, '\\')) => super::number::escape(&mut chars, '\''),
            Some((_, '\'' | '\n')) | None => None,
            Some((_, c)) => Some(c),
        };
        match (c, chars.next()) {
            (Some(c), Some((end, '\''))) => {
                self.emit(Token::Character(c), end + 2);
                Ok(())
            }
            _ => Err(self.error("malformed character constant")),
        }
    }

    fn number(&mut self) -> Result<(), SyntaxError> {
        let rest = self.rest();
        let mut length = 0;
        let mut previous = ' ';
        for c in rest.chars() {
            let sign = matches!(c, '+' | '-')
                && (length == 0 || matches!(previous.to_ascii_lowercase(), 'e' | 'p'));
            if !(sign || c == '.' || c == '_' || c.is_ascii_alphanumeric()) {
                break;
            }
            previous = c;
            length += c.len_utf8();
        }
        let text = rest[..length].to_owned();
        if text == "+" || text == "-" {
            return Err(self.error(format!("unexpected {text:?} in action")));
        }
        self.emit(Token::Number(text), length);
        self.terminated()
    }
}
