//! Results held against themselves: their digest, and runs with other threads and another order.

use super::runner::{self, Outcome};
use super::suite::Suite;

/// Threads of the runs, one after the other.
const THREADS: [usize; 6] = [1, 4, 2, 8, 3, 16];

/// The results as lines of JSON, a case a line: what is compared, and what a digest is of.
pub fn lines(suite: &Suite, outcomes: &[Outcome]) -> Vec<String> {
    suite.cases.iter().zip(outcomes).map(|(case, outcome)| suite.json(case, outcome).to_string()).collect()
}

/// BLAKE3 of the results, hexadecimal.
pub fn digest(lines: &[String]) -> String {
    let mut hasher = blake3::Hasher::new();
    for line in lines {
        hasher.update(line.as_bytes());
        hasher.update(b"\n");
    }
    hasher.finalize().to_hex().to_string()
}

/// An order of `count` cases that looks random and is the same for the same run.
pub fn shuffled(count: usize, run: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut state = (run as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for at in (1..count).rev() {
        // xorshift64*: any generator serves, as long as it is ours and does not change.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let random = state.wrapping_mul(0x2545_f491_4f6c_dd1d);
        order.swap(at, (random % (at as u64 + 1)) as usize);
    }
    order
}

/// The first difference between runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// Number of the run, from 2.
    pub run: usize,
    /// Its threads.
    pub threads: usize,
    /// The case.
    pub case: String,
}

/// Runs the cases of `load` `runs` times, read anew each time, with several thread counts and in shuffled order, and
/// compares the results byte by byte with `expected`.
///
/// # Errors
/// The first difference.
pub fn verify(expected: &[String], runs: usize, load: impl Fn() -> Suite) -> Result<(), Difference> {
    for run in 1..=runs {
        let suite = load();
        let threads = THREADS[run % THREADS.len()];
        let outcomes = runner::run(&suite, threads, &shuffled(suite.cases.len(), run), &|_| {});
        let got = lines(&suite, &outcomes);
        if got != expected {
            let at = got.iter().zip(expected).position(|(got, expected)| got != expected).unwrap_or(0);
            let case = suite.cases.get(at).map_or_else(String::new, |case| case.name.clone());
            return Err(Difference { run: run + 1, threads, case });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::shuffled;

    #[test]
    fn every_order_has_every_case_once() {
        let first = shuffled(100, 1);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_ne!(first, sorted);
        assert_ne!(first, shuffled(100, 2));
        assert_eq!(first, shuffled(100, 1));
        assert!(shuffled(0, 1).is_empty());
    }
}
