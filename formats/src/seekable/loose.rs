//! Frames that belong to no file yet: a flight recorder keeps them in memory, compressed, and writes those that it turns
//! out to need into files of their own ([`SeekableWriter::append`](super::SeekableWriter::append)), without unpacking them.

use std::io;

use super::cut::Cutter;
use super::filter::{Filter, text_member};
use super::press::Press;
use super::write::described;
use crate::ledger::Ledger;
use crate::record::{Digest, FrameRecord};

/// A compressed frame with all that its record will say, but for its place in a file.
#[derive(Clone, Debug)]
pub struct LooseFrame {
    pub(super) bytes: Vec<u8>,
    pub(super) digest: Digest,
    pub(super) record: FrameRecord,
    pub(super) losses: Ledger,
}

impl LooseFrame {
    /// Bytes it takes, compressed.
    pub fn packed_len(&self) -> usize {
        self.bytes.len()
    }

    /// Events in it.
    pub fn events(&self) -> u64 {
        self.record.events
    }

    /// What was lost in its interval.
    pub fn losses(&self) -> &Ledger {
        &self.losses
    }

    /// Time of its oldest event, ns since the epoch; 0 where it has none.
    pub fn earliest(&self) -> u64 {
        self.record.earliest
    }

    /// Time of its youngest event, ns since the epoch; 0 where it has none.
    pub fn latest(&self) -> u64 {
        self.record.latest
    }
}

/// Makes loose frames.
pub struct FramePacker {
    press: Press,
}

impl FramePacker {
    /// A packer with zstd's compression level.
    pub fn new(level: i32) -> io::Result<Self> {
        Ok(Self { press: Press::new(level, 1)? })
    }

    /// Packs whole blocks into one frame. `losses`: what was lost in its interval. `containers`: ids of all containers that
    /// its events are of, the empty one for the host; `None` where nobody knows. `None` comes back where there is nothing.
    pub fn pack<'a>(
        &mut self,
        blocks: &[u8],
        losses: &Ledger,
        containers: Option<impl IntoIterator<Item = &'a [u8]>>,
    ) -> io::Result<Option<LooseFrame>> {
        let mut cutter = Cutter::default();
        cutter.push(blocks);
        cutter.follow(usize::MAX, true);
        cutter.losses().merge(losses);
        let Some((raw, seen)) = cutter.take(true) else { return Ok(None) };
        let ids = containers.map(|ids| ids.into_iter().map(text_member).collect::<std::collections::BTreeSet<_>>());
        let containers = ids.map(|ids| Filter::of(ids.iter()));
        let record = described(&seen, raw.len() as u64, 0, containers);
        self.press.submit(raw)?;
        let packed = self.press.next(0)?;
        Ok(packed.map(|packed| LooseFrame { bytes: packed.bytes, digest: packed.digest, record, losses: seen.losses }))
    }
}
