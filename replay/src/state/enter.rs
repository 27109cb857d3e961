//! Enter events that stay visible after the conversion: kept until their exit, which may need what they say.
//!
//! Old captures hold the path of an exec and the address of a connect in the enter half only; newer ones repeat
//! open and connect arguments in both halves, and the enter half is the one that the caller cannot change any more
//! after the kernel read it.

use super::keep::keep;

/// Parameters of one enter event, copied.
#[derive(Clone, Debug)]
pub(crate) struct Enter {
    /// Event type.
    pub(crate) etype: u16,
    /// Parameter values, in order; empty means not known.
    pub(crate) params: Vec<Box<[u8]>>,
}

keep!(Enter { etype, params });

impl Enter {
    /// Value of a parameter, unless not known.
    pub(crate) fn param(&self, index: usize) -> Option<&[u8]> {
        self.params.get(index).map(AsRef::as_ref).filter(|value| !value.is_empty())
    }

    /// Text parameter up to its NUL; the old marker for *not known* counts as such.
    pub(crate) fn text(&self, index: usize) -> Option<&[u8]> {
        let value = self.param(index)?;
        let text = value.split(|&byte| byte == 0).next().unwrap_or(value);
        (text != b"(NULL)" && text != b"<NA>").then_some(text)
    }

    /// Little-endian 32-bit parameter.
    pub(crate) fn u32(&self, index: usize) -> Option<u32> {
        Some(u32::from_le_bytes(self.param(index)?.try_into().ok()?))
    }

    /// Little-endian signed 64-bit parameter.
    pub(crate) fn i64(&self, index: usize) -> Option<i64> {
        Some(i64::from_le_bytes(self.param(index)?.try_into().ok()?))
    }
}
