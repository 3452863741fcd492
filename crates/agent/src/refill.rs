//! A node whose log or tables the disk damaged comes back by itself, under another number.
//!
//! Such a node may have acknowledged what it now lacks, and may have forgotten for whom it voted. Under
//! its old number it must therefore never vote, lead or follow again. Its name, its role and its
//! certificate are good, and the others have everything. So it asks one of them, with its certificate,
//! for a number that nobody had, begins empty under it, is filled as every newcomer is, and gets a vote
//! while votes are free. The old number is removed for ever once the new one is heard of
//! (`nodes/replace.rs`); what then happens to the members of the control group is decided in
//! [`plan`](crate::plan) as for every other node that was removed.
//!
//! What counts as damage: the journal says so (a torn end is none, see its crate), a page of the tables
//! has another checksum, the tables end before the log begins, or the log of a node that belongs to a
//! cluster is not there at all.
//!
//! Each step is one change of the folder that is on disk before the next begins. `Facts` tells from the
//! folder alone which one is next, so a crash at any point is taken up by the next start:
//!
//! | the folder shows | the next step |
//! |---|---|
//! | damage, no note | the note `refill.json` is written; from then on nothing starts under this number |
//! | the note, papers of the old number | another number is asked for; its papers are kept |
//! | papers of another number | log and tables are moved to `damaged/TIME-node-NUMBER/` |
//! | neither log nor tables | `node.json` gets the other number |
//! | `node.json` has it | an empty log and empty tables are made, the note is removed |
//!
//! Nothing is touched before the other number is there. The two newest folders in `damaged` are kept and
//! older ones removed, each after the node had another number.
//!
//! A node that knows of no other voter refuses to start: it may hold the only copy, and a backup is what
//! helps. Where there are others and none of them gives a number, because a majority is lost or nobody is
//! reached, it waits, asks again, and says why at its door and in its log. Two damaged nodes are two
//! changes, one after the other; where two of three are damaged the third has no majority, and both wait
//! until somebody runs `regrow node recover` on the third.

mod ask;
mod evidence;
mod facts;
mod note;

use std::path::PathBuf;

use regrow_consensus::Storage;
use regrow_journal::Journal;
use regrow_pki::Clock;

use crate::error::AgentError;
use crate::folder::{Folder, Identity};
use crate::founding;
use crate::others;
use crate::starting::{self, Found};

use facts::{Decision, Facts, Step, decide};
pub(crate) use note::Note;

/// What the node begins with.
pub(crate) struct Opened {
    pub(crate) identity: Identity,
    pub(crate) journal: Journal,
    pub(crate) storage: Storage,
}

/// A node that begins.
pub(crate) struct Beginning<'f> {
    pub(crate) folder: &'f Folder,
    /// Where the others reach it.
    pub(crate) address: &'f str,
    pub(crate) clock: &'f Clock,
    /// It got its identity just now, and so has no log yet.
    pub(crate) new: bool,
}

impl Beginning<'_> {
    /// The node's log and tables, whole. Where they are damaged, waits until another number was given
    /// for which they may be empty.
    ///
    /// # Errors
    /// They are damaged and there is nobody who could refill them, a server refused for good, or the
    /// folder cannot be used.
    pub(crate) async fn open(&self) -> Result<Opened, AgentError> {
        loop {
            let identity = self.identity()?;
            let Some(note) = Note::read(self.folder)? else {
                match self.look(self.new || founding::is_under_way(self.folder)?)? {
                    Found::Whole(journal, storage) => {
                        return Ok(Opened { identity, journal, storage });
                    }
                    Found::Damaged(found) => self.begin(&identity, found)?,
                }
                continue;
            };
            match Facts::of(self.folder, &note)?.next() {
                Step::Ask => ask::number(self, &identity, &note).await?,
                Step::SetAside => evidence::set_aside(self.folder, &note)?,
                Step::Adopt => self.adopt(identity)?,
                Step::Settle => {
                    let found = self.look(true)?;
                    evidence::forget_old(self.folder);
                    ask::forget_key(self.folder)?;
                    Note::forget(self.folder)?;
                    if let Found::Whole(journal, storage) = found {
                        tracing::warn!(
                            old = %note.number, number = %identity.number,
                            "this node has another number and is being refilled"
                        );
                        return Ok(Opened { identity, journal, storage });
                    }
                }
            }
        }
    }

    fn identity(&self) -> Result<Identity, AgentError> {
        let missing = || AgentError::NoIdentity { path: self.folder.path().to_owned() };
        self.folder.identity()?.ok_or_else(missing)
    }

    /// What is on the disk. `new` for a node that need not have a log yet.
    fn look(&self, new: bool) -> Result<Found, AgentError> {
        if !new && starting::lacks_log(self.folder)? {
            return Ok(Found::Damaged("the folder `journal` is missing or empty".into()));
        }
        starting::look(self.folder)
    }

    /// Notes the damage, if somebody could refill it.
    fn begin(&self, identity: &Identity, found: String) -> Result<(), AgentError> {
        let others = others::known(self.folder, identity, self.address)?;
        match decide(&others) {
            Decision::Refuse => {
                let path: PathBuf = self.folder.path().to_owned();
                Err(AgentError::Damaged { path, found })
            }
            Decision::Refill => {
                tracing::error!(found, number = %identity.number, "this node's log or tables are damaged");
                // A key that is left over from joining is the one of the old number.
                ask::forget_key(self.folder)?;
                Note::new(identity.number, found, self.clock.now()).write(self.folder)
            }
        }
    }

    /// The node is who its papers say.
    fn adopt(&self, identity: Identity) -> Result<(), AgentError> {
        let number = self.folder.papers()?.credential.identity().node;
        let servers = others::known(self.folder, &identity, self.address)?;
        let address = self.address.to_owned();
        self.folder.set_identity(&Identity { number, servers, address, ..identity })
    }
}

#[cfg(test)]
mod tests;
