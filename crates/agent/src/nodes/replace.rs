//! Another number for a node that lost what it had acknowledged.
//!
//! The number that it had is not taken away at once: a node that was removed reaches nobody any more,
//! and so could not ask again after a lost answer. It goes when the other number is heard of, which
//! shows that its papers arrived.

use regrow_consensus::{At, Edit};
use regrow_pki::NodeNumber;

use crate::nodes::command::{Refusal, Reply, check_address};
use crate::nodes::machine::{Stop, change, remove};
use crate::nodes::record::{self, NodeRecord, ReplacedRecord, put_node, put_replaced, take_number};

/// Gives a node another number, or tells again which one it was given.
pub(super) fn replace(
    at: At,
    number: NodeNumber,
    key: [u8; 32],
    address: String,
    tables: &mut dyn Edit,
) -> Result<Reply, Stop> {
    check_address(&address)?;
    let node = record::node(&*tables, number)?.ok_or(Refusal::Unknown(number))?;
    if node.removed {
        return Err(Refusal::Removed(number).into());
    }
    let role = node.role;
    if let Some(ReplacedRecord { by, key: before }) = record::replaced(&*tables, number)? {
        if before != key {
            return Err(Refusal::Replaced { number, by }.into());
        }
        change(tables, by, |node| node.address = address)?;
        return Ok(Reply::Admitted { number: by, role });
    }
    let by = take_number(tables)?;
    put_replaced(tables, number, &ReplacedRecord { by, key })?;
    // It trusts no roots as far as anybody knows: its first word is a report.
    let node = NodeRecord { number: by, address, alive: true, since: at.time, trusts: 0, ..node };
    put_node(tables, &node)?;
    Ok(Reply::Admitted { number: by, role })
}

/// A node was heard of: the numbers for which it stands in are removed, and those for which these
/// stood in before.
pub(super) fn arrived(at: At, number: NodeNumber, tables: &mut dyn Edit) -> Result<Reply, Stop> {
    let mut here = vec![number];
    while let Some(by) = here.pop() {
        for old in record::replaced_by(&*tables, by)? {
            remove(at, old, tables)?;
            record::delete_replaced(tables, old)?;
            here.push(old);
        }
    }
    Ok(Reply::Done)
}
