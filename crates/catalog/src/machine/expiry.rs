//! What falls due, by the cluster's clock.

use regrow_consensus::{Span, TableError, Time, View};

use super::rows::{self, Due};
use super::work::{Step, Work};

/// Most things that one command lets expire; the rest follows with the next. Bounds how long the
/// machine is busy with one command.
const EXPIRED_MAX: usize = 1000;

/// The earliest time at which something falls due.
pub(super) fn deadline(view: &dyn View) -> Result<Option<Time>, TableError> {
    let first = |table: u8| -> Result<Option<Time>, TableError> {
        let entry = view.first(&Span::prefix(&[table]))?;
        Ok(entry.and_then(|(key, _)| Some(rows::time_of(key.get(1..)?)?.0)))
    };
    Ok([first(rows::DUE_QUEUE)?, first(rows::GRAVE_QUEUE)?].into_iter().flatten().min())
}

impl Work<'_> {
    pub fn expire(&mut self) -> Step {
        // One at a time: what one does can take others out of the queue.
        for _ in 0..EXPIRED_MAX {
            let Some((place, bytes)) = self.view().first(&Span::prefix(&[rows::DUE_QUEUE]))? else {
                break;
            };
            let time = rows::time_of(place.get(1..).unwrap_or_default()).map(|(time, _)| time);
            if time.is_some_and(|time| time > self.at.time) {
                break;
            }
            let due: Due = rows::unpack(&bytes)?;
            self.cancel(&due)?;
            self.delete(&place)?;
            self.fall_due(&due)?;
        }
        self.reap_tombstones(EXPIRED_MAX)
    }

    fn fall_due(&mut self, due: &Due) -> Step {
        match due {
            Due::Session(id) => self.end_session(*id),
            Due::Ttl { node, check } => self.expire_ttl(node, check),
            Due::Reap { node, check } => self.reap_service(node, check),
            Due::LockDelay { .. } => Ok(()),
        }
    }
}
