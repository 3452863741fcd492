//! `printf`.
//!
//! Covers the verbs that make sense for template values: `%v %+v %#v %T %t %d %b %o %O %x %X %c %q
//! %U %e %E %f %F %g %G %s %p %%`, flags `+ - # 0` and space, width and precision also as `*`, and
//! argument indexes `[n]`. Mistakes print in place as Go's `%!verb(type=value)`.

use super::number::with_verb;
use super::{print_value, quote};
use crate::value::{Budget, TooBig, Value};

/// Widths and precisions above this are refused, as Go refuses them.
const MAX_WIDTH: i64 = 1_000_000;

#[derive(Clone, Copy, Default)]
struct Spec {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

struct Printer<'a> {
    out: String,
    args: &'a [Value],
    next: usize,
    reordered: bool,
    budget: &'a mut Budget,
}

/// Go's `fmt.Sprintf`.
pub(crate) fn sprintf(format: &str, args: &[Value], budget: &mut Budget) -> Result<String, TooBig> {
    let mut printer = Printer { out: String::new(), args, next: 0, reordered: false, budget };
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        printer.out.push_str(&rest[..at]);
        rest = printer.directive(&rest[at + 1..])?;
    }
    printer.out.push_str(rest);
    printer.extra()?;
    Ok(printer.out)
}

