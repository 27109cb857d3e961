//! What the real Falco and sysdig printed about a capture: readers of the golden files, one per format.

pub mod alerts;
pub mod containers;
pub mod events;
pub mod fields;
