//! Pipelines, operands and field access.

use super::Machine;
use crate::error::CallError;
use crate::options::MissingKey;
use crate::syntax::ast::{Command, Kind, Name, Operand, Pipe};
use crate::value::Value;

impl<'a> Machine<'a> {
    /// The value of a pipeline, after giving it to the variables it declares.
    pub(super) fn pipeline(&mut self, pipe: &'a Pipe, dot: &Value) -> Result<Value, CallError> {
        let value = self.pipeline_value(pipe, dot)?;
        for name in &pipe.targets {
            self.set(name, value.clone(), pipe.assigns);
        }
        Ok(value)
    }

    pub(super) fn pipeline_value(
        &mut self,
        pipe: &'a Pipe,
        dot: &Value,
    ) -> Result<Value, CallError> {
        let mut piped = None;
        for command in &pipe.commands {
            piped = Some(self.command(command, dot, piped)?);
        }
        Ok(piped.unwrap_or_default())
    }

    fn command(
        &mut self,
        command: &'a Command,
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, CallError> {
        let takes_arguments = !command.arguments.is_empty() || piped.is_some();
        match &command.first.kind {
            Kind::Function(name) => self.function(name, &command.arguments, dot, piped),
            Kind::Field(names) if takes_arguments => {
                self.method(dot.clone(), names, &command.arguments, dot, piped)
            }
            Kind::Variable(name, names) if takes_arguments && !names.is_empty() => {
                let receiver = self.variable(name)?;
                self.method(receiver, names, &command.arguments, dot, piped)
            }
            Kind::Chain(inner, names) if takes_arguments => {
                let receiver = self.operand(inner, dot)?;
                self.method(receiver, names, &command.arguments, dot, piped)
            }
            Kind::Nil => Err(CallError::Evaluate("nil is not a command".into())),
            _ if takes_arguments => Err(CallError::Evaluate(
                "can't give argument to non-function: only functions take arguments".into(),
            )),
            _ => self.operand(&command.first, dot),
        }
    }

    fn function(
        &mut self,
        name: &Name,
        arguments: &'a [Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, CallError> {
        if matches!(&**name, "and" | "or") {
            return self.junction(&**name == "or", arguments, dot, piped);
        }
        let values = self.arguments(arguments, dot, piped)?;
        let Some(callable) = self.scope.session.functions.get(name) else {
            // The parser knows the same table; this is a guard, not a path.
            return Err(CallError::Evaluate(format!("{name:?} is not a defined function")));
        };
        self.scope.session.step(1)?;
        callable.call(name, &self.scope, &values)
    }

    fn arguments(
        &mut self,
        arguments: &'a [Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Vec<Value>, CallError> {
        let mut values = Vec::with_capacity(arguments.len() + 1);
        for argument in arguments {
            values.push(self.operand(argument, dot)?);
        }
        values.extend(piped);
        Ok(values)
    }

    /// `and` and `or`, which evaluate only as far as they need to.
    fn junction(
        &mut self,
        stops_at: bool,
        arguments: &'a [Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, CallError> {
        let mut value = Value::Nil;
        for argument in arguments {
            value = self.operand(argument, dot)?;
            if value.is_true() == stops_at {
                return Ok(value);
            }
        }
        match piped {
            Some(piped) => Ok(piped),
            None if arguments.is_empty() => Err(CallError::ArgumentCount {
                function: if stops_at { "or" } else { "and" }.into(),
                want: "at least 1".into(),
                got: 0,
            }),
            None => Ok(value),
        }
    }

    fn variable(&self, name: &Name) -> Result<Value, CallError> {
        let found = self.variables.iter().rev().find(|(known, _)| known == name);
        match found {
            Some((_, value)) => Ok(value.clone()),
            None => Err(CallError::Evaluate(format!("undefined variable: {name}"))),
        }
    }

    fn operand(&mut self, operand: &'a Operand, dot: &Value) -> Result<Value, CallError> {
        Ok(match &operand.kind {
            Kind::Dot => dot.clone(),
            Kind::Nil => Value::Nil,
            Kind::Bool(flag) => Value::Bool(*flag),
            Kind::Int(number) => Value::Int(*number),
            Kind::Float(number) => Value::Float(*number),
            Kind::Text(text) => Value::Str(text.clone()),
            Kind::Field(names) => self.fields(dot.clone(), names)?,
            Kind::Variable(name, names) => {
                let value = self.variable(name)?;
                self.fields(value, names)?
            }
            Kind::Function(name) => self.function(name, &[], dot, None)?,
            Kind::Pipe(pipe) => {
                self.scope.session.enter()?;
                let value = self.pipeline(pipe, dot)?;
                self.scope.session.leave();
                value
            }
            Kind::Chain(inner, names) => {
                let value = self.operand(inner, dot)?;
                self.fields(value, names)?
            }
        })
    }

    fn fields(&self, mut value: Value, names: &[Name]) -> Result<Value, CallError> {
        for name in names {
            value = self.field(&value, name)?;
        }
        Ok(value)
    }

    fn field(&self, value: &Value, name: &str) -> Result<Value, CallError> {
        let missing = self.scope.options().missing_key;
        let strict = missing == MissingKey::Error;
        match value {
            Value::Map(map) => match map.get(name) {
                Some(value) => Ok(value),
                None if strict => Err(CallError::MissingKey(name.to_owned())),
                None => Ok(missing.value()),
            },
            Value::Nil if strict => {
                Err(CallError::Evaluate(format!("nil data; no entry for key {name:?}")))
            }
            Value::Nil => Ok(Value::Nil),
            Value::Time(_) => crate::sprig::time_method(value, name, &[]),
            Value::Object(object) if object.fields.contains_key(name) => {
                Ok(object.fields.get(name).cloned().unwrap_or_default())
            }
            other => {
                let kind = other.type_name();
                Err(CallError::Evaluate(format!("can't evaluate field {name} in type {kind}")))
            }
        }
    }

    /// A field called with arguments. Only times have methods.
    fn method(
        &mut self,
        receiver: Value,
        names: &'a [Name],
        arguments: &'a [Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, CallError> {
        let Some((last, path)) = names.split_last() else { return Ok(receiver) };
        let receiver = self.fields(receiver, path)?;
        let values = self.arguments(arguments, dot, piped)?;
        match &receiver {
            Value::Time(_) => crate::sprig::time_method(&receiver, last, &values),
            _ => Err(CallError::Evaluate(format!("{last} is not a method but has arguments"))),
        }
    }
}