impl Printer<'_> {
    /// Handles what follows a `%` and returns what follows that.
    fn directive<'f>(&mut self, mut rest: &'f str) -> Result<&'f str, TooBig> {
        let mut spec = Spec::default();
        while let Some(flag) = rest.chars().next() {
            match flag {
                '+' => spec.plus = true,
                '-' => spec.minus = true,
                '#' => spec.sharp = true,
                ' ' => spec.space = true,
                '0' => spec.zero = true,
                _ => break,
            }
            rest = &rest[1..];
        }
        rest = self.index(rest);
        match self.size(rest) {
            (Size::Given(width), after) => {
                spec.minus |= width < 0;
                spec.width = usize::try_from(width.unsigned_abs()).ok();
                rest = after;
            }
            (Size::Bad, after) => {
                self.out.push_str("%!(BADWIDTH)");
                rest = after;
            }
            (Size::None, after) => rest = after,
        }
        if let Some(after) = rest.strip_prefix('.') {
            let after = self.index(after);
            let (size, after) = self.size(after);
            match size {
                Size::Given(precision) => spec.precision = usize::try_from(precision).ok(),
                Size::Bad => self.out.push_str("%!(BADPREC)"),
                Size::None => spec.precision = Some(0),
            }
            rest = after;
        }
        rest = self.index(rest);
        let Some(verb) = rest.chars().next() else {
            self.out.push_str("%!(NOVERB)");
            return Ok(rest);
        };
        let after = &rest[verb.len_utf8()..];
        if verb == '%' {
            self.out.push('%');
        } else if let Some(value) = self.args.get(self.next) {
            self.next += 1;
            self.one(verb, spec, value)?;
        } else {
            let why = if self.next == usize::MAX { "BADINDEX" } else { "MISSING" };
            self.out.push_str(&format!("%!{verb}({why})"));
        }
        Ok(after)
    }

    /// An argument index `[n]`, if there is one.
    fn index<'f>(&mut self, rest: &'f str) -> &'f str {
        let Some((number, after)) = rest.strip_prefix('[').and_then(|text| text.split_once(']'))
        else {
            return rest;
        };
        self.reordered = true;
        // A bad index points past all arguments, so the verb prints what is wrong.
        let at = number.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        self.next = at.filter(|at| *at < self.args.len()).unwrap_or(usize::MAX);
        after
    }

    fn size<'f>(&mut self, rest: &'f str) -> (Size, &'f str) {
        if let Some(after) = rest.strip_prefix('*') {
            let size = match self.args.get(self.next) {
                Some(Value::Int(size)) if size.abs() <= MAX_WIDTH => Size::Given(*size),
                _ => Size::Bad,
            };
            self.next = self.next.saturating_add(1);
            return (size, after);
        }
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        match number.parse::<i64>() {
            _ if number.is_empty() => (Size::None, after),
            Ok(size) if size <= MAX_WIDTH => (Size::Given(size), after),
            _ => (Size::Bad, after),
        }
    }

    fn extra(&mut self) -> Result<(), TooBig> {
        if self.reordered || self.next >= self.args.len() {
            return Ok(());
        }
        self.out.push_str("%!(EXTRA ");
        for (index, value) in self.args[self.next..].iter().enumerate() {
            if index > 0 {
                self.out.push_str(", ");
            }
            self.out.push_str(value.type_name());
            if !matches!(value, Value::Nil) {
                self.out.push('=');
                print_value(&mut self.out, value, self.budget)?;
            }
        }
        self.out.push(')');
        Ok(())
    }

    fn one(&mut self, verb: char, spec: Spec, value: &Value) -> Result<(), TooBig> {
        if verb == 'T' {
            let name = value.type_name().to_owned();
            return self.pad(spec, &name);
        }
        match value {
            Value::Nil if verb == 'v' => self.pad(spec, "<nil>"),
            Value::Bool(flag) if matches!(verb, 't' | 'v') => {
                self.pad(spec, if *flag { "true" } else { "false" })
            }
            Value::Int(number) => self.int(verb, spec, *number, value),
            Value::Float(number) if matches!(verb, 'v' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G') => {
                self.float(verb, spec, *number)
            }
            Value::Str(text) => self.text(verb, spec, text, value),
            Value::Time(_) | Value::Object(_) if matches!(verb, 'v' | 's') => {
                let text = value.to_string();
                self.pad(spec, &text)
            }
            Value::List(list) => self.list(verb, spec, list.items()),
            Value::Map(map) => self.map(verb, spec, &map.entries()),
            _ => self.bad(verb, value),
        }
    }

    fn bad(&mut self, verb: char, value: &Value) -> Result<(), TooBig> {
        self.out.push_str("%!");
        self.out.push(verb);
        self.out.push('(');
        if !matches!(value, Value::Nil) {
            self.out.push_str(value.type_name());
            self.out.push('=');
        }
        print_value(&mut self.out, value, self.budget)?;
        self.out.push(')');
        Ok(())
    }

    fn pad(&mut self, spec: Spec, text: &str) -> Result<(), TooBig> {
        let length = text.chars().count();
        let missing = spec.width.unwrap_or(0).saturating_sub(length);
        self.budget.take(text.len() + missing)?;
        if spec.minus {
            self.out.push_str(text);
            self.out.extend(std::iter::repeat_n(' ', missing));
        } else {
            let fill = if spec.zero { '0' } else { ' ' };
            self.out.extend(std::iter::repeat_n(fill, missing));
            self.out.push_str(text);
        }
        Ok(())
    }

    /// Pads a number: zeros go between the sign and the digits.
    fn pad_number(&mut self, spec: Spec, sign: &str, digits: &str) -> Result<(), TooBig> {
        let mut digits = digits.to_owned();
        if spec.zero && !spec.minus {
            let missing = spec.width.unwrap_or(0).saturating_sub(sign.len() + digits.len());
            self.budget.take(missing)?;
            digits.insert_str(0, &"0".repeat(missing));
        }
        self.pad(Spec { zero: false, ..spec }, &format!("{sign}{digits}"))
    }

    fn int(&mut self, verb: char, spec: Spec, number: i64, value: &Value) -> Result<(), TooBig> {
        let size = number.unsigned_abs();
        let digits = match verb {
            'v' | 'd' => size.to_string(),
            'b' => format!("{size:b}"),
            'o' if spec.sharp => format!("0{size:o}"),
            'o' => format!("{size:o}"),
            'O' => format!("0o{size:o}"),
            'x' if spec.sharp => format!("0x{size:x}"),
            'x' => format!("{size:x}"),
            'X' if spec.sharp => format!("0X{size:X}"),
            'X' => format!("{size:X}"),
            'c' => return self.pad(spec, &character(number).to_string()),
            'q' => return self.pad(spec, &format!("'{}'", character(number).escape_default())),
            'U' => return self.pad(spec, &format!("U+{size:04X}")),
            _ => return self.bad(verb, value),
        };
        let digits = match spec.precision {
            Some(precision) if digits.len() < precision => {
                self.budget.take(precision)?;
                format!("{}{digits}", "0".repeat(precision - digits.len()))
            }
            _ => digits,
        };
        let spec = Spec { zero: spec.zero && spec.precision.is_none(), ..spec };
        self.pad_number(spec, sign(spec, number < 0), &digits)
    }

    fn float(&mut self, verb: char, spec: Spec, number: f64) -> Result<(), TooBig> {
        self.budget.take(spec.precision.unwrap_or(0))?;
        let text = with_verb(number, verb, spec.precision);
        let negative = text.starts_with('-');
        let digits = text.trim_start_matches(['-', '+']);
        let zero = spec.zero && number.is_finite();
        self.pad_number(Spec { zero, ..spec }, sign(spec, negative), digits)
    }

    fn text(&mut self, verb: char, spec: Spec, text: &str, value: &Value) -> Result<(), TooBig> {
        let cut = match spec.precision {
            Some(count) => {
                text.char_indices().nth(count).map_or(text, |(end, _)| text.split_at(end).0)
            }
            None => text,
        };
        match verb {
            'v' if spec.sharp => self.pad(spec, &quote(text)),
            'v' | 's' => self.pad(spec, cut),
            'q' if spec.sharp && !text.contains(['`', '\n']) => self.pad(spec, &format!("`{cut}`")),
            'q' => self.pad(spec, &quote(cut)),
            'x' | 'X' => {
                self.budget.take(cut.len() * 2)?;
                let separator = if spec.space { " " } else { "" };
                let hex: Vec<String> = cut.bytes().map(|byte| format!("{byte:02x}")).collect();
                let hex = hex.join(separator);
                self.pad(spec, &if verb == 'X' { hex.to_uppercase() } else { hex })
            }
            _ => self.bad(verb, value),
        }
    }

    fn list(&mut self, verb: char, spec: Spec, items: &[Value]) -> Result<(), TooBig> {
        self.budget.enter()?;
        let go_syntax = verb == 'v' && spec.sharp;
        self.out.push_str(if go_syntax { "[]interface {}{" } else { "[" });
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push_str(if go_syntax { ", " } else { " " });
            }
            self.one(verb, spec, item)?;
        }
        self.out.push(if go_syntax { '}' } else { ']' });
        self.budget.leave();
        Ok(())
    }

    fn map(
        &mut self,
        verb: char,
        spec: Spec,
        entries: &[(std::sync::Arc<str>, Value)],
    ) -> Result<(), TooBig> {
        self.budget.enter()?;
        let go_syntax = verb == 'v' && spec.sharp;
        self.out.push_str(if go_syntax { "map[string]interface {}{" } else { "map[" });
        for (index, (key, item)) in entries.iter().enumerate() {
            if index > 0 {
                self.out.push_str(if go_syntax { ", " } else { " " });
            }
            self.text(verb, spec, key, &Value::Str(key.clone()))?;
            self.out.push(':');
            self.one(verb, spec, item)?;
        }
        self.out.push(if go_syntax { '}' } else { ']' });
        self.budget.leave();
        Ok(())
    }
}

enum Size {
    None,
    Given(i64),
    Bad,
}

fn sign(spec: Spec, negative: bool) -> &'static str {
    match (negative, spec.plus, spec.space) {
        (true, _, _) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        _ => "",
    }
}

fn character(number: i64) -> char {
    u32::try_from(number).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}
