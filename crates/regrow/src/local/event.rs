//! Verbs of publishers of events.

use anyhow::{Result, anyhow};
use clap::Args;
use futures::StreamExt as _;
use regrow_plugin::spi::{Event, Events};
use regrow_template::{Options, Template};

use super::{Run, Target};
use crate::output::print;

/// Deepest level that `topics -a` goes to.
const MAX_DEPTH: usize = 32;

/// Arguments of `topics`.
#[derive(Args, Debug)]
pub struct TopicsArgs {
    /// Where to look
    #[arg(value_name = "TOPIC")]
    topics: Vec<String>,
    /// With the whole path of each
    #[arg(short, long)]
    long: bool,
    /// With everything below
    #[arg(short, long)]
    all: bool,
    /// Without headings
    #[arg(short, long)]
    quiet: bool,
}

impl Run for TopicsArgs {
    async fn run(self, target: &Target) -> Result<()> {
        let events = target.finder().lookup().events(target.name()).await?;
        let topics = if self.topics.is_empty() { vec![String::new()] } else { self.topics.clone() };
        let mut out = String::new();
        for topic in &topics {
            let topic = topic.trim_matches('/');
            if topics.len() > 1 && !self.quiet {
                out.push_str(&format!("{topic}:\n"));
            }
            let found = children(events.as_ref(), topic, self.all).await?;
            for name in found {
                let whole = if topic.is_empty() { name.clone() } else { format!("{topic}/{name}") };
                out.push_str(&format!("{}\n", if self.long { whole } else { name }));
            }
        }
        print(&out)
    }
}

async fn children(events: &dyn Events, topic: &str, all: bool) -> Result<Vec<String>> {
    let first = events.list(topic).await?;
    if !all {
        return Ok(first);
    }
    let mut found = Vec::new();
    let mut open: Vec<_> = first.into_iter().rev().map(|name| (name, 0)).collect();
    while let Some((name, depth)) = open.pop() {
        let whole = if topic.is_empty() { name.clone() } else { format!("{topic}/{name}") };
        let nodes = if depth < MAX_DEPTH { events.list(&whole).await? } else { Vec::new() };
        if nodes.is_empty() {
            found.push(name);
            continue;
        }
        open.extend(nodes.into_iter().rev().map(|node| (format!("{name}/{node}"), depth + 1)));
    }
    Ok(found)
}

/// Arguments of `tail`.
#[derive(Args, Debug)]
pub struct TailArgs {
    /// Topics; one that ends in / is everything below. Default: everything
    #[arg(value_name = "TOPIC")]
    topics: Vec<String>,
    /// Template for a line
    #[arg(long, value_name = "TEMPLATE")]
    view: Option<String>,
    /// End after that many events
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

impl Run for TailArgs {
    async fn run(self, target: &Target) -> Result<()> {
        let events = target.finder().lookup().events(target.name()).await?;
        let topics =
            if self.topics.is_empty() { vec!["/".to_owned()] } else { self.topics.clone() };
        let mut streams = Vec::new();
        for topic in &topics {
            let stream = events.subscribe(topic).await;
            streams.push(stream.map_err(|fault| anyhow!("follow {topic}: {fault}"))?);
        }
        let mut all = futures::stream::select_all(streams);
        let mut shown = 0;
        while let Some(event) = all.next().await {
            print(&self.line(&event)?)?;
            shown += 1;
            if self.count.is_some_and(|count| shown >= count) {
                break;
            }
        }
        Ok(())
    }
}

impl TailArgs {
    fn line(&self, event: &Event) -> Result<String> {
        let Some(view) = &self.view else { return Ok(serde_json::to_string(event)? + "\n") };
        let template = Template::from_text(view, "str://", &Options::default());
        let rendered = template.render(&serde_json::to_value(event)?);
        Ok(rendered.map_err(|fault| anyhow!("render --view: {}", fault.report()))?.text + "\n")
    }
}
