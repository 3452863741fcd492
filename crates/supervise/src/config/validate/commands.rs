//! `exec`: a text or a list.

use super::super::decode::plain;
use super::super::error::Fault;
use super::super::job::Exec;
use super::super::tree::{Node, Value};
use super::Context;

/// The command of `node`; `what` is how texts name it: `job[NAME].exec`.
///
/// A text is split at single spaces and nothing else: quotes stay in the arguments, as files rely
/// on it, and are warned of.
pub(super) fn exec(context: &mut Context<'_>, what: &str, node: &Node) -> Result<Exec, Fault> {
    let mut words: Vec<String> = match &node.value {
        Value::Text(text) => {
            let text = text.trim();
            if text.contains(['"', '\'']) {
                let warning = format!(
                    "{what} has quotes, which stay in the arguments: write a list of arguments"
                );
                context.warn(warning, node.place);
            }
            if text.is_empty() { vec![] } else { text.split(' ').map(str::to_owned).collect() }
        }
        Value::List(items) => items.iter().map(|item| plain(&item.value)).collect(),
        other => vec![plain(other)],
    };
    if words.is_empty() {
        let text = format!("unable to create {what}: received zero-length argument");
        return Err(Fault::new(text, node.place));
    }
    if let Some(word) = words.iter().find(|word| word.contains('\0')) {
        let text = format!("unable to create {what}: {word:?} has a NUL character in it");
        return Err(Fault::new(text, node.place));
    }
    let program = words.remove(0);
    Ok(Exec { program, args: words })
}
