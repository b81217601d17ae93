//! How much one batch holds: no more than is read back.
//!
//! Invariant: what is larger than a batch may be is refused before anything of it is durable, and alone: what queued beside it
//! stands.

use notes_schema::budget;

use super::{Draft, Savepoint, Work};
use crate::answer::{Code, Refusal};

/// Most events of one batch, and most parents of a ledger commit.
/// Limit: events of one batch | {}; the others are for the next
const MOST_PARENTS: usize = 256;

/// Most bytes of objects after which a batch takes no more parts.
/// Limit: bytes of objects after which a batch takes no more parts | {:bytes}
const MOST_OBJECT_BYTES: usize = 64 << 20;
/// Most parts of one batch, refused ones included: whoever leads has its own answer to give.
/// Limit: parts of one batch | {}; the others are for the next
const MOST_PARTS: usize = 256;

/// What of a batch is bounded when it is read back; estimates from above.
struct Size {
    parents: usize,
    values: usize,
    bytes: usize,
}

/// The largest that a line of the batch can be, its names included.
const LINE_BYTES: usize = 256;

fn size(work: &Work) -> Size {
    let records: usize = work.records.len();
    let lines = work.events.len() + work.outbox.len() + work.cursors.len() + work.packs.len() + work.pushes.len();
    Size {
        // The month's commit has one parent per record.
        parents: (work.chain_tips.len() + work.kept_tips.len()).max(records),
        values: lines * 12 + records * 12 + work.pushed_refs,
        bytes: (lines + records) * LINE_BYTES * 2 + work.pushed_bytes,
    }
}

impl Draft<'_> {
    pub(in crate::ledger) fn is_full(&self) -> bool {
        let size = size(&self.work);
        size.parents >= MOST_PARENTS / 2
            || size.values >= budget::BATCH.elements / 2
            || size.bytes >= budget::BATCH.bytes / 2
            || self.objects.0.borrow().bytes >= MOST_OBJECT_BYTES
            || self.parts >= MOST_PARTS
    }

    /// Whether what was added since `from` fits beside the rest of a batch: what goes past the budget by which a batch
    /// is read back would be durable and lost. A batch that is half full takes no more parts, so whatever is refused
    /// here is too large by itself, whoever else writes.
    pub(in crate::ledger) fn check_size(&mut self, from: &Savepoint) -> Result<(), Refusal> {
        self.parts += 1;
        let (before, after) = (size(&from.work), size(&self.work));
        let fits = after.parents - before.parents.min(after.parents) < MOST_PARENTS / 2
            && after.values - before.values <= budget::BATCH.elements * 2 / 5
            && after.bytes - before.bytes <= budget::BATCH.bytes * 2 / 5;
        if fits {
            return Ok(());
        }
        let why = "it changes more at once than one batch holds: send it in smaller parts";
        Err(Refusal::new(Code::Refused, "batch", why, "help"))
    }
}
