//! Prometheus' text form, version 0.0.4.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A name and what stands above its values.
#[derive(Clone, Copy, Debug)]
pub struct Family<'a> {
    /// The name.
    pub name: &'a str,
    /// One line about it.
    pub help: &'a str,
    /// `counter`, `gauge`, `histogram` or `summary`.
    pub kind: &'a str,
}

/// A page that grows. Families come out in the order of their names.
#[derive(Debug, Default)]
pub struct Page {
    families: BTreeMap<String, String>,
}

impl Page {
    /// A family with one value.
    pub fn value(&mut self, family: &Family<'_>, value: f64) {
        self.family(family, |lines| lines.line(family.name, &[], value));
    }

    /// A family with a value for each pair of labels; one without values is not shown.
    pub fn series(
        &mut self,
        family: &Family<'_>,
        labels: [&str; 2],
        values: &BTreeMap<[String; 2], f64>,
    ) {
        if values.is_empty() {
            return;
        }
        self.family(family, |lines| {
            for (texts, value) in values {
                let labels = [(labels[0], texts[0].as_str()), (labels[1], texts[1].as_str())];
                lines.line(family.name, &labels, *value);
            }
        });
    }

    /// A family whose lines `write` adds. A second one of the same name is left out: it would make
    /// the page unreadable.
    pub fn family(&mut self, family: &Family<'_>, write: impl FnOnce(&mut Lines)) {
        if self.families.contains_key(family.name) {
            return;
        }
        let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
        let name = family.name;
        let mut lines = Lines(format!("# HELP {name} {help}\n# TYPE {name} {}\n", family.kind));
        write(&mut lines);
        self.families.insert(name.to_owned(), lines.0);
    }

    /// The page.
    pub fn text(self) -> String {
        self.families.into_values().collect()
    }
}

/// Lines of one family.
#[derive(Debug)]
pub struct Lines(String);

impl Lines {
    /// One value. Labels without a name are left out.
    pub fn line(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        let mut before = '{';
        for (label, text) in labels.iter().filter(|(label, _)| !label.is_empty()) {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{before}{label}=\"{text}\"");
            before = ',';
        }
        if before == ',' {
            self.0.push('}');
        }
        self.0.push(' ');
        self.0.push_str(&number(value));
        self.0.push('\n');
    }
}

/// A number as Prometheus reads it; large and small ones with an exponent.
pub fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else if value != 0.0 && !(1e-5..1e15).contains(&value.abs()) {
        format!("{value:e}")
    } else {
        format!("{value}")
    }
}
