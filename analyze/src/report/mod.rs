//! `report`: what captures hold, for people who were not there.
//!
//! Data flow: captures and rules → `frames` (tables) → [`gather`] → [`model::Report`] → [`html`] (one self-contained
//! page), [`json`] or [`markdown`]. The model holds all content; the three forms derive from it and look nothing up.

pub mod asked;
pub mod attack;
pub mod chart;
pub mod cli;
pub mod gather;
pub mod html;
pub mod json;
pub mod markdown;
pub mod model;
pub mod table;
pub mod text;
pub mod timeline;
