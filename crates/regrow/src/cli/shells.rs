//! Names of plugins in completions: they are known only while the shell waits, so the scripts ask.
//!
//! The script that is made of the tree of commands comes first; what is here takes the place of its
//! entry point and hands on everything but the word behind `local`.

use std::time::Duration;

use anyhow::Result;
use clap_complete::Shell;

use crate::finder::Finder;
use crate::output::print;

/// A plugin that is slower has its own name completed but not those of its objects.
const PATIENCE: Duration = Duration::from_secs(1);

/// Behind `local`, in place of a plugin: prints what can be there, one name a line.
pub const NAMES_FLAG: &str = "--names";

const BASH: &str = r#"
_regrow_plugins() {
    if [[ $COMP_CWORD -eq 2 && ${COMP_WORDS[1]} == local ]]; then
        COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" local --names 2>/dev/null)" -- "${COMP_WORDS[2]}"))
        return
    fi
    _regrow "$@"
}
complete -F _regrow_plugins -o bashdefault -o default regrow
"#;

const ZSH: &str = r#"
_regrow_plugins() {
    if (( CURRENT == 3 )) && [[ $words[2] == local ]]; then
        compadd -- ${(f)"$($words[1] local --names 2>/dev/null)"}
    else
        _regrow "$@"
    fi
}
compdef _regrow_plugins regrow
"#;

const FISH: &str = r#"
complete -c regrow -f -n '__fish_seen_subcommand_from local; and test (count (commandline -opc)) -eq 2' -a '(regrow local --names 2>/dev/null)'
"#;

/// What is added to the script of a shell. Others than these complete no names of plugins.
pub fn addition(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
        Shell::Fish => FISH,
        _ => "",
    }
}

/// The plugins and their objects, as they can stand behind `local`, sorted.
pub async fn names(finder: &Finder) -> Vec<String> {
    let names = finder.names();
    let asked = names.iter().map(|name| async move {
        let offers = tokio::time::timeout(PATIENCE, finder.offers(name)).await;
        let offers = offers.ok().and_then(Result::ok).unwrap_or_default();
        let objects = offers.into_iter().flat_map(|(_, objects)| objects);
        let objects = objects.filter(|object| !object.is_empty() && object != ".");
        let mut all: Vec<_> = objects.map(|object| format!("{name}/{object}")).collect();
        all.push(name.clone());
        all
    });
    let mut all = futures::future::join_all(asked).await.concat();
    all.sort_unstable();
    all.dedup();
    all
}

/// Prints them, one a line.
pub async fn print_names(finder: &Finder) -> Result<()> {
    print(&names(finder).await.iter().map(|name| format!("{name}\n")).collect::<String>())
}
