//! What the kernel side counts: losses by cause, records, programs that were skipped.

use std::os::fd::{AsRawFd, BorrowedFd};

/// Counters of the kernel side that are told; the numbers are those of `bpf/maps.h`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub(crate) enum Count {
    RingFull = 1,
    Scratch = 2,
    TailCall = 3,
    Cut = 4,
    Fault = 5,
    Unknown = 7,
}

/// Sums over all CPUs.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Counts {
    values: [u64; 16],
    /// Records that were begun: sent and lost.
    pub begun: u64,
}

impl Counts {
    pub(crate) fn get(&self, count: Count) -> u64 {
        self.values[count as usize]
    }

    /// Sums of what each CPU has counted.
    pub(super) fn of_cpus<'a>(cpus: impl Iterator<Item = &'a CpuCounts>) -> Self {
        let mut sums = Self::default();
        for cpu in cpus {
            for (sum, value) in sums.values.iter_mut().zip(cpu) {
                *sum += value;
            }
            sums.begun += cpu[16];
        }
        sums
    }

    /// Records that did not arrive.
    pub(crate) fn lost(&self) -> u64 {
        self.get(Count::RingFull) + self.get(Count::Scratch) + self.get(Count::TailCall)
    }
}

/// `struct counters`: sixteen counters and the sequence number.
pub(super) type CpuCounts = [u64; 17];

/// `recursion_misses` of a program, which the kernel tells beside its descriptor.
pub(super) fn misses_of(fd: BorrowedFd<'_>) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("recursion_misses:"))?;
    line.trim().parse().ok()
}
