//! Tokens between two delimiters to a pipeline.

use super::ast::{Command, Kind, Name, Operand, Pipe, Pos};
use super::lexer::Token;
use super::number::parse_number;
use super::parser::{Parser, SyntaxError, SyntaxErrorKind, syntax};

impl Parser<'_> {
    /// Commands joined by `|` up to the closing delimiter or parenthesis, which stays.
    pub(super) fn pipe(&mut self, context: &str, max_targets: usize) -> Result<Pipe, SyntaxError> {
        self.skip_space();
        let (pos, start) = (self.pos(), self.offset());
        let (targets, assigns) = self.targets(context, max_targets)?;
        let mut commands = Vec::new();
        loop {
            self.skip_space();
            match self.peek() {
                Token::Right | Token::Close if commands.is_empty() => {
                    return Err(syntax(self.pos(), format!("missing value for {context}")));
                }
                Token::Right | Token::Close => break,
                _ => commands.push(self.command(context, !commands.is_empty())?),
            }
            self.skip_space();
            if *self.peek() == Token::Pipe {
                self.skip();
                self.skip_space();
                if matches!(self.peek(), Token::Right | Token::Close | Token::Pipe) {
                    return Err(syntax(self.pos(), format!("missing value for {context}")));
                }
            }
        }
        if !assigns {
            self.variables.extend(targets.iter().cloned());
        }
        let source = self.source[start..self.offset()].trim().into();
        Ok(Pipe { pos, source, targets, assigns, commands })
    }

    /// `$x :=`, `$x =`, or in a range `$i, $x :=`.
    fn targets(&mut self, context: &str, max: usize) -> Result<(Vec<Name>, bool), SyntaxError> {
        let start = self.at;
        let mut targets = Vec::new();
        while let Token::Variable(name) = self.peek() {
            targets.push(Name::from(name.as_str()));
            let pos = self.pos();
            self.skip();
            self.skip_space();
            match self.peek() {
                Token::Comma if targets.len() < max => {
                    self.skip();
                    self.skip_space();
                }
                Token::Comma => {
                    return Err(syntax(pos, format!("too many declarations in {context}")));
                }
                token @ (Token::Declare | Token::Assign) => {
                    let assigns = *token == Token::Assign;
                    self.skip();
                    if assigns {
                        for name in &targets {
                            self.declared(name, pos)?;
                        }
                    }
                    return Ok((targets, assigns));
                }
                _ => break,
            }
        }
        // No declaration: the variable is the first operand of a command.
        self.at = start;
        Ok((Vec::new(), false))
    }

    fn declared(&self, name: &Name, pos: Pos) -> Result<(), SyntaxError> {
        if self.variables.contains(name) {
            Ok(())
        } else {
            Err(syntax(pos, format!("undefined variable {name:?}")))
        }
    }

    /// Operands up to a `|` or the end of the pipe.
    fn command(&mut self, context: &str, piped: bool) -> Result<Command, SyntaxError> {
        let first = self.operand(context)?;
        if piped && !callable(&first.kind) {
            let message = "non executable command in pipeline: only a function or a field can \
                           take the value on its left";
            return Err(syntax(first.pos, message));
        }
        let mut arguments = Vec::new();
        loop {
            let spaced = *self.peek() == Token::Space;
            self.skip_space();
            match self.peek() {
                Token::Right | Token::Close | Token::Pipe | Token::End => break,
                _ if !spaced => return Err(self.unexpected("operand")),
                _ => arguments.push(self.operand(context)?),
            }
        }
        Ok(Command { first, arguments })
    }

    fn operand(&mut self, context: &str) -> Result<Operand, SyntaxError> {
        let pos = self.pos();
        let kind = match self.peek() {
            Token::Dot => Kind::Dot,
            Token::Literal(text) => Kind::Text(text.as_str().into()),
            Token::Character(c) => Kind::Int(i64::from(u32::from(*c))),
            Token::Number(text) => parse_number(text)
                .ok_or_else(|| syntax(pos, format!("bad number syntax: {text:?}")))?,
            Token::Field(name) => Kind::Field(vec![name.as_str().into()]),
            Token::Variable(name) => {
                let name = Name::from(name.as_str());
                self.declared(&name, pos)?;
                Kind::Variable(name, Vec::new())
            }
            Token::Identifier(word) => match word.as_str() {
                "true" => Kind::Bool(true),
                "false" => Kind::Bool(false),
                "nil" => Kind::Nil,
                name if (self.known)(name) => Kind::Function(name.into()),
                name => {
                    let kind = SyntaxErrorKind::UnknownFunction(name.to_owned());
                    return Err(SyntaxError { pos, kind });
                }
            },
            Token::Open => return self.parenthesis(pos),
            _ => return Err(self.unexpected(context)),
        };
        self.skip();
        self.chain(Operand { pos, kind })
    }

    fn parenthesis(&mut self, pos: Pos) -> Result<Operand, SyntaxError> {
        self.enter()?;
        self.skip();
        let pipe = self.pipe("parenthesized pipeline", 1)?;
        if *self.peek() != Token::Close {
            return Err(self.unexpected("parenthesized pipeline"));
        }
        self.skip();
        self.depth -= 1;
        self.chain(Operand { pos, kind: Kind::Pipe(Box::new(pipe)) })
    }

    /// Takes the `.a.b` that follows an operand directly.
    fn chain(&mut self, operand: Operand) -> Result<Operand, SyntaxError> {
        let mut names: Vec<Name> = Vec::new();
        while let Token::Field(name) = self.peek() {
            names.push(name.as_str().into());
            self.skip();
        }
        if names.is_empty() {
            return Ok(operand);
        }
        let pos = operand.pos;
        let kind = match operand.kind {
            Kind::Field(mut fields) => {
                fields.append(&mut names);
                Kind::Field(fields)
            }
            Kind::Variable(name, _) => Kind::Variable(name, names),
            Kind::Bool(_)
            | Kind::Text(_)
            | Kind::Int(_)
            | Kind::Float(_)
            | Kind::Nil
            | Kind::Dot => {
                return Err(syntax(pos, format!("unexpected .{} after a constant", names[0])));
            }
            kind => Kind::Chain(Box::new(Operand { pos, kind }), names),
        };
        Ok(Operand { pos, kind })
    }
}

fn callable(kind: &Kind) -> bool {
    match kind {
        Kind::Function(_) | Kind::Field(_) | Kind::Variable(..) | Kind::Chain(..) => true,
        Kind::Dot | Kind::Nil | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Text(_) => {
            false
        }
        Kind::Pipe(_) => true,
    }
}
