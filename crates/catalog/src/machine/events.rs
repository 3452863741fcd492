//! Events and tokens.

use regrow_consensus::Span;

use super::rows;
use super::topic::Topic;
use super::work::{Step, Work, check_name};
use crate::model::{Event, Indexed, Indexes, Token};

/// How many events are kept.
const EVENTS_KEPT: usize = 256;

impl Work<'_> {
    pub fn fire(&mut self, event: &Event) -> Step {
        check_name("event name", &event.name)?;
        let indexes = Indexes::write(None, self.at.index);
        let row = rows::key(rows::EVENT, &[&self.at.index.to_be_bytes()]);
        self.put(&row, &Indexed { value: event.clone(), indexes })?;
        let events = self.view().list(&Span::prefix(&[rows::EVENT]), EVENTS_KEPT + 1)?;
        if events.len() > EVENTS_KEPT
            && let Some((oldest, _)) = events.first()
        {
            self.delete(oldest)?;
        }
        self.bump(&Topic::Events)
    }

    pub fn put_token(&mut self, token: &Token) -> Step {
        check_name("token id", &token.id)?;
        self.remove_token(&token.id)?;
        let row = match token.policy.has_exact_rules() {
            true => rows::pack_as(rows::LATEST, token),
            false => rows::pack(token),
        };
        Ok(self.tables.put(&rows::key(rows::TOKEN, &[&token.secret_hash]), &row)?)
    }

    pub fn remove_token(&mut self, id: &str) -> Step {
        let tokens: Vec<Token> = rows::list(self.view(), &[rows::TOKEN])?;
        for token in tokens.iter().filter(|token| token.id == id) {
            self.delete(&rows::key(rows::TOKEN, &[&token.secret_hash]))?;
        }
        Ok(())
    }
}
