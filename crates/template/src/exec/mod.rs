//! Runs a parsed template.
//!
//! One [`Machine`] runs one template; `include` and `source` run another on top. Every action,
//! loop round and write is paid for, so that a rendering ends whatever the template says.

mod eval;

use crate::error::{CallError, TemplateError};
use crate::gofmt::print_value;
use crate::scope::Scope;
use crate::syntax::ast::{Branch, Name, Node, Pipe, Tree};
use crate::value::Value;
use std::sync::Arc;

/// An action quoted in an error is cut after this many characters.
const MAX_QUOTED: usize = 80;

/// Runs `tree` with the context of `scope` and returns what it prints.
pub(crate) fn execute(scope: Scope<'_>, tree: &Tree) -> Result<String, TemplateError> {
    let dot = scope.frame.context.clone();
    let mut machine =
        Machine { scope, tree, out: String::new(), variables: vec![("$".into(), dot.clone())] };
    machine.walk(&tree.body, &dot)?;
    Ok(machine.out)
}

/// How a node ended: in a loop body `break` and `continue` travel up to the loop.
#[derive(Clone, Copy, PartialEq)]
enum Flow {
    Next,
    Break,
    Continue,
}

struct Machine<'a> {
    scope: Scope<'a>,
    tree: &'a Tree,
    out: String,
    /// All variables in scope, innermost last.
    variables: Vec<(Name, Value)>,
}

