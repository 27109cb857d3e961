//! Names of flag values, in the order and with the precedence in which libs walks its tables.

use std::borrow::Cow;

use casebook_formats::tables::FlagTable;
use smallvec::SmallVec;

use super::{Shown, unsigned};

/// Names of a flag value.
pub(crate) type Names = SmallVec<[&'static str; 16]>;

/// Names of a flag value, joined by bars.
pub(super) fn names(shown: Shown<'_>, choose: fn(&FlagTable, u32) -> Names) -> Cow<'static, [u8]> {
    let (Some(table), Some(value)) = (shown.table, unsigned(shown.value)) else { return Cow::Borrowed(b"") };
    let names = choose(table, value as u32);
    match names[..] {
        [] => Cow::Borrowed(b""),
        [name] => Cow::Borrowed(name.as_bytes()),
        _ => {
            let mut text = Vec::with_capacity(names.iter().map(|name| name.len() + 1).sum());
            for name in names {
                if !text.is_empty() {
                    text.push(b'|');
                }
                text.extend_from_slice(name.as_bytes());
            }
            Cow::Owned(text)
        }
    }
}

/// Bit set: each entry whose bits are all set takes them away; an entry that is the whole value ends the walk. A
/// zero entry names only zero.
pub(crate) fn flags(table: &FlagTable, value: u32) -> Names {
    let mut left = value;
    let mut names = Names::new();
    for &(name, flag) in table.entries {
        let matches = if flag == 0 { value == 0 } else { left & flag == flag };
        if matches {
            names.push(name);
            left &= !flag;
            if flag == value {
                break;
            }
        }
    }
    names
}

/// Enumeration: every entry of exactly this value.
pub(super) fn enumeration(table: &FlagTable, value: u32) -> Names {
    table.entries.iter().filter(|(_, known)| *known == value).map(|(name, _)| *name).collect()
}

/// Permission bits: as [`flags`], but the entry that is the whole value is named after those before it.
pub(super) fn mode(table: &FlagTable, value: u32) -> Names {
    let mut left = value;
    let mut names = Names::new();
    for &(name, bits) in table.entries {
        if bits == value {
            names.push(name);
            break;
        }
        if bits != 0 && left & bits == bits {
            names.push(name);
            left &= !bits;
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_tables_walk_as_libs_does() {
        let table = FlagTable { name: "t", entries: &[("NONE", 0), ("RW", 3), ("R", 1), ("W", 2), ("X", 4)] };
        assert_eq!(flags(&table, 0)[..], ["NONE"]);
        assert_eq!(flags(&table, 3)[..], ["RW"]);
        assert_eq!(flags(&table, 5)[..], ["R", "X"]);
        assert_eq!(flags(&table, 8)[..], [""; 0]);
        assert_eq!(enumeration(&table, 2)[..], ["W"]);
        let modes = FlagTable { name: "m", entries: &[("A", 1), ("B", 2), ("AB", 3)] };
        assert_eq!(mode(&modes, 3)[..], ["A", "B", "AB"], "the exact entry comes last, and is named too");
        assert_eq!(mode(&modes, 1)[..], ["A"]);
    }
}
