//! Frames unpacked one after the other, by the caller or ahead of it by threads of their own.
//!
//! What comes out is the same whatever the number of threads. Memory is bounded: threads run ahead only as far as
//! [`AHEAD`] bytes of content go.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::frames::{Frame, MAX_CONTENT, read_record};
use super::storage::{Storage, read_into};

/// Content that may wait unpacked, in bytes: what threads do ahead of the reader.
const AHEAD: u64 = 64 << 20;

/// Frames of at most so many bytes are unpacked in one step into a buffer of their size; larger ones, which a file may
/// only claim to have, into one that grows as content comes.
const ONE_STEP: u64 = 16 << 20;

/// Most threads that are started.
const MAX_THREADS: usize = 64;

/// The content of a frame.
pub(crate) struct Unpacked {
    pub content: Vec<u8>,
    /// Stream offsets of the enter halves before this frame that its exits need; empty unless asked for.
    pub carried: Vec<u64>,
}

/// A frame to unpack.
#[derive(Clone)]
pub(crate) struct Order {
    pub frame: Frame,
    /// Its record is needed too, for the enter halves.
    pub carried: bool,
}

/// Buffers and zstd state that are used again.
#[derive(Default)]
pub(crate) struct Unpacker {
    packed: Vec<u8>,
    decompressor: Option<zstd::bulk::Decompressor<'static>>,
}

impl Unpacker {
    /// The content of a frame, into `content`; false when it is not what its record says.
    pub(crate) fn unpack(&mut self, storage: &dyn Storage, frame: &Frame, content: &mut Vec<u8>) -> io::Result<bool> {
        content.clear();
        if !read_into(storage, &mut self.packed, frame.offset, frame.packed_len)? {
            return Ok(false);
        }
        if frame.is_cut || frame.raw_len > ONE_STEP {
            let stream = zstd::stream::read::Decoder::with_buffer(&self.packed[..])?;
            let whole = stream.single_frame().take(frame.raw_len.min(MAX_CONTENT) + 1).read_to_end(content);
            return Ok((frame.is_cut || whole.is_ok()) && content.len() as u64 == frame.raw_len);
        }
        let decompressor = match &mut self.decompressor {
            Some(decompressor) => decompressor,
            none => none.insert(zstd::bulk::Decompressor::new()?),
        };
        content.reserve(frame.raw_len as usize);
        let whole = decompressor.decompress_to_buffer(&self.packed, content);
        Ok(whole.is_ok() && content.len() as u64 == frame.raw_len)
    }

    fn fill(&mut self, storage: &dyn Storage, order: &Order, mut content: Vec<u8>) -> io::Result<Option<Unpacked>> {
        if !self.unpack(storage, &order.frame, &mut content)? {
            return Ok(None);
        }
        let mut carried = Vec::new();
        if order.carried
            && let Some(record) = read_record(storage, &order.frame)?
        {
            let distances = record.carried.unwrap_or_default();
            carried = distances.into_iter().filter_map(|back| order.frame.raw_offset.checked_sub(back)).collect();
        }
        Ok(Some(Unpacked { content, carried }))
    }
}

/// Where contents come from.
pub(crate) enum Supply {
    /// Unpacked when they are asked for.
    Inline(Box<Unpacker>),
    /// Unpacked ahead.
    Threads(Pool),
}

impl Supply {
    /// `threads` of 0 or 1 start none: the caller's own does the work.
    pub(crate) fn new(storage: &Arc<dyn Storage>, orders: &Arc<[Order]>, threads: usize) -> Self {
        if threads < 2 || orders.len() < 2 {
            Self::Inline(Box::default())
        } else {
            Self::Threads(Pool::start(storage, orders, threads.min(MAX_THREADS).min(orders.len())))
        }
    }

    /// The content of order `at`, to be asked for in order; `None` when it is damaged. `old` is a buffer no longer
    /// needed.
    pub(crate) fn get(
        &mut self,
        storage: &dyn Storage,
        orders: &[Order],
        at: usize,
        old: Vec<u8>,
    ) -> io::Result<Option<Unpacked>> {
        match self {
            Self::Inline(unpacker) => match orders.get(at) {
                Some(order) => unpacker.fill(storage, order, old),
                None => Ok(None),
            },
            Self::Threads(pool) => pool.get(at, old),
        }
    }
}

/// Threads that unpack ahead.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    storage: Arc<dyn Storage>,
    orders: Arc<[Order]>,
    state: Mutex<State>,
    /// Something was finished.
    finished: Condvar,
    /// There is room for more.
    room: Condvar,
}

#[derive(Default)]
struct State {
    /// Next order to be taken by a thread.
    next: usize,
    /// Next order to be handed out.
    wanted: usize,
    /// Content under way or waiting, in bytes.
    ahead: u64,
    done: BTreeMap<usize, io::Result<Option<Unpacked>>>,
    buffers: Vec<Vec<u8>>,
    stop: bool,
    /// Threads at work.
    running: usize,
}

impl Pool {
    fn start(storage: &Arc<dyn Storage>, orders: &Arc<[Order]>, count: usize) -> Self {
        let shared = Arc::new(Shared {
            storage: Arc::clone(storage),
            orders: Arc::clone(orders),
            state: Mutex::new(State { running: count, ..State::default() }),
            finished: Condvar::new(),
            room: Condvar::new(),
        });
        let thread = |_| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.work())
        };
        let threads = (0..count).map(thread).collect();
        Self { shared, threads }
    }

    fn get(&self, at: usize, old: Vec<u8>) -> io::Result<Option<Unpacked>> {
        let mut state = self.shared.lock();
        if old.capacity() > 0 && old.capacity() as u64 <= ONE_STEP {
            state.buffers.push(old);
        }
        state.wanted = at;
        self.shared.room.notify_all();
        loop {
            if let Some(result) = state.done.remove(&at) {
                let len = self.shared.orders.get(at).map_or(0, |order| order.frame.raw_len);
                state.ahead = state.ahead.saturating_sub(len);
                state.wanted = at + 1;
                self.shared.room.notify_all();
                return result;
            }
            if state.running == 0 {
                return Err(io::Error::other("the threads that unpack frames have ended"));
            }
            state = self.shared.finished.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.room.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that failed has nothing more to say.
            let _ = thread.join();
        }
    }
}

/// Counts a thread out, also when it fails: nobody may wait for it for ever.
struct Leaving<'a>(&'a Shared);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
        self.0.finished.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let _leaving = Leaving(self);
        let mut unpacker = Unpacker::default();
        while let Some((at, order, buffer)) = self.take() {
            let result = unpacker.fill(&*self.storage, order, buffer);
            self.lock().done.insert(at, result);
            self.finished.notify_all();
        }
    }

    /// The next order, as soon as there is room for it: always for the one that is waited for.
    fn take(&self) -> Option<(usize, &Order, Vec<u8>)> {
        let mut state = self.lock();
        loop {
            let at = state.next;
            let order = self.orders.get(at)?;
            if state.stop {
                return None;
            }
            if at == state.wanted || state.ahead + order.frame.raw_len <= AHEAD {
                state.next += 1;
                state.ahead += order.frame.raw_len;
                let buffer = state.buffers.pop().unwrap_or_default();
                return Some((at, order, buffer));
            }
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
