//! Views: what a responder looks at before asking in SQL.
//!
//! Captures → replay ([`walk`]) → one view each: [`follow`] shows the bytes that were read and written,
//! [`spectrogram`] how long calls took. They look at events one by one and keep nothing of them.

pub mod follow;
pub mod spectrogram;
pub mod walk;