impl<'a> Machine<'a> {
    fn walk(&mut self, nodes: &'a [Node], dot: &Value) -> Result<Flow, TemplateError> {
        for node in nodes {
            let flow = match node {
                Node::Text(text) => {
                    // Text alone cannot fail to parse, so it has no action to blame.
                    self.write(text).map_err(|error| self.text_error(error))?;
                    Flow::Next
                }
                Node::Action(pipe) => self.action(pipe, dot)?,
                Node::If(branch) => {
                    self.nested(&branch.pipe, |m| m.condition(branch, dot, false))?
                }
                Node::With(branch) => {
                    self.nested(&branch.pipe, |m| m.condition(branch, dot, true))?
                }
                Node::Range(branch) => self.nested(&branch.pipe, |m| m.range(branch, dot))?,
                Node::Template { pos, name, argument } => {
                    let blame = |source| TemplateError::Execute {
                        name: self.scope.frame.url.clone(),
                        line: pos.line,
                        column: pos.column,
                        action: format!("template {name:?}"),
                        source: Box::new(source),
                    };
                    self.scope.session.enter().map_err(blame)?;
                    let flow = self.template(name, argument.as_ref(), dot, blame)?;
                    self.scope.session.leave();
                    flow
                }
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn write(&mut self, text: &str) -> Result<(), CallError> {
        self.scope.session.write(text.len())?;
        self.out.push_str(text);
        Ok(())
    }

    fn text_error(&self, source: CallError) -> TemplateError {
        TemplateError::Execute {
            name: self.scope.frame.url.clone(),
            line: 1,
            column: 1,
            action: "text".into(),
            source: Box::new(source),
        }
    }

    fn blame(&self, pipe: &Pipe, source: CallError) -> TemplateError {
        let mut action: String = pipe.source.chars().take(MAX_QUOTED).collect();
        if action.len() < pipe.source.len() {
            action.push_str("...");
        }
        let (line, column) = (pipe.pos.line, pipe.pos.column);
        {
            let (name, source) = (self.scope.frame.url.clone(), Box::new(source));
            TemplateError::Execute { name, line, column, action, source }
        }
    }

    /// Runs a block with its own variables one level down.
    fn nested(
        &mut self,
        pipe: &Pipe,
        run: impl FnOnce(&mut Self) -> Result<Flow, TemplateError>,
    ) -> Result<Flow, TemplateError> {
        self.scope.session.enter().map_err(|error| self.blame(pipe, error))?;
        let scope = self.variables.len();
        let flow = run(self)?;
        self.variables.truncate(scope);
        self.scope.session.leave();
        Ok(flow)
    }

    fn action(&mut self, pipe: &'a Pipe, dot: &Value) -> Result<Flow, TemplateError> {
        let result = self.scope.session.step(1).and_then(|()| {
            let value = self.pipeline(pipe, dot)?;
            if pipe.targets.is_empty() { self.print(&value) } else { Ok(()) }
        });
        result.map_err(|error| self.blame(pipe, error))?;
        Ok(Flow::Next)
    }

    fn print(&mut self, value: &Value) -> Result<(), CallError> {
        match value {
            Value::Nil => self.write("<no value>"),
            Value::Str(text) => self.write(text),
            value => {
                let mut text = String::new();
                print_value(&mut text, value, &mut self.scope.budget())
                    .map_err(|error| self.scope.too_big(error))?;
                self.write(&text)
            }
        }
    }

    fn condition(
        &mut self,
        branch: &'a Branch,
        dot: &Value,
        sets_dot: bool,
    ) -> Result<Flow, TemplateError> {
        let value =
            self.pipeline(&branch.pipe, dot).map_err(|error| self.blame(&branch.pipe, error))?;
        if !value.is_true() {
            self.walk(&branch.otherwise, dot)
        } else if sets_dot {
            self.walk(&branch.body, &value)
        } else {
            self.walk(&branch.body, dot)
        }
    }

    fn range(&mut self, branch: &'a Branch, dot: &Value) -> Result<Flow, TemplateError> {
        let value = self
            .pipeline_value(&branch.pipe, dot)
            .map_err(|error| self.blame(&branch.pipe, error))?;
        let scope = self.variables.len();
        let mut empty = true;
        let mut rounds: Box<dyn Iterator<Item = (Value, Value)>> = match &value {
            Value::Nil => Box::new(std::iter::empty()),
            Value::List(list) => {
                Box::new(list.items().iter().enumerate().map(|(i, v)| (index(i), v.clone())))
            }
            Value::Map(map) => {
                Box::new(map.entries().into_iter().map(|(key, value)| (Value::Str(key), value)))
            }
            other => match other.as_int() {
                Some(count) => Box::new((0..count).map(|i| (Value::Int(i), Value::Int(i)))),
                None => {
                    let message = format!("range can't iterate over {}", other.type_name());
                    return Err(self.blame(&branch.pipe, CallError::Evaluate(message)));
                }
            },
        };
        for (key, item) in &mut rounds {
            empty = false;
            self.scope.session.step(1).map_err(|error| self.blame(&branch.pipe, error))?;
            self.bind(&branch.pipe, key, &item);
            let flow = self.walk(&branch.body, &item)?;
            self.variables.truncate(scope);
            if flow == Flow::Break {
                break;
            }
        }
        if empty { self.walk(&branch.otherwise, dot) } else { Ok(Flow::Next) }
    }

    /// Gives the loop variables of one round their values.
    fn bind(&mut self, pipe: &Pipe, key: Value, item: &Value) {
        let values = match pipe.targets.len() {
            0 => return,
            1 => vec![item.clone()],
            _ => vec![key, item.clone()],
        };
        for (name, value) in pipe.targets.iter().zip(values) {
            self.set(name, value, pipe.assigns);
        }
    }

    fn set(&mut self, name: &Name, value: Value, assigns: bool) {
        if assigns && let Some(slot) = self.variables.iter_mut().rev().find(|(n, _)| n == name) {
            slot.1 = value;
            return;
        }
        self.variables.push((name.clone(), value));
    }

    fn template(
        &mut self,
        name: &Name,
        argument: Option<&'a Pipe>,
        dot: &Value,
        blame: impl Fn(CallError) -> TemplateError,
    ) -> Result<Flow, TemplateError> {
        let tree = self.tree;
        let Some(body) = tree.defines.get(name) else {
            return Err(blame(CallError::Evaluate(format!("template {name:?} not defined"))));
        };
        let argument = match argument {
            Some(pipe) => self.pipeline(pipe, dot).map_err(|error| self.blame(pipe, error))?,
            None => Value::Nil,
        };
        // A called template sees no variable but `$`, which is its argument.
        let variables =
            std::mem::replace(&mut self.variables, vec![("$".into(), argument.clone())]);
        let body: &'a Arc<Vec<Node>> = body;
        self.walk(body, &argument)?;
        self.variables = variables;
        Ok(Flow::Next)
    }
}

fn index(position: usize) -> Value {
    Value::Int(i64::try_from(position).unwrap_or(i64::MAX))
}
