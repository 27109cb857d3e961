//! Redaction: the same capture without what it tells of whom it was recorded from.
//!
//! ```text
//! policy.rs (YAML)  ┐
//! vocabulary.rs     ├→ mask.rs (texts, addresses, documents, buffers: key.rs makes the tokens)
//! rules' constants  ┘        │
//! capture → blocks.rs (every block, every parameter: which kind it is) → redacted capture
//!                            └→ manifest.rs (what was masked, what stayed)
//! both captures + rules → proof.rs (which alerts changed)
//! ```
//!
//! Fail closed: a text is masked unless a word of the vocabulary lets it through, a parameter of a type that can hold
//! anything is masked whatever its name is, and what this version cannot read is left out. The same input has the same
//! token everywhere, with the same key in every capture: what was joined stays joined. `replay/REDACT.md` is the user's page.

pub mod address;
mod blocks;
mod document;
pub mod key;
pub mod manifest;
mod mask;
pub mod policy;
pub mod proof;
mod text;
pub mod vocabulary;

pub use blocks::Redactor;
pub use mask::Kind;
