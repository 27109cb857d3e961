//! Sets that a frame record keeps of its events: types exactly, threads and containers by a Bloom filter.
//!
//! Neither has false negatives: what a set denies is not in the frame, so a reader may skip it.

use bincode::{Decode, Encode};

use crate::event::EventType;

/// Event types, one bit each: type `t` is bit `t % 8` (0 the lowest) of byte `t / 8`; missing bytes are zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct TypeSet(Vec<u8>);

impl TypeSet {
    /// Adds a type.
    pub fn insert(&mut self, etype: EventType) {
        let byte = usize::from(etype.0 / 8);
        if byte >= self.0.len() {
            self.0.resize(byte + 1, 0);
        }
        self.0[byte] |= 1 << (etype.0 % 8);
    }

    /// Whether a type is in the set.
    pub fn contains(&self, etype: EventType) -> bool {
        self.0.get(usize::from(etype.0 / 8)).is_some_and(|byte| byte & (1 << (etype.0 % 8)) != 0)
    }

    /// All types, ascending.
    pub fn iter(&self) -> impl Iterator<Item = EventType> + '_ {
        (0..=u16::MAX).take(self.0.len() * 8).map(EventType).filter(|&etype| self.contains(etype))
    }

    /// Whether a type is in both.
    pub fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(one, two)| one & two != 0)
    }

    /// Nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|&byte| byte == 0)
    }
}

/// Bits tested for one member.
const PROBES: u64 = 7;

/// Bits for one member: with seven probes, about one false positive in a hundred.
const BITS_EACH: usize = 10;

/// Largest filter in bytes, a power of two; beyond some 13,000 members false positives get more frequent.
const MAX_BYTES: usize = 16 << 10;

/// A Bloom filter: a power of two of bytes, or none when there are no members.
///
/// Member `x` (a u64) sets seven bits: with `a = mix(x)` and `b = mix(a) | 1`, bit `(a + i * b) % bits` for `i` from 0 to 6,
/// all arithmetic modulo 2^64. Bit `n` is bit `n % 8` (0 the lowest) of byte `n / 8`. `mix` is the finalizer of
/// `SplitMix64`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Filter(Vec<u8>);

const fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// The member that stands for a text (a container id): FNV-1a of 64 bits.
pub fn text_member(text: &[u8]) -> u64 {
    text.iter().fold(0xCBF2_9CE4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

impl Filter {
    /// The filter of these members.
    pub fn of<'a>(members: impl ExactSizeIterator<Item = &'a u64>) -> Self {
        if members.len() == 0 {
            return Self::default();
        }
        let bytes = (members.len() * BITS_EACH).div_ceil(8).next_power_of_two().clamp(8, MAX_BYTES);
        let mut filter = Self(vec![0; bytes]);
        for &member in members {
            for bit in probes(member, bytes as u64 * 8) {
                filter.0[bit / 8] |= 1 << (bit % 8);
            }
        }
        filter
    }

    /// False: certainly not a member. True: a member, or one of the few false positives.
    pub fn may_contain(&self, member: u64) -> bool {
        let bits = self.0.len() as u64 * 8;
        bits > 0 && probes(member, bits).all(|bit| self.0[bit / 8] & (1 << (bit % 8)) != 0)
    }
}

fn probes(member: u64, bits: u64) -> impl Iterator<Item = usize> {
    let a = mix(member);
    let b = mix(a) | 1;
    (0..PROBES).map(move |i| (a.wrapping_add(i.wrapping_mul(b)) % bits) as usize)
}

#[cfg(test)]
mod tests {
    use super::{Filter, TypeSet, text_member};
    use crate::event::EventType;

    #[test]
    fn members_are_found_and_few_others() {
        for count in [1_u64, 10, 1000, 20_000] {
            let members: Vec<u64> = (0..count).map(|n| n * 7 + 3).collect();
            let filter = Filter::of(members.iter());
            assert!(members.iter().all(|&member| filter.may_contain(member)));
            let others = (0..10_000_u64).filter(|n| filter.may_contain(n * 7 + 5_000_000_000)).count();
            assert!(others < if count > 13_000 { 2000 } else { 300 }, "{count}: {others} false positives");
        }
        assert!(!Filter::default().may_contain(1));
    }

    #[test]
    fn the_layout_stays() {
        // Worked out from FORMAT.md by a script in another language.
        let filter = Filter::of([1_u64].iter());
        assert_eq!(filter.0, [2, 0, 0, 80, 1, 0, 0, 168]);
        assert_eq!(text_member(b"a"), 0xAF63_DC4C_8601_EC8C);
    }

    #[test]
    fn types_come_back() {
        let mut set = TypeSet::default();
        assert!(set.is_empty());
        for id in [0, 9, 453] {
            set.insert(EventType(id));
        }
        assert_eq!(set.iter().map(|etype| etype.0).collect::<Vec<_>>(), [0, 9, 453]);
        assert!(!set.contains(EventType(8)) && !set.contains(EventType(60_000)));
    }
}
