//! Versions `x.y.z` of the engine and of plugins, with the compatibility rule of rule files.

use std::fmt;

/// A version of three numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Version {
    /// Incompatible changes.
    pub major: u32,
    /// Additions.
    pub minor: u32,
    /// Repairs.
    pub patch: u32,
}

impl Version {
    /// The Falco engine whose language this crate implements.
    pub const ENGINE: Self = Self::new(0, 63, 0);

    /// The version `major.minor.patch`.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// Reads `x.y.z`. Text behind the third number is accepted and ignored, as in `0.7.1-rc1`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim_start();
        let mut numbers = [0; 3];
        for (n, number) in numbers.iter_mut().enumerate() {
            if n > 0 {
                rest = rest.strip_prefix('.')?;
            }
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            *number = rest[..digits].parse().ok()?;
            rest = &rest[digits..];
        }
        Some(Self::new(numbers[0], numbers[1], numbers[2]))
    }

    /// Whether something of this version serves a rule file that asks for `required`.
    pub fn serves(self, required: Self) -> bool {
        self.major == required.major && self >= required
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_numbers_are_needed() {
        assert_eq!(Version::parse("0.26.1"), Some(Version::new(0, 26, 1)));
        assert_eq!(Version::parse("1.2.3-rc1"), Some(Version::new(1, 2, 3)));
        for bad in ["", "1", "0.26", "seven", "1..2", "a.b.c", "1.2.99999999999"] {
            assert_eq!(Version::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn same_major_and_not_older() {
        let have = Version::new(0, 63, 0);
        assert!(have.serves(Version::new(0, 63, 0)) && have.serves(Version::new(0, 5, 9)));
        assert!(!have.serves(Version::new(0, 63, 1)) && !have.serves(Version::new(1, 0, 0)));
        assert!(!Version::new(2, 0, 0).serves(Version::new(1, 2, 0)));
    }
}
