//! Paths that were opened lately.
//!
//! The same few hundred paths are opened all the time. One that is found here needs no search for its end, is known to be
//! clean and absolute, and shares its text. Each has one place, so the memory is bounded, and who comes later takes it;
//! nothing that anybody sees depends on what is found.

use std::rc::Rc;

use super::Text;

/// Paths remembered.
const PLACES: usize = 512;
/// Longer paths are not worth their memory.
const LONGEST: usize = 256;
/// A factor that spreads the bits of what it multiplies.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Clean absolute paths by their ends.
#[derive(Clone, Debug)]
pub(crate) struct Paths(Box<[Option<Text>]>);

impl Default for Paths {
    fn default() -> Self {
        Self(vec![None; PLACES].into())
    }
}

impl Paths {
    /// The path that a parameter holds, with its NUL.
    #[inline]
    pub(crate) fn find(&self, param: &[u8]) -> Option<Text> {
        let (&0, path) = param.split_last()? else { return None };
        let known = self.0.get(place_of(path)?)?.as_ref()?;
        (**known == *path).then(|| Rc::clone(known))
    }

    /// Remembers a path without NUL that is clean and absolute.
    pub(crate) fn put(&mut self, path: &Text) {
        if path.len() <= LONGEST
            && let Some(place) = place_of(path)
        {
            self.0[place] = Some(Rc::clone(path));
        }
    }
}

/// Place of a path, by its length and last bytes; very short ones have none.
fn place_of(path: &[u8]) -> Option<usize> {
    let last = u64::from_le_bytes(*path.last_chunk()?);
    let before = u64::from_le_bytes(*path[path.len().saturating_sub(16)..].first_chunk()?);
    let mixed = (last ^ path.len() as u64).wrapping_mul(SPREAD) ^ before;
    Some((mixed.wrapping_mul(SPREAD) >> (u64::BITS - PLACES.ilog2())) as usize)
}
