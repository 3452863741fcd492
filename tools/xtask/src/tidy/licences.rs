//! Licences: every package can be taken under a licence of the list in `deny.toml`.

use super::Report;
use super::tree::World;

pub fn check(world: &World, report: &mut Report) {
    let allowed = |id: &str| world.policy.licences.iter().any(|licence| licence == id);
    for package in &world.metadata.packages {
        let what = match &package.license {
            Some(licence) if satisfied(licence, &allowed) => continue,
            Some(licence) => format!("is under `{licence}`"),
            None => "names no licence".to_owned(),
        };
        let what = format!(
            "package `{}` {what}; expected licences of the list in deny.toml; replace it or \
             extend the list",
            package.name
        );
        report.hard("Cargo.lock", 1, what);
    }
}

/// Whether an SPDX expression can be met. `OR` binds weakest, then `AND`, then `WITH`; the old `/`
/// means `OR`.
fn satisfied(expression: &str, allowed: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    any_of(&mut words, allowed) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut met = all_of(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        met |= all_of(words, allowed);
    }
    met
}

fn all_of(words: &mut Words<'_>, allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut met = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut Words<'_>, allowed: &dyn Fn(&str) -> bool) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let met = any_of(words, allowed);
        return words.next_if_eq(&")").is_some() && met;
    }
    let Some(id) = words.next() else { return false };
    let exception = words.next_if_eq(&"WITH").and_then(|_| words.next());
    match exception {
        // An exception only gives more rights, so the bare licence will do as well.
        Some(exception) => allowed(&format!("{id} WITH {exception}")) || allowed(id),
        None => allowed(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read_as_spdx_says() {
        let allowed = |id: &str| matches!(id, "MIT" | "Apache-2.0" | "ISC");
        for good in
            ["MIT", "MIT/GPL-2.0", "GPL-2.0 OR MIT", "MIT AND ISC", "Apache-2.0 WITH X OR MIT"]
        {
            assert!(satisfied(good, &allowed), "{good}");
        }
        assert!(satisfied("(MIT OR GPL-2.0) AND ISC", &allowed));
        for bad in ["GPL-2.0", "MIT AND GPL-2.0", "(MIT OR ISC) AND GPL-2.0", "", "(MIT", "MIT ISC"]
        {
            assert!(!satisfied(bad, &allowed), "{bad}");
        }
    }
}
