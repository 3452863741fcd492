//! The documents of a playbook: read where they are, or from the copies that are kept of them.
//!
//! A playbook with copies is read over the network once: each document that is named by a URL is kept
//! when it is first read, also those that callables include, and from then on the copy counts, until
//! `playbook update`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Result, anyhow, bail};
use regrow_template::{Options, Template};
use serde_json::Value;

use super::Playbook;
use super::callable::base;
use super::line::DELIMITERS;

/// Indexes that lead to one another are followed so far.
pub const MAX_INDEXES: usize = 16;
/// So many indexes and callables are read ahead at the most.
const MAX_PAGES: usize = 1_000;

/// Reads the documents of one playbook.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    /// Folder with the copies, if they are kept.
    copies: Option<PathBuf>,
}

impl Pages {
    /// The documents of a playbook.
    pub(super) fn of(playbook: &Playbook) -> Self {
        let copies = Some(&playbook.cache).filter(|folder| !folder.is_empty());
        Self { copies: copies.map(PathBuf::from) }
    }

    /// How templates of the playbook are rendered.
    pub fn options(&self) -> Options {
        Options { multi_pass: false, cache_dir: self.copies.clone(), ..Options::default() }
    }

    /// The text of a document. A path is read where it is: it needs no copy.
    pub fn text(&self, url: &str) -> Result<String> {
        if !url.contains("://") {
            return std::fs::read_to_string(url).map_err(|error| anyhow!("read {url}: {error}"));
        }
        let template = Template::from_url(url, &self.options());
        Ok(template.map_err(|fault| anyhow!("{}", fault.report()))?.text().to_owned())
    }

    /// An index is a map from words to words, whatever its file is called. It is a template as all
    /// documents are; what names a backend is no index and is not rendered as one.
    pub fn as_index(&self, url: &str, text: &str) -> Option<BTreeMap<String, String>> {
        if text.contains(DELIMITERS.0) {
            return None;
        }
        let tree: Value = serde_saphyr::from_str(&self.rendered(url, text).ok()?).ok()?;
        let words = tree.as_object()?.iter();
        words.map(|(name, url)| Some((name.clone(), url.as_str()?.to_owned()))).collect()
    }

    /// The help of an index, from the README.md beside it; nothing if there is none.
    pub fn readme(&self, index: &str) -> String {
        let url = resolve(index, "README.md");
        match self.text(&url) {
            // It is a template, but one that was not meant so is shown as it is.
            Ok(text) => format!("{}\n\n", self.rendered(&url, &text).unwrap_or(text).trim()),
            Err(fault) => {
                tracing::debug!(%fault, "read the help of a playbook");
                String::new()
            }
        }
    }

    /// Reads all indexes and callables, and the help of the indexes, so that copies of them are kept.
    /// What cannot be read has no copy, with a warning: others may not need it.
    ///
    /// # Errors
    /// There are more than 1,000. What was read is kept.
    pub fn read_all(&self, index: &str) -> Result<()> {
        let mut seen = BTreeSet::from([index.to_owned()]);
        let mut next = vec![index.to_owned()];
        while let Some(url) = next.pop() {
            let text = self.text(&url).inspect_err(|fault| {
                tracing::warn!(%fault, "a document of the playbook has no copy");
            });
            let Ok(text) = text else { continue };
            let Some(operations) = self.as_index(&url, &text) else { continue };
            self.readme(&url);
            let targets = operations.values().map(|target| resolve(&url, target));
            next.extend(targets.filter(|target| seen.insert(target.clone())));
            if seen.len() > MAX_PAGES {
                bail!("read all of {index}: it has more than {MAX_PAGES} indexes and callables");
            }
        }
        Ok(())
    }

    /// A text of a playbook that takes no flags, rendered.
    fn rendered(&self, url: &str, text: &str) -> Result<String> {
        let rendered = Template::from_text(text, &base(url), &self.options()).render(&Value::Null);
        Ok(rendered.map_err(|fault| anyhow!("{}", fault.report()))?.text)
    }
}

/// Relative to the index.
pub fn resolve(index: &str, target: &str) -> String {
    if target.contains("://") || target.starts_with('/') {
        return target.to_owned();
    }
    let base = index.rsplit_once('/').map_or("", |(base, _)| base);
    let target = target.trim_start_matches("./");
    if base.is_empty() { target.to_owned() } else { format!("{base}/{target}") }
}

#[cfg(test)]
mod tests {
    use super::{Pages, resolve};

    #[test]
    fn operations_are_relative_to_their_index() {
        for (index, target, url) in [
            ("http://h/a/index.yml", "x.ikt", "http://h/a/x.ikt"),
            ("/p/index.yml", "./sub/index.yml", "/p/sub/index.yml"),
            ("index.yml", "x.ikt", "x.ikt"),
            ("/p/index.yml", "https://h/x", "https://h/x"),
        ] {
            assert_eq!(resolve(index, target), url);
        }
    }

    #[test]
    fn an_index_is_a_map_of_words() {
        let as_index = |url, text| Pages::default().as_index(url, text);
        assert!(as_index("i.yml", "a: b.ikt\n").is_some());
        assert!(as_index("i.ikb", "# about\na : b.ikt\n").is_some());
        assert!(as_index("i.ikt", "{{/* about */}}\na: {{ `b` }}\n").is_some());
        assert!(as_index("i.yml", "a: 1\n").is_none());
        assert!(as_index("i.yml", "a: {{ nothing }}\n").is_none());
        assert!(as_index("a", "{{/* =% sh %= */}}\na: b\n").is_none());
    }
}
