//! Tokens to tree.

use super::ast::{Branch, Name, Node, Pipe, Pos, Tree};
use super::lexer::{Spanned, Token, tokenize};
use std::sync::Arc;

/// How deep blocks and parentheses may nest. Parsing and running recurse once a level.
const MAX_NESTING: usize = 100;

/// What is wrong with a template's text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) pos: Pos,
    pub(crate) kind: SyntaxErrorKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SyntaxErrorKind {
    Syntax(String),
    UnknownFunction(String),
}

/// Parses `source`. `known` says which function names exist.
pub(crate) fn parse(
    source: &str,
    delimiters: (&str, &str),
    known: &dyn Fn(&str) -> bool,
) -> Result<Tree, SyntaxError> {
    let tokens = tokenize(source, delimiters.0, delimiters.1)?;
    let mut parser = Parser {
        source,
        tokens,
        at: 0,
        depth: 0,
        loops: 0,
        variables: vec!["$".into()],
        tree: Tree::default(),
        known,
    };
    let (body, end) = parser.list()?;
    if let Some((word, pos)) = end {
        return Err(syntax(pos, format!("unexpected {{{{{}}}}}", word.text())));
    }
    parser.tree.body = body;
    Ok(parser.tree)
}

pub(super) fn syntax(pos: Pos, message: impl Into<String>) -> SyntaxError {
    SyntaxError { pos, kind: SyntaxErrorKind::Syntax(message.into()) }
}

/// What ended a list of nodes.
#[derive(Clone, Copy, PartialEq)]
enum Word {
    End,
    Else,
}

impl Word {
    fn text(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::Else => "else",
        }
    }
}

type Ending = Option<(Word, Pos)>;

pub(super) struct Parser<'a> {
    pub(super) source: &'a str,
    tokens: Vec<Spanned>,
    pub(super) at: usize,
    pub(super) depth: usize,
    loops: usize,
    pub(super) variables: Vec<Name>,
    tree: Tree,
    pub(super) known: &'a dyn Fn(&str) -> bool,
}

