//! Rows that are counted while a capture passes and found again by a key: what a process did to a path, what passed
//! between two ends.
//!
//! Their order is that of their first sight, whatever the hash; their number is bounded, and what finds no room is
//! counted. What a row holds is its table's ([`super::files`], [`super::network`]).

use std::collections::HashMap;
use std::hash::Hash;

use foldhash::fast::FixedState;

/// Rows by key.
pub(super) struct Rows<K, R> {
    places: HashMap<K, usize, FixedState>,
    all: Vec<(K, R)>,
    limit: usize,
    /// Uses for which there was no room.
    pub(super) refused: u64,
}

impl<K: Copy + Eq + Hash, R> Rows<K, R> {
    /// Room for `limit` rows.
    pub(super) fn new(limit: usize) -> Self {
        Self { places: HashMap::default(), all: Vec::new(), limit, refused: 0 }
    }

    /// The row of a key, made where there is none yet; none when there is no room for another one.
    pub(super) fn at(&mut self, key: K, made: impl FnOnce() -> R) -> Option<&mut R> {
        let place = match self.places.get(&key) {
            Some(&place) => place,
            None if self.all.len() >= self.limit => {
                self.refused += 1;
                return None;
            }
            None => {
                self.places.insert(key, self.all.len());
                self.all.push((key, made()));
                self.all.len() - 1
            }
        };
        self.all.get_mut(place).map(|(_, row)| row)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// All rows, in the order of their first sight.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(K, R)> {
        self.all.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_again_and_bounded() {
        let mut rows = Rows::new(2);
        for key in [7, 3, 7, 9, 3, 9] {
            if let Some(count) = rows.at(key, || 0) {
                *count += 1;
            }
        }
        assert_eq!(rows.iter().copied().collect::<Vec<_>>(), [(7, 2), (3, 2)]);
        assert_eq!((rows.len(), rows.refused), (2, 2));
    }
}
