//! Frames compressed one after the other, by the caller or by threads of their own; what comes out is the same.
//!
//! Memory is bounded: no more frames are under way than there are threads, and two.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::record::Digest;

/// Most threads that are started.
const MAX_THREADS: usize = 64;

/// A compressed frame, and its BLAKE3.
pub(super) struct Packed {
    pub bytes: Vec<u8>,
    pub digest: Digest,
}

fn compressor(level: i32) -> io::Result<zstd::bulk::Compressor<'static>> {
    let mut compressor = zstd::bulk::Compressor::new(level)?;
    compressor.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true))?;
    Ok(compressor)
}

fn pack(compressor: &mut zstd::bulk::Compressor<'static>, raw: &[u8]) -> io::Result<Packed> {
    let bytes = compressor.compress(raw)?;
    let digest = *blake3::hash(&bytes).as_bytes();
    Ok(Packed { bytes, digest })
}

/// Takes contents and gives frames, in the same order.
pub(super) enum Press {
    /// The caller's thread does the work.
    Inline(zstd::bulk::Compressor<'static>, VecDeque<Packed>),
    /// Threads do.
    Threads(Threads),
}

/// Threads that compress.
pub(super) struct Threads {
    jobs: Option<Sender<(u64, Vec<u8>)>>,
    results: Receiver<(u64, io::Result<Packed>)>,
    /// Frames that are ready before their turn.
    early: BTreeMap<u64, io::Result<Packed>>,
    submitted: u64,
    given: u64,
    handles: Vec<JoinHandle<()>>,
}

impl Press {
    /// `threads` of 0 or 1 start none.
    pub(super) fn new(level: i32, threads: usize) -> io::Result<Self> {
        if threads < 2 {
            return Ok(Self::Inline(compressor(level)?, VecDeque::new()));
        }
        let (jobs, queue) = channel::<(u64, Vec<u8>)>();
        let (finished, results) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let mut handles = Vec::new();
        for _ in 0..threads.min(MAX_THREADS) {
            let (queue, finished, mut compressor) = (Arc::clone(&queue), finished.clone(), compressor(level)?);
            handles.push(std::thread::spawn(move || {
                loop {
                    // The lock is held while waiting: whoever has it takes the next one.
                    let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((number, raw)) = job else { break };
                    if finished.send((number, pack(&mut compressor, &raw))).is_err() {
                        break;
                    }
                }
            }));
        }
        let jobs = Some(jobs);
        Ok(Self::Threads(Threads { jobs, results, early: BTreeMap::new(), submitted: 0, given: 0, handles }))
    }

    /// Takes the next content.
    pub(super) fn submit(&mut self, raw: Vec<u8>) -> io::Result<()> {
        match self {
            Self::Inline(compressor, ready) => ready.push_back(pack(compressor, &raw)?),
            Self::Threads(threads) => {
                let number = threads.submitted;
                threads.submitted += 1;
                let sent = threads.jobs.as_ref().map(|jobs| jobs.send((number, raw)));
                if !matches!(sent, Some(Ok(()))) {
                    return Err(gone());
                }
            }
        }
        Ok(())
    }

    /// Contents taken whose frames have not been given.
    fn under_way(&self) -> usize {
        match self {
            Self::Inline(_, ready) => ready.len(),
            Self::Threads(threads) => (threads.submitted - threads.given) as usize,
        }
    }

    /// The next frame in order, as long as more than `most` are under way; those of all contents for 0.
    pub(super) fn next(&mut self, most: usize) -> io::Result<Option<Packed>> {
        if self.under_way() <= most {
            return Ok(None);
        }
        match self {
            Self::Inline(_, ready) => Ok(ready.pop_front()),
            Self::Threads(threads) => threads.next().map(Some),
        }
    }

    /// Frames that may be under way while content comes.
    pub(super) fn depth(&self) -> usize {
        match self {
            Self::Inline(..) => 0,
            Self::Threads(threads) => threads.handles.len() + 1,
        }
    }
}

impl Threads {
    fn next(&mut self) -> io::Result<Packed> {
        loop {
            if let Some(result) = self.early.remove(&self.given) {
                self.given += 1;
                return result;
            }
            let (number, result) = self.results.recv().map_err(|_| gone())?;
            self.early.insert(number, result);
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.handles.drain(..) {
            // A thread that failed has nothing more to say.
            let _ = thread.join();
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("the threads that compress frames have ended")
}