impl Parser<'_> {
    pub(super) fn peek(&self) -> &Token {
        self.tokens.get(self.at).map_or(&Token::End, |spanned| &spanned.token)
    }

    pub(super) fn pos(&self) -> Pos {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(Pos::default(), |token| token.pos)
    }

    pub(super) fn offset(&self) -> usize {
        self.tokens.get(self.at).map_or(self.source.len(), |token| token.offset)
    }

    pub(super) fn skip(&mut self) {
        self.at += 1;
    }

    pub(super) fn skip_space(&mut self) {
        while *self.peek() == Token::Space {
            self.skip();
        }
    }

    pub(super) fn enter(&mut self) -> Result<(), SyntaxError> {
        self.depth += 1;
        if self.depth > MAX_NESTING {
            let message = format!("blocks or parentheses nest deeper than {MAX_NESTING}");
            return Err(syntax(self.pos(), message));
        }
        Ok(())
    }

    fn close_action(&mut self, context: &str) -> Result<(), SyntaxError> {
        self.skip_space();
        if *self.peek() != Token::Right {
            return Err(self.unexpected(context));
        }
        self.skip();
        Ok(())
    }

    pub(super) fn unexpected(&self, context: &str) -> SyntaxError {
        let what = match self.peek() {
            Token::End => "end of the template".to_owned(),
            Token::Right => "the closing delimiter".to_owned(),
            Token::Pipe => "\"|\"".to_owned(),
            Token::Comma => "\",\"".to_owned(),
            Token::Declare => "\":=\"".to_owned(),
            Token::Assign => "\"=\"".to_owned(),
            Token::Open => "\"(\"".to_owned(),
            Token::Close => "\")\"".to_owned(),
            Token::Dot => "\".\"".to_owned(),
            Token::Identifier(text) | Token::Variable(text) | Token::Number(text) => {
                format!("{text:?}")
            }
            Token::Field(text) => format!("\".{text}\""),
            Token::Literal(text) => format!("string {text:?}"),
            other => format!("{other:?}"),
        };
        syntax(self.pos(), format!("unexpected {what} in {context}"))
    }

    /// Nodes up to an `end`, an `else` or the end of the source.
    fn list(&mut self) -> Result<(Vec<Node>, Ending), SyntaxError> {
        self.enter()?;
        let mut nodes = Vec::new();
        let ending = loop {
            match self.peek() {
                Token::Text(text) => {
                    nodes.push(Node::Text(text.as_str().into()));
                    self.skip();
                }
                Token::Left => {
                    self.skip();
                    self.skip_space();
                    if let Some(word) = self.action(&mut nodes)? {
                        break Some(word);
                    }
                }
                _ => break None,
            }
        };
        self.depth -= 1;
        Ok((nodes, ending))
    }

    /// What stands between two delimiters, the first of which was taken.
    fn action(&mut self, nodes: &mut Vec<Node>) -> Result<Ending, SyntaxError> {
        let pos = self.pos();
        let Token::Identifier(word) = self.peek() else {
            nodes.push(self.plain_action()?);
            return Ok(None);
        };
        match word.as_str() {
            "end" => {
                self.skip();
                self.close_action("end")?;
                return Ok(Some((Word::End, pos)));
            }
            "else" => {
                self.skip();
                self.skip_space();
                return Ok(Some((Word::Else, pos)));
            }
            "if" | "range" | "with" => nodes.push(self.control()?),
            "template" => nodes.push(self.template()?),
            "block" => nodes.push(self.block()?),
            "define" => self.define()?,
            "break" | "continue" if self.alone() => {
                let node = if word == "break" { Node::Break } else { Node::Continue };
                if self.loops == 0 {
                    return Err(syntax(pos, format!("{{{{{word}}}}} outside {{{{range}}}}")));
                }
                self.skip();
                self.close_action("break or continue")?;
                nodes.push(node);
            }
            _ => nodes.push(self.plain_action()?),
        }
        Ok(None)
    }

    /// Whether the current word is all there is in its action: older templates may have a
    /// function of the name `break`.
    fn alone(&self) -> bool {
        let mut after = self.tokens[self.at + 1..].iter().map(|spanned| &spanned.token);
        after.find(|token| **token != Token::Space) == Some(&Token::Right)
    }

    fn plain_action(&mut self) -> Result<Node, SyntaxError> {
        // Variables declared here stay in scope until the surrounding block ends.
        let pipe = self.pipe("command", 1)?;
        self.close_action("command")?;
        Ok(Node::Action(pipe))
    }

    /// `if`, `range` or `with`, the word itself still ahead.
    fn control(&mut self) -> Result<Node, SyntaxError> {
        let start = self.pos();
        let word = match self.peek() {
            Token::Identifier(word) => word.clone(),
            _ => String::new(),
        };
        self.skip();
        let scope = self.variables.len();
        let is_range = word == "range";
        let pipe = self.pipe(&word, if is_range { 2 } else { 1 })?;
        self.close_action(&word)?;
        self.loops += usize::from(is_range);
        let body = self.list();
        self.loops -= usize::from(is_range);
        let (body, ending) = body?;
        let otherwise = match ending {
            Some((Word::End, _)) => Vec::new(),
            Some((Word::Else, _)) => self.otherwise(&word, start)?,
            None => return Err(unclosed(&word, start)),
        };
        self.variables.truncate(scope);
        let branch = Branch { pipe, body, otherwise };
        Ok(match word.as_str() {
            "range" => Node::Range(branch),
            "with" => Node::With(branch),
            _ => Node::If(branch),
        })
    }

    /// The rest of a block after the word `else` was taken.
    fn otherwise(&mut self, word: &str, start: Pos) -> Result<Vec<Node>, SyntaxError> {
        // `{{else if x}}` is an `if` inside the `else`, closed by the same `end`.
        if word != "range" && *self.peek() == Token::Identifier(word.to_owned()) {
            self.enter()?;
            let node = self.control()?;
            self.depth -= 1;
            return Ok(vec![node]);
        }
        self.close_action("else")?;
        let (nodes, ending) = self.list()?;
        match ending {
            Some((Word::End, _)) => Ok(nodes),
            Some((Word::Else, pos)) => Err(syntax(pos, "expected end; found {{else}}")),
            None => Err(unclosed(word, start)),
        }
    }

    fn name(&mut self, context: &str) -> Result<Name, SyntaxError> {
        self.skip_space();
        match self.peek() {
            Token::Literal(name) => {
                let name = Name::from(name.as_str());
                self.skip();
                Ok(name)
            }
            _ => Err(self.unexpected(context)),
        }
    }

    fn argument(&mut self, context: &str) -> Result<Option<Pipe>, SyntaxError> {
        self.skip_space();
        let argument = match self.peek() {
            Token::Right => None,
            _ => Some(self.pipe(context, 1)?),
        };
        self.close_action(context)?;
        Ok(argument)
    }

    fn template(&mut self) -> Result<Node, SyntaxError> {
        let pos = self.pos();
        self.skip();
        let name = self.name("template clause")?;
        let argument = self.argument("template clause")?;
        Ok(Node::Template { pos, name, argument })
    }

    fn block(&mut self) -> Result<Node, SyntaxError> {
        let pos = self.pos();
        self.skip();
        let name = self.name("block clause")?;
        let argument = self.argument("block clause")?;
        self.definition(pos, name.clone())?;
        Ok(Node::Template { pos, name, argument })
    }

    fn define(&mut self) -> Result<(), SyntaxError> {
        let pos = self.pos();
        if self.depth > 1 {
            return Err(syntax(pos, "unexpected {{define}}: define only outside of other blocks"));
        }
        self.skip();
        let name = self.name("define clause")?;
        self.close_action("define clause")?;
        self.definition(pos, name)
    }

    /// The body of a `define` or `block`, which sees neither variables nor loops around it.
    fn definition(&mut self, pos: Pos, name: Name) -> Result<(), SyntaxError> {
        let variables = std::mem::replace(&mut self.variables, vec!["$".into()]);
        let loops = std::mem::take(&mut self.loops);
        let list = self.list();
        // Put back before a mistake is reported: the blocks around count on it.
        self.variables = variables;
        self.loops = loops;
        let (body, ending) = list?;
        match ending {
            Some((Word::End, _)) => {}
            Some((Word::Else, pos)) => return Err(syntax(pos, "unexpected {{else}} in define")),
            None => return Err(unclosed("define", pos)),
        }
        // As in Go an empty definition never replaces one, and two full ones are a mistake.
        let blank = is_blank(&body);
        match self.tree.defines.get(&name) {
            Some(old) if !blank && !is_blank(old) => {
                return Err(syntax(pos, format!("multiple definition of template {name:?}")));
            }
            Some(_) if blank => {}
            _ => {
                self.tree.defines.insert(name, Arc::new(body));
            }
        }
        Ok(())
    }
}

fn unclosed(word: &str, start: Pos) -> SyntaxError {
    syntax(start, format!("unexpected EOF: this {{{{{word}}}}} has no {{{{end}}}}"))
}

fn is_blank(nodes: &[Node]) -> bool {
    nodes.iter().all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()))
}
