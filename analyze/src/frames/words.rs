//! Texts of a capture as they stand in columns: valid UTF-8, and texts that repeat as codes of one dictionary.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use foldhash::fast::FixedState;
use polars::prelude::{Categories, DataType};

/// Most bytes of distinct texts of one capture; a capture decides how many there are, so there is an end.
const MAX_BYTES: usize = 256 << 20;
/// What stands for a text that came after [`MAX_BYTES`] others.
const OVERFLOW: &str = "(more texts than the table holds)";

/// The data type of columns of words. All frames of the process share one dictionary, so that they can be joined.
pub fn word_type() -> DataType {
    DataType::from_categories(Categories::global())
}

/// Bytes of a capture as text: what is no UTF-8 becomes `\xNN`, as in all our tools. Control characters stay: whoever
/// prints makes them harmless.
pub fn utf8(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    Cow::Owned(text)
}

/// Codes of one capture's texts.
pub(super) struct Words {
    mapping: Arc<polars::prelude::CategoricalMapping>,
    data_type: DataType,
    codes: HashMap<Box<[u8]>, u32, FixedState>,
    bytes: usize,
    /// Texts for which there was no room.
    pub(super) refused: u64,
}

impl Words {
    pub(super) fn new() -> Self {
        let data_type = word_type();
        let mapping = match &data_type {
            DataType::Categorical(_, mapping) => Arc::clone(mapping),
            // What `word_type` gives is categorical; anything else would have no codes to give.
            _ => Categories::global().mapping(),
        };
        Self { mapping, data_type, codes: HashMap::default(), bytes: 0, refused: 0 }
    }

    pub(super) fn data_type(&self) -> DataType {
        self.data_type.clone()
    }

    /// Bytes that the texts take here and in the dictionary.
    pub(super) fn weight(&self) -> usize {
        2 * self.bytes + 64 * self.codes.len()
    }

    /// The code of a text; `None` when the dictionary takes no more at all.
    pub(super) fn code(&mut self, text: &[u8]) -> Option<u32> {
        if let Some(&code) = self.codes.get(text) {
            return Some(code);
        }
        if self.bytes + text.len() > MAX_BYTES {
            self.refused += 1;
            return self.mapping.insert_cat(OVERFLOW).ok();
        }
        let code = self.mapping.insert_cat(&utf8(text)).ok()?;
        self.bytes += text.len();
        self.codes.insert(text.into(), code);
        Some(code)
    }

    /// The text of a code.
    pub(super) fn text(&self, code: u32) -> &str {
        self.mapping.cat_to_str(code).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_utf8_is_shown_and_the_rest_stays() {
        assert_eq!(utf8(b"a\xff\x1b[2J\n"), "a\\xff\x1b[2J\n");
        assert_eq!(utf8("日本".as_bytes()), "日本");
    }

    #[test]
    fn a_text_has_one_code() {
        let mut words = Words::new();
        let code = words.code(b"bash").expect("room");
        assert_eq!(words.code(b"bash"), Some(code));
        assert_eq!(words.text(code), "bash");
    }
}
