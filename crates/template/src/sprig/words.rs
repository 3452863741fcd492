//! Strings as words: case, wrapping, and random text.

use super::Result;
use crate::functions::{Args, Builtin, one};
use crate::scope::Scope;
use crate::value::Value;
use rand::RngExt;

pub(super) const TABLE: &[Builtin] = &[
    one("title", 1, "func(string) string", &["Each word with a capital."], |_, a| {
        Ok(Value::from(title(a.text(0)?)))
    }),
    one("untitle", 1, "func(string) string", &["Each word with a small first letter."], |_, a| {
        Ok(Value::from(untitle(a.text(0)?)))
    }),
    one("nospace", 1, "func(string) string", &["Without white space."], |_, a| {
        Ok(Value::from(a.text(0)?.chars().filter(|c| !c.is_whitespace()).collect::<String>()))
    }),
    one("initials", 1, "func(string) string", &["First letters of the words."], |_, a| {
        Ok(Value::from(
            a.text(0)?.split_whitespace().filter_map(|w| w.chars().next()).collect::<String>(),
        ))
    }),
    one(
        "swapcase",
        1,
        "func(string) string",
        &["Capitals small, small letters capitals."],
        |_, a| Ok(Value::from(swap_case(a.text(0)?))),
    ),
    one("snakecase", 1, "func(string) string", &["FirstName becomes first_name."], |_, a| {
        Ok(Value::from(separated(a.text(0)?, '_')))
    }),
    one("kebabcase", 1, "func(string) string", &["FirstName becomes first-name."], |_, a| {
        Ok(Value::from(separated(a.text(0)?, '-')))
    }),
    one("camelcase", 1, "func(string) string", &["http_server becomes HttpServer."], |_, a| {
        Ok(Value::from(camel(a.text(0)?)))
    }),
    one(
        "wrap",
        2,
        "func(int, string) string",
        &["Breaks lines at blanks to a width; longer words stay whole."],
        |s, a| wrap(s, a, "\n", a.text(1)?, false),
    ),
    one(
        "wrapWith",
        3,
        "func(int, string, string) string",
        &["Breaks lines to a width: width, text to put at each break, text. Breaks longer words."],
        |s, a| wrap(s, a, a.text(1)?, a.text(2)?, true),
    ),
    one("shuffle", 1, "func(string) string", &["The characters in random order."], shuffle),
    one("randAlphaNum", 1, "func(int) string", &["So many random letters and digits."], |s, a| {
        random(s, a, |b| b.is_ascii_alphanumeric())
    }),
    one("randAlpha", 1, "func(int) string", &["So many random letters."], |s, a| {
        random(s, a, |b| b.is_ascii_alphabetic())
    }),
    one("randNumeric", 1, "func(int) string", &["So many random digits."], |s, a| {
        random(s, a, |b| b.is_ascii_digit())
    }),
    one("randAscii", 1, "func(int) string", &["So many random printable characters."], |s, a| {
        random(s, a, |b| (32..127).contains(&b))
    }),
];

/// Go's `strings.Title`: a letter after anything but a letter, digit, underscore or quote.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut previous = ' ';
    for c in text.chars() {
        if separates(previous) {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        previous = c;
    }
    out
}

fn separates(c: char) -> bool {
    if c.is_ascii() { !(c.is_ascii_alphanumeric() || c == '_') } else { c.is_whitespace() }
}

fn untitle(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut previous = ' ';
    for c in text.chars() {
        if previous.is_whitespace() {
            out.extend(c.to_lowercase());
        } else {
            out.push(c);
        }
        previous = c;
    }
    out
}

fn swap_case(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_uppercase() {
            out.extend(c.to_lowercase());
        } else if c.is_lowercase() {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
    }
    out
}

/// Words in small letters with `separator` between them. A word starts at a capital after a small
/// letter, and at the last capital of a run (`HTTPServer` is two words).
fn separated(text: &str, separator: char) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len() + 8);
    for (index, &c) in chars.iter().enumerate() {
        if matches!(c, ' ' | '_' | '-') {
            out.push(separator);
            continue;
        }
        let previous = index.checked_sub(1).and_then(|at| chars.get(at)).copied();
        let next = chars.get(index + 1).copied();
        let starts = c.is_uppercase()
            && previous.is_some_and(|p| {
                p.is_lowercase()
                    || p.is_ascii_digit()
                    || (p.is_uppercase() && next.is_some_and(char::is_lowercase))
            });
        if starts {
            out.push(separator);
        }
        out.extend(c.to_lowercase());
    }
    out
}

fn camel(text: &str) -> String {
    let connects = |c: char| matches!(c, '_' | '-' | ' ');
    let body = text.trim_start_matches(connects);
    let mut out = text[..text.len() - body.len()].to_owned();
    let mut capital = true;
    for c in body.chars() {
        if connects(c) {
            if capital {
                out.push(c);
            }
            capital = true;
        } else if capital {
            out.extend(c.to_uppercase());
            capital = false;
        } else {
            out.push(c);
        }
    }
    out
}

fn wrap(
    scope: &Scope<'_>,
    args: &Args<'_>,
    separator: &str,
    text: &str,
    breaks_words: bool,
) -> Result {
    let width = args.count(0)?.max(1);
    let chars: Vec<char> = text.chars().collect();
    scope.charge(chars.len())?;
    let breaks = chars.len() / width + 1;
    scope.room(breaks.saturating_mul(separator.len()).saturating_add(text.len()))?;
    let mut out = String::with_capacity(text.len() + breaks);
    let mut at = 0;
    while chars.len() - at > width {
        if chars[at] == ' ' {
            at += 1;
            continue;
        }
        let line = &chars[at..=at + width];
        let end = match line.iter().rposition(|c| *c == ' ') {
            Some(blank) => at + blank,
            None if breaks_words => at + width,
            None => match chars[at + width..].iter().position(|c| *c == ' ') {
                Some(blank) => at + width + blank,
                None => break,
            },
        };
        out.extend(&chars[at..end]);
        out.push_str(separator);
        at = if chars[end] == ' ' { end + 1 } else { end };
    }
    out.extend(&chars[at..]);
    Ok(Value::from(out))
}

fn shuffle(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let mut chars: Vec<char> = args.text(0)?.chars().collect();
    scope.charge(chars.len())?;
    let mut random = rand::rng();
    for last in (1..chars.len()).rev() {
        chars.swap(last, random.random_range(0..=last));
    }
    Ok(Value::from(chars.into_iter().collect::<String>()))
}

fn random(scope: &Scope<'_>, args: &Args<'_>, allowed: fn(u8) -> bool) -> Result {
    let count = args.count(0)?;
    scope.room(count)?;
    scope.charge(count)?;
    let alphabet: Vec<u8> = (0..128).filter(|byte| allowed(*byte)).collect();
    let mut random = rand::rng();
    let text: String =
        (0..count).map(|_| char::from(alphabet[random.random_range(0..alphabet.len())])).collect();
    Ok(Value::from(text))
}
